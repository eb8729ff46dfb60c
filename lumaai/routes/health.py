"""How the service is: alive, ready, measured, limited."""

from __future__ import annotations

import time

import msgspec
from starlette.responses import Response

import lumaai
from lumaai import wire
from lumaai.access import Verb
from lumaai.errors import LumaError
from lumaai.rates import Meter, Rate
from lumaai.routes.operation import Call, Operation, Reach, json_response
from lumaai.routes.service import Service
from lumaai.telemetry import METRICS_CONTENT_TYPE
from lumaai.translation import translate

TEXT = "text/plain"


async def healthz(_: Call) -> Response:
    """The process answers; needs no key."""
    return json_response(msgspec.json.encode({"status": "ok", "version": lumaai.__version__}))


async def readyz(call: Call) -> Response:
    """Whether requests can be served now, and if not, why."""
    reasons = await _reasons(call.service)
    content = msgspec.json.encode({"ready": not reasons, "reasons": reasons})
    return json_response(content, 503 if reasons else 200)


async def _reasons(service: Service) -> list[str]:
    full = [f"the {lane.name} queue is full" for lane in service.lanes if lane.taken >= lane.capacity]
    try:
        await service.operations.run(service.database.collections)
    except Exception as error:
        luma_error: LumaError | None = translate(error)
        if luma_error is None:
            raise
        return [*full, str(luma_error)]
    return full


async def metrics(call: Call) -> Response:
    """Counters and gauges in Prometheus' text format."""
    content = await call.service.operations.run(call.service.telemetry.exposition)
    return Response(content, media_type=METRICS_CONTENT_TYPE)


async def stats(call: Call) -> Response:
    """Bytes on disk and in memory."""
    content = await call.service.operations.run(call.service.database.stats)
    return json_response(msgspec.json.encode(content))


async def limits(call: Call) -> Response:
    """What one request may ask for at most, and how many requests its key may send."""
    settings = call.service.settings
    names = set(wire.Limits.model_fields) - {"question_characters_max", "caller"}
    content = {name: getattr(settings, name) for name in sorted(names)}
    others = {"question_characters_max": wire.QUESTION_CHARACTERS_MAX, "caller": _caller_limits(call.caller.meter)}
    return json_response(msgspec.json.encode({**content, **others}))


def _caller_limits(meter: Meter | None) -> dict[str, int | None]:
    rate = Rate() if meter is None else meter.rate
    remaining = {} if meter is None else meter.remaining(time.monotonic(), time.time())
    return {
        "requests_per_minute": rate.requests_per_minute,
        "requests_per_minute_remaining": remaining.get("minute"),
        "requests_per_day": rate.requests_per_day,
        "requests_per_day_remaining": remaining.get("day"),
    }


OPERATIONS = (
    Operation(
        id="healthz",
        method="GET",
        path="/healthz",
        handler=healthz,
        summary="Is the process alive?",
        tag="operations",
        verb=Verb.READ,
        reach=Reach.OPEN,
        answers={200: wire.Health},
    ),
    Operation(
        id="readyz",
        method="GET",
        path="/readyz",
        handler=readyz,
        summary="May it serve, and if not, why?",
        tag="operations",
        verb=Verb.READ,
        reach=Reach.KNOWN,
        answers={200: wire.Readiness, 503: wire.Readiness},
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Metrics for Prometheus",
        tag="operations",
        verb=Verb.READ,
        answers={200: TEXT},
        answer_media_type=TEXT,
    ),
    Operation(
        id="stats",
        method="GET",
        path="/v1/stats",
        handler=stats,
        summary="How much the database takes",
        tag="operations",
        verb=Verb.READ,
        answers={200: wire.DatabaseStats},
    ),
    Operation(
        id="limits",
        method="GET",
        path="/v1/limits",
        handler=limits,
        summary="What one request may ask for at most",
        tag="operations",
        verb=Verb.READ,
        reach=Reach.KNOWN,
        answers={200: wire.Limits},
    ),
)
