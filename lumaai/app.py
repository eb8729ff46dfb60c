"""The HTTP service as an ASGI application: routes, and what surrounds them."""

from __future__ import annotations

import asyncio
import functools
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import lumaai
from lumaai.database import Database
from lumaai.door import turned_away
from lumaai.edge import DOCS, OPENAPI, Edge
from lumaai.errors import (
    InvalidRequestError,
    LumaError,
)
from lumaai.problems import problem_response
from lumaai.routes import all_operations, upload
from lumaai.routes.openapi import openapi_document
from lumaai.routes.operation import MethodNotAllowedError, Resource, no_such_route
from lumaai.routes.page import HEADERS, page
from lumaai.routes.service import Service
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry
from lumaai.tracing import Tracing, otlp_provider
from lumaai.wire import OPENAI_PARTS

# What pages from the origins that LUMAAI_CORS_ORIGINS names may send, and read of answers. No cookies: there are none.
CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Api-Key", "X-Request-Id"
)  # fmt: skip
CORS_EXPOSED = (
    "ETag", "Idempotency-Replayed", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"
)  # fmt: skip
CORS_SECONDS = 600
# Paths whose operations are remembered, and how long such a path may be.
PATHS_MAX, PATH_CHARACTERS_MAX = 4_096, 256
USES_SECONDS = 60.0  # between two times that the last uses of keys are written down


