"""Collections: make, list, describe, optimize, drop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.errors import ConflictError, ErrorDetail, InvalidRequestError, ModelUnavailableError, NotFoundError
from lumaai.results import CollectionInfo
from lumaai.routes import matching
from lumaai.routes.jobs import started
from lumaai.routes.operation import Call, Operation, Reach, json_response
from lumaai.routes.service import Service
from models import ModelName

PAGE_COLLECTIONS = 1_000
PATH = "/v1/collections/{c}"


async def create_collection(call: Call) -> Response:
    """201 if it is new, 200 if it is there and was declared the same, 409 if otherwise."""
    body = await call.body(wire.CreateCollection)
    given = body.model_dump(by_alias=True, exclude_unset=True)

    def create() -> tuple[CollectionInfo, bool]:
        with _expected(call):
            return _created(call.service, call.path("c"), given)

    info, is_new = await call.service.writes.run(create)
    return json_response(msgspec.json.encode(info.to_json()), 201 if is_new else 200, etag=etag_of(info))


def _created(service: Service, name: str, given: dict[str, Any]) -> tuple[CollectionInfo, bool]:
    for field, spec in (given.get("embed") or {}).items():
        check_model(f"/embed/{field}/model", spec.get("model"), service.settings.model)
    create = service.database.create_collection
    options = {key: given[key] for key in ("embed", "strict", "ttl", "description", "synonyms") if key in given}
    with model_of_the_caller():
        try:
            return create(name, given.get("fields"), **options).info(), True
        except ConflictError:
            return create(name, given.get("fields"), **options, exist_ok=True).info(), False


@contextmanager
def model_of_the_caller() -> Iterator[None]:
    """Where the caller chooses the model, its absence is the caller's to mend: 422, not 503."""
    try:
        yield
    except ModelUnavailableError as error:
        if error.code in {"model_not_found", "model_unsupported"}:
            raise InvalidRequestError(error.message, code=error.code) from error
        raise


def check_model(pointer: str, model: str | None, default: str) -> None:
    """Refuse directories and addresses: which files are read and which services are asked is for the operator to say.

    Raises:
        InvalidRequestError: `model` is a directory here or names an address, and is not the service's own model.
    """
    if model is None or model == default:
        return
    named = ModelName.parse(model)
    if named.is_directory or named.runtime in {"static", "hub"} or named.base_url is not None:
        message = f"a model over HTTP is a name, not a directory or an address: got={model!r:.100}"
        detail = ErrorDetail(pointer, "model_not_found", message)
        raise InvalidRequestError(message, code="model_not_found", errors=[detail])


async def list_collections(call: Call) -> Response:
    """All collections by name."""
    cursor = call.query(wire.CollectionsQuery).cursor
    found, next_cursor = await call.service.searches.run(call.database.infos_page, cursor, PAGE_COLLECTIONS)
    call.count_rows(len(found))
    content = {"collections": [info.to_json() for info in found], "next_cursor": next_cursor}
    return json_response(msgspec.json.encode(content))


async def get_collection(call: Call) -> Response:
    """Name, size and schema."""
    name, database = call.path("c"), call.service.database
    known = matching.known_versions(call)
    info = await call.service.searches.run(lambda: database.collection(name).info())
    etag = etag_of(info)
    if known is not None and (known == matching.ANY or etag in known):
        return Response(status_code=304, headers={"ETag": etag})
    return json_response(msgspec.json.encode(info.to_json()), etag=etag)


def etag_of(info: CollectionInfo) -> str:
    """What a collection is now, its last write included, as an ETag."""
    return f'"{hashlib.blake2b(msgspec.json.encode(info.to_json()), digest_size=12).hexdigest()}"'


@contextmanager
def _expected(call: Call) -> Iterator[None]:
    """Change a collection only if it is what If-Match and If-None-Match expect.

    Nobody else changes a declaration meanwhile; documents may be written between the comparison and the change.

    Raises:
        PreconditionFailedError: it is not.
    """
    wanted = matching.Expected.of(call)
    with call.service.declaring if wanted.is_said else nullcontext():
        if wanted.is_said:
            wanted.check(_etag_now(call))
        yield


