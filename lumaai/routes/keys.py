"""API keys: make, list, rotate, revoke. Only who may do everything everywhere may."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import ANYBODY
from lumaai.errors import ForbiddenError
from lumaai.routes.operation import Call, Operation, json_response

PATH = "/v1/keys"
KEY = f"{PATH}/{{key}}"


async def create_key(call: Call) -> Response:
    """The answer holds the key, this once: only a hash of it is kept."""
    body = await call.body(wire.CreateKey)
    _check_guarded(call)
    create = call.service.database.create_key
    made = await call.service.identifying.run(
        lambda: create(
            body.name,
            verbs=body.verbs,
            collections=body.collections,
            expires_in_seconds=body.expires_in_seconds,
            requests_per_minute=body.requests_per_minute,
            requests_per_day=body.requests_per_day,
        )
    )
    return json_response(msgspec.json.encode(made.to_json()), 201)


async def list_keys(call: Call) -> Response:
    """All keys with what they allow; no secrets."""
    service = call.service
    uses = service.gatekeeper.uses()

    def read() -> bytes:
        service.write_uses(uses)
        return msgspec.json.encode({"keys": [info.to_json() for info in service.database.api_keys()]})

    return json_response(await service.writes.run(read))


async def rotate_key(call: Call) -> Response:
    """Give a key another secret and leave the rest as it is; the answer holds it, this once."""
    grace, id_ = (await call.body(wire.RotateKey)).grace_seconds, call.path("key")
    _check_guarded(call)
    rotate = call.service.database.rotate_key
    made = await call.service.identifying.run(lambda: rotate(id_, grace_seconds=grace))
    return json_response(msgspec.json.encode(made.to_json()))


async def revoke_key(call: Call) -> Response:
    """From the next request on the key opens nothing."""
    _check_guarded(call)
    await call.service.writes.run(call.service.database.revoke_key, call.path("key"))
    return Response(status_code=204)


def _check_guarded(call: Call) -> None:
    """Refuse where no key is needed: anybody could make a key, and shut the others out.

    Raises:
        ForbiddenError: code "keys_need_administrator".
    """
    if call.caller is ANYBODY:
        raise ForbiddenError(
            "this service asks for no key, so nobody may make any here: use `lumaai keys create --db DIR` while it is "
            "stopped, or start it with LUMAAI_API_KEY",
            code="keys_need_administrator",
        )


OPERATIONS = (
    Operation(
        id="list_keys",
        method="GET",
        path=PATH,
        handler=list_keys,
        summary="List the API keys",
        tag="keys",
        answers={200: wire.KeyList},
    ),
    Operation(
        id="create_key",
        method="POST",
        path=PATH,
        handler=create_key,
        summary="Make an API key",
        tag="keys",
        answers={201: wire.NewKey},
        body=wire.CreateKey,
        errors=(403, 409, 507),
        takes_key=True,
        keeps_answer=True,
        gives_secret=True,
    ),
    Operation(
        id="rotate_key",
        method="POST",
        path=f"{KEY}:rotate",
        handler=rotate_key,
        summary="Give an API key another secret",
        tag="keys",
        answers={200: wire.NewKey},
        body=wire.RotateKey,
        needs_body=False,
        errors=(403, 404, 507),
        takes_key=True,
        keeps_answer=True,
        gives_secret=True,
    ),
    Operation(
        id="revoke_key",
        method="DELETE",
        path=KEY,
        handler=revoke_key,
        summary="Revoke an API key",
        tag="keys",
        answers={204: None},
        errors=(403, 404, 507),
    ),
)