def create_app(
    database: Database,
    settings: Settings,
    *,
    telemetry: Telemetry | None = None,
    spans: TracerProvider | None = None,
) -> Application:
    """The application that serves a database.

    Args:
        database: is closed when the application shuts down.
        settings: limits and the key; where to listen is the server's concern.
        telemetry: where requests are counted and logged; one of its own, logging to stderr, if not given.
        spans: where traces go, if the settings name no collector; None: nowhere.

    Raises:
        InvalidRequestError: a collector is named and the extra is missing.
    """
    watched = telemetry or Telemetry()
    watched.slow_seconds = settings.slow_request_seconds
    tracing = Tracing(otlp_provider(settings.otlp_endpoint) if settings.otlp_endpoint else spans)
    service = Service.of(database, settings, watched, tracing)
    watched.watch(service.gauges)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        writing = asyncio.create_task(_write_uses(service))
        await asyncio.to_thread(_begin, service)
        yield
        writing.cancel()
        await asyncio.to_thread(_close, service)

    operations = all_operations()
    like_openai = _pattern_of(
        [
            *(operation.path for operation in operations if operation.like_openai),
            *(f"/v1/{part}{below}" for part in OPENAI_PARTS for below in ("", "/{path}")),
        ]
    )
    app = Application(
        title="LumaDB AI",
        version=lumaai.__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,  # our own, made when it is first asked for
        # Requests have spans where these are wanted; metrics and log lines are our own.
        telemetry={
            "tracing": tracing.is_on,
            "tracer_provider": tracing.provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.service = service
    app.state.like_openai = like_openai
    routes = []
    for path in dict.fromkeys(operation.path for operation in operations):
        there = [operation for operation in operations if operation.path == path]
        routes.append(Route(_converted(path), Resource(path, there)))
    app.router.routes += routes
    app.router.routes.append(Route("/", _to_documentation))
    app.router.routes.append(Route(DOCS, _documentation))
    app.router.routes.append(Route(OPENAPI, _openapi))
    guarded = service.gatekeeper.is_guarding
    # Both take a tenth of a second, and are made when they are first asked for.
    app.state.openapi = functools.cache(
        functools.partial(openapi_document, operations, settings, version=lumaai.__version__, guarded=guarded)
    )
    app.state.page = functools.cache(lambda: page(app.state.openapi()))
    app.add_exception_handler(HTTPException, _routing_error)
    edge = functools.partial(
        Edge,
        settings=settings,
        telemetry=watched,
        is_closed=lambda: database.is_closed,
        gatekeeper=service.gatekeeper,
        lane=service.identifying,
        audit=service.audit,
        like_openai=like_openai,
        check_room=service.check_room,
        tracing=tracing,
    )
    app.add_middleware(edge)
    if not settings.cors_origins and not tracing.is_on:
        app.go_straight(routes, edge)
        app.door = functools.partial(turned_away, service)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
            max_age=CORS_SECONDS,
        )
    return app


class Application(FastAPI):
    """FastAPI's application, in which requests for operations go straight to them where nothing else wants to see them.

    Starlette's router compares a path with each route, and five layers of middleware around ours pass requests on
    unchanged: 70 of the 330 µs that a search request takes beside the search itself. Pages and unknown paths take the
    way through them.
    """

    # What a request gets that is refused for its path and the hour alone, before anything is made for it; else None.
    door: Callable[[str, bytes, Iterable[tuple[bytes, bytes]]], bytes | None] | None = None
    _edge: ASGIApp | None = None

    def go_straight(self, routes: Sequence[Route], edge: Callable[[ASGIApp], ASGIApp]) -> None:
        """Let requests that match the routes pass through `edge` only.

        Args:
            routes: to operations, in the order in which they are looked at.
            edge: makes the middleware around an application.
        """

        @functools.lru_cache(PATHS_MAX)
        def find(path: str) -> tuple[Resource, dict[str, str]] | None:
            for route in routes:
                if found := route.path_regex.match(path):
                    return cast("Resource", route.endpoint), found.groupdict()
            return None

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await scope["lumaai.resource"](scope, receive, send)

        self._find = find
        self._edge = edge(answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end the service."""
        if self._edge is not None and scope["type"] == "http" and len(scope["path"]) <= PATH_CHARACTERS_MAX:
            found = self._find(scope["path"])
            if found is not None:
                resource, parameters = found
                scope.update({"app": self, "lumaai.resource": resource, "path_params": {**parameters}})
                scope["lumaai.route"] = resource.path  # also of what is refused before it is reached
                await self._edge(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


async def _routing_error(request: Request, error: Exception) -> Response:
    """Problem details for what the router itself refuses: unknown paths, and methods of pages."""
    assert isinstance(error, HTTPException)
    luma_error: LumaError
    if error.status_code == 405:
        allow: Mapping[str, str] = error.headers or {}
        luma_error = MethodNotAllowedError(request.method, allow.get("Allow", "GET"))
    elif error.status_code == 404:
        luma_error = no_such_route(request.url.path)
    else:
        luma_error = InvalidRequestError(str(error.detail), status=error.status_code)
    request.scope["lumaai.code"] = luma_error.code
    like_openai: re.Pattern[str] = request.app.state.like_openai
    alike = like_openai.fullmatch(request.scope["path"]) is not None
    return problem_response(luma_error, request.scope["lumaai.request_id"], like_openai=alike)


async def _to_documentation(_: Request) -> Response:
    return RedirectResponse(DOCS)


async def _documentation(request: Request) -> Response:
    return HTMLResponse(await asyncio.to_thread(request.app.state.page), headers=HEADERS)


async def _openapi(request: Request) -> Response:
    return JSONResponse(await asyncio.to_thread(request.app.state.openapi))


def _converted(path: str) -> str:
    """The router's form of a template: ids of documents and models may hold slashes, which reach it decoded."""
    return path.replace("{id}", "{id:path}").replace("{model}", "{model:path}")


def _pattern_of(paths: Iterable[str]) -> re.Pattern[str]:
    """What the paths of these templates match, parts with slashes included."""
    return re.compile("|".join(re.sub(r"\{\w+\}", ".+", path) for path in dict.fromkeys(paths)), re.DOTALL)


async def _write_uses(service: Service) -> None:
    """Write down now and then when keys were last used."""
    while True:
        await asyncio.sleep(USES_SECONDS)
        await asyncio.to_thread(service.write_uses, service.gatekeeper.uses())


def _begin(service: Service) -> None:
    """What a new process takes over from the one before."""
    shutil.rmtree(service.database.path / upload.UPLOADS, ignore_errors=True)
    service.resume_jobs()


def _close(service: Service) -> None:
    service.write_uses(service.gatekeeper.uses())
    service.close()
    service.database.close()
