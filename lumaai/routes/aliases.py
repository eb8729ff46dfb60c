"""Aliases: other names of collections, switched at once."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.errors import NotFoundError
from lumaai.routes.operation import Call, Operation, Reach, json_response

PATH = "/v1/aliases"
ALIAS = f"{PATH}/{{a}}"


async def set_alias(call: Call) -> Response:
    """201 if the alias is new, 200 if it is there; from then on every request under that name goes to the collection.

    Takes `admin` on the collection that it is to lead to, on the one that it leads to now, and on the alias's own name.
    """
    alias, collection = call.path("a"), (await call.body(wire.SetAlias)).collection
    for name in (alias, collection):
        call.caller.check(Verb.ADMIN, name)
    call.caller.check(Verb.ADMIN, call.service.database.resolve(alias), alias)
    is_new = await call.service.writes.run(call.service.database.set_alias, alias, collection)
    return json_response(msgspec.json.encode({"alias": alias, "collection": collection}), 201 if is_new else 200)


async def get_alias(call: Call) -> Response:
    """The collection that an alias leads to."""
    alias = call.path("a")
    found = (await call.service.searches.run(call.database.aliases)).get(alias)
    if found is None:
        raise NotFoundError(f"alias does not exist: {alias!r:.140}", code="alias_not_found")
    return json_response(msgspec.json.encode({"alias": alias, "collection": found}))


async def list_aliases(call: Call) -> Response:
    """All aliases of collections that may be seen, by name."""
    found = await call.service.searches.run(call.database.aliases)
    listed = [{"alias": alias, "collection": collection} for alias, collection in found.items()]
    return json_response(msgspec.json.encode({"aliases": listed}))


async def drop_alias(call: Call) -> Response:
    """Remove an alias; its collection stays. Takes `admin` on that, and on the alias's own name."""
    alias = call.path("a")
    for name in (alias, call.service.database.resolve(alias)):
        call.caller.check(Verb.ADMIN, name, alias)
    await call.service.writes.run(call.service.database.drop_alias, alias)
    return Response(status_code=204)


OPERATIONS = (
    Operation(
        id="list_aliases",
        method="GET",
        path=PATH,
        handler=list_aliases,
        summary="List the aliases of collections",
        tag="collections",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.AliasList},
    ),
    Operation(
        id="get_alias",
        method="GET",
        path=ALIAS,
        handler=get_alias,
        summary="Which collection an alias leads to",
        tag="collections",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.Alias},
        errors=(404,),
    ),
    Operation(
        id="set_alias",
        method="PUT",
        path=ALIAS,
        handler=set_alias,
        summary="Make an alias, or switch it to another collection",
        tag="collections",
        reach=Reach.SOME,
        answers={200: wire.Alias, 201: wire.Alias},
        body=wire.SetAlias,
        errors=(404, 409, 507),
    ),
    Operation(
        id="drop_alias",
        method="DELETE",
        path=ALIAS,
        handler=drop_alias,
        summary="Remove an alias",
        tag="collections",
        reach=Reach.SOME,
        answers={204: None},
        errors=(404, 507),
    ),
)
