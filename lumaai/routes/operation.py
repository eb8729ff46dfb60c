"""What an operation is: its place, its bodies, its errors and its handler, in one value.

The router calls operations directly and `/openapi.json` is drawn from the same values, so that what is documented
is what is served. FastAPI's own routes would solve dependencies anew for every request (24 of the 43 µs that such
a route takes; measured on the search route's empty twin).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lumaai import wire
from lumaai.access import Caller, Verb
from lumaai.composing import check_sequence
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, LumaError, NotFoundError
from lumaai.routes.body import read_body, validated_query
from lumaai.routes.service import Service
from lumaai.turns import Turns

M = TypeVar("M", bound=BaseModel)

Handler = Callable[["Call"], Awaitable[Response]]

JSON, JSON_BYTES = "application/json", b"application/json"
NDJSON = "application/x-ndjson"


class Reach(Enum):
    """What a caller's verb must cover.

    Attributes:
        DATABASE: all collections, those to come included; or, where the path names one ("{c}"), that one.
        SOME: any collection; the operation itself looks at no other than those that the caller may.
        KNOWN: nothing: any key will do, whatever it allows; what the operation does beyond that it checks itself.
        OPEN: nothing: no key is needed.
    """

    DATABASE = "database"
    SOME = "some"
    KNOWN = "known"
    OPEN = "open"


@dataclass(slots=True)
class Call:
    """One request on its way through an operation.

    Attributes:
        operation: what was asked for.
        caller: who sent it; that they may do this at all was checked.
        rows: documents taken in or given out, for the log and the metrics.
    """

    service: Service
    request: Request
    operation: Operation
    caller: Caller

    def path(self, name: str) -> str:
        """A part of the path, as the route's template names it."""
        value: str = self.request.path_params[name]
        return value

    async def body(self, model: type[M], turns: Turns | None = None) -> M:
        """The JSON body as `model`; where there are turns, read when it has come and its turn has, too.

        Raises:
            InvalidRequestError: not JSON (400), not of this type (415) or not of this shape (422, naming places).
            OverloadedError: its turn did not come in time.
        """
        request, in_thread = self.request, self.service.bodies.run
        may_lack = not self.operation.needs_body
        body = await read_body(request.scope, request.receive, model, in_thread, may_lack=may_lack, turns=turns)
        self._check_sequence(body)
        return body

    def query(self, model: type[M]) -> M:
        """The query string as `model`.

        Raises:
            InvalidRequestError: something unknown, twice or malformed.
            ConflictError: `min_sequence` has not been reached.
        """
        query = validated_query(self.request.scope, model)
        self._check_sequence(query)
        return query

    def checked(self, body: M) -> M:
        """A body that was read another way, once the writes that it wants to see have been seen."""
        self._check_sequence(body)
        return body

    def _check_sequence(self, asked: BaseModel) -> None:
        wanted = getattr(asked, "min_sequence", None)
        if wanted is not None:
            check_sequence(self.service.database.sequence, wanted)

    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header, where there is one; what it must be is checked where it is used.

        Raises:
            InvalidRequestError: it is given twice.
        """
        return self.header("Idempotency-Key", code="idempotency_key_invalid")

    def header(self, name: str, *, code: str) -> str | None:
        """A header that may be given once.

        Raises:
            InvalidRequestError: with `code`; it is given twice.
        """
        key = name.lower().encode()
        given = [value for header, value in self.request.scope["headers"] if header == key]
        if len(given) > 1:
            raise InvalidRequestError(f"{name} is given twice", code=code)
        return given[0].decode("latin-1") if given else None

    @property
    def database(self) -> Database:
        """The database as the caller may see it."""
        return self.service.database.seen_by(self.caller)

    def note_act(self, act: str, target: str) -> None:
        """Put an administrative act into the audit log that is not the operation itself."""
        self.request.scope.setdefault("lumaai.acts", []).append((act, target))

    def explain(self, how: Callable[[], object]) -> None:
        """Say how it ran, for the log of slow requests; asked only if it was slow, and without any content."""
        self.request.scope["lumaai.explain"] = how

    def count_rows(self, rows: int) -> None:
        """Say in the log and the metrics how many documents went in or out."""
        self.request.scope["lumaai.rows"] = rows


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    Attributes:
        id: OpenAPI's operationId, unique.
        path: template, e.g. "/v1/collections/{c}".
        body: model of the JSON body; None takes none.
        more_media_types: that the body may have as well.
        query: model of the query string; None: there is nothing to say in it, and what is said there is refused.
        needs_body: false where all keys of the body may be left out, and so may the body.
        answers: for each status of success the model of its JSON body (None: no body) or a media type.
        verb: what a caller must be allowed to do.
        reach: to what; by default nobody but an administrator may.
        errors: statuses of the problems it may answer beside those that any operation may.
        streams: answers 200 in this media type instead, where the body asks for a stream.
        takes_key: it takes an Idempotency-Key, and says in a header whether its answer is a replay.
        keeps_answer: its answers are kept under that key as a whole; else its handler sees to the key.
        gives_secret: its answers must not be on disk.
        takes_match: request headers that it takes to tell versions, such as "If-Match".
        gives_etag: its answers have an ETag: the document's version, or what the collection is now.
        like_openai: its errors are OpenAI's as well.
    """

    id: str
    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    answers: Mapping[int, type[BaseModel] | str | None]
    body: type[BaseModel] | None = None
    body_media_type: str = JSON
    more_media_types: Sequence[str] = field(default=())
    query: type[BaseModel] | None = None
    answer_media_type: str = JSON
    verb: Verb = Verb.ADMIN
    reach: Reach = Reach.DATABASE
    errors: Sequence[int] = field(default=())
    needs_body: bool = True
    streams: str | None = None
    takes_key: bool = False
    keeps_answer: bool = False
    gives_secret: bool = False
    takes_match: Sequence[str] = field(default=())
    gives_etag: bool = False
    like_openai: bool = False

    @property
    def is_administrative(self) -> bool:
        """Whether it is noted in the audit log: what takes ADMIN and is no mere look."""
        if self.verb is not Verb.ADMIN or self.reach in (Reach.OPEN, Reach.KNOWN):
            return False
        return self.method != "GET" or self.answer_media_type != JSON

    def check(self, caller: Caller, path_params: Mapping[str, str], resolve: Callable[[str], str]) -> None:
        """Refuse callers who may not; of an alias it is the collection that counts.

        Raises:
            ForbiddenError: saying what they lack.
        """
        if "c" in path_params:
            caller.check(self.verb, resolve(path_params["c"]), path_params["c"])
        elif self.reach is Reach.DATABASE:
            caller.check_everywhere(self.verb)
        elif self.reach is Reach.SOME:
            caller.check_somewhere(self.verb)