def _etag_now(call: Call) -> str | None:
    try:
        return etag_of(call.service.database.collection(call.path("c")).info())
    except NotFoundError:
        return None


async def describe_collection(call: Call) -> Response:
    """Say what the collection and its fields are about."""
    said = (await call.body(wire.DescribeCollection)).model_dump(exclude_unset=True)
    name, database = call.path("c"), call.service.database

    def describe() -> CollectionInfo:
        with _expected(call):
            return database.collection(name).describe(**said)

    info = await call.service.writes.run(describe)
    return json_response(msgspec.json.encode(info.to_json()), etag=etag_of(info))


async def get_stats(call: Call) -> Response:
    """Segments, rows and bytes."""
    name, database = call.path("c"), call.service.database
    stats = await call.service.searches.run(lambda: database.collection(name).stats())
    return json_response(msgspec.json.encode(stats))


async def optimize_collection(call: Call) -> Response:
    """Seal and merge."""
    body = await call.body(wire.OptimizeCollection)
    name, database = call.path("c"), call.service.database
    if body.background:
        return await started(call, "optimize", name)
    await call.service.maintenance.run(lambda: database.collection(name).optimize(wait=body.wait))
    return Response(status_code=204)


async def drop_collection(call: Call) -> Response:
    """Remove a collection and all it holds."""

    def drop() -> None:
        with _expected(call):
            call.service.database.drop(call.path("c"))

    await call.service.writes.run(drop)
    return Response(status_code=204)


OPERATIONS = (
    Operation(
        id="list_collections",
        method="GET",
        path="/v1/collections",
        handler=list_collections,
        summary="List all collections",
        tag="collections",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.CollectionList},
        errors=(410,),
        query=wire.CollectionsQuery,
    ),
    Operation(
        id="create_collection",
        method="PUT",
        path=PATH,
        handler=create_collection,
        summary="Make a collection, or find it as it should be",
        tag="collections",
        answers={200: wire.CollectionInfo, 201: wire.CollectionInfo},
        body=wire.CreateCollection,
        errors=(409, 412, 507),
        takes_match=("If-None-Match",),
        gives_etag=True,
    ),
    Operation(
        id="get_collection",
        method="GET",
        path=PATH,
        handler=get_collection,
        summary="Describe a collection",
        tag="collections",
        verb=Verb.READ,
        answers={200: wire.CollectionInfo, 304: None},
        errors=(404,),
        takes_match=("If-None-Match",),
        gives_etag=True,
        query=wire.ReadQuery,
    ),
    Operation(
        id="describe_collection",
        method="PATCH",
        path=PATH,
        handler=describe_collection,
        summary="Say what a collection and its fields are about",
        tag="collections",
        answers={200: wire.CollectionInfo},
        body=wire.DescribeCollection,
        errors=(404, 412, 507),
        takes_match=("If-Match",),
        gives_etag=True,
    ),
    Operation(
        id="drop_collection",
        method="DELETE",
        path=PATH,
        handler=drop_collection,
        summary="Remove a collection and all it holds",
        tag="collections",
        answers={204: None},
        errors=(404, 412, 507),
        takes_match=("If-Match",),
    ),
    Operation(
        id="get_collection_stats",
        method="GET",
        path=f"{PATH}/stats",
        handler=get_stats,
        summary="Segments, rows and bytes of a collection",
        tag="collections",
        verb=Verb.READ,
        answers={200: wire.Stats},
        errors=(404,),
        query=wire.ReadQuery,
    ),
    Operation(
        id="optimize_collection",
        method="POST",
        path=f"{PATH}/optimize",
        handler=optimize_collection,
        summary="Seal and merge the segments of a collection",
        tag="collections",
        answers={202: wire.Job, 204: None},
        body=wire.OptimizeCollection,
        needs_body=False,
        errors=(404, 429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
)