# Handlers read what else may be in a query string.
_CHECKED_HERE = (None, wire.ReadQuery)


class Resource:
    """All operations on one path, as an ASGI endpoint: dispatches by method."""

    def __init__(self, path: str, operations: Sequence[Operation]) -> None:
        self.path = path
        self.operations = {operation.method: operation for operation in operations}
        allowed = set(self.operations) | ({"HEAD"} if "GET" in self.operations else set())
        self.allow = ", ".join(sorted(allowed))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        scope["lumaai.route"] = self.path
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            raise MethodNotAllowedError(method, self.allow)
        caller: Caller = scope["lumaai.caller"]
        if operation.is_administrative:  # whether it may be done or not
            scope["lumaai.act"] = operation.id
        service: Service = scope["app"].state.service
        if not caller.everything:
            operation.check(caller, scope["path_params"], service.database.resolve)
        request = Request(scope, receive, send)
        call = Call(service, request, operation, caller)
        if scope["query_string"] and operation.query in _CHECKED_HERE:
            call.query(operation.query or wire.NoQuery)
        response = await self._answer(call)
        await response(scope, receive, send)

    @staticmethod
    async def _answer(call: Call) -> Response:
        if call.operation.keeps_answer:
            from lumaai.routes.keyed import answered_once  # which knows operations

            return await answered_once(call, call.operation.handler)
        return await call.operation.handler(call)


class MethodNotAllowedError(LumaError):
    """The path exists and does not know the method."""

    default_status = 405
    default_code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, method: str, allow: str) -> None:
        super().__init__(f"method is not allowed here: expected={allow} got={method:.20}")
        self.allow = allow


def no_such_route(path: str) -> NotFoundError:
    """The error for a path that no operation has."""
    return NotFoundError(f"there is nothing at this path: {path:.200}", code="route_not_found")


class JsonResponse(Response):
    """A JSON answer, whose two headers are known beforehand."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Length and type; none may be given."""
        assert headers is None
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), (b"content-type", JSON_BYTES)]


def json_response(content: bytes, status: int = 200, *, replayed: bool = False, etag: str | None = None) -> Response:
    """A JSON answer whose bytes are made already; a replay says so in a header."""
    response = JsonResponse(content, status_code=status)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    if etag is not None:
        response.headers["ETag"] = etag
    return response
