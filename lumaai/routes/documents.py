"""Documents: add, fetch, delete, count, scroll."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.batch import Batch
from lumaai.collection import Collection
from lumaai.documents import Write
from lumaai.errors import (
    ErrorDetail,
    InvalidRequestError,
    LumaError,
    NotFoundError,
    PreconditionFailedError,
    TooLargeError,
)
from lumaai.options import WriteOptions
from lumaai.routes import matching
from lumaai.routes.binary import BINARY, documents_of, is_binary
from lumaai.routes.jobs import started
from lumaai.routes.keyed import once
from lumaai.routes.operation import Call, Operation, json_response

PATH = "/v1/collections/{c}"
DOCUMENT = f"{PATH}/documents/{{id}}"


async def write_documents(call: Call) -> Response:
    """Add, insert or patch a batch: all or nothing, unless `atomic` is false.

    The same request with the same Idempotency-Key is done once and answered the same for 24 hours.
    """
    if is_binary(call):
        asked, batch = await documents_of(call)
        durability, atomic = asked.durability, asked.atomic
        return await _written(call, asked.mode, batch, WriteOptions(atomic=atomic, durability=durability))
    body = await call.body(wire.WriteDocuments)
    _check_batch(call, len(body.if_version or ()), "versions", "/if_version")
    options = WriteOptions(body.atomic, body.if_version, body.if_absent, body.if_matches, body.durability)
    return await _written(call, body.mode, Batch(body.documents), options)


async def _written(call: Call, mode: str, batch: Batch, options: WriteOptions) -> Response:
    _check_batch(call, len(batch.documents), "documents")
    options = replace(options, idempotency_key=call.idempotency_key())
    options.check()
    collection = call.service.database.collection(call.path("c"))
    result = await call.service.write(collection, Write(mode, batch, options))
    call.count_rows(result.added + result.replaced)
    return json_response(msgspec.json.encode(result.to_json()), replayed=result.replayed)


async def fetch_documents(call: Call) -> Response:
    """Documents by their ids, null where there is none."""
    body = await call.body(wire.FetchDocuments)
    _check_batch(call, len(body.ids), "ids")
    collection = call.service.database.collection(call.path("c"))
    content, rows = await call.service.searches.run(
        _fetched, collection, body, call.service.settings.response_bytes_max
    )
    call.count_rows(rows)
    return json_response(content)


def _fetched(collection: Collection, body: wire.FetchDocuments, bytes_max: int) -> tuple[bytes, int]:
    stored, versions = collection.fetch_raw(body.ids, vectors=body.vectors, bytes_max=bytes_max)
    documents = [None if raw is None else msgspec.Raw(raw) for raw in stored]
    found = sum(document is not None for document in documents)
    content: dict[str, Any] = {"documents": documents}
    return msgspec.json.encode({**content, "versions": versions} if body.versions else content), found


async def delete_documents(call: Call) -> Response:
    """Delete the documents that are named, or that a filter matches.

    The same request with the same Idempotency-Key is done once and answered the same for 24 hours.
    """
    body = await call.body(wire.DeleteDocuments)
    _check_batch(call, len(body.ids), "ids")
    _check_batch(call, len(body.if_version or ()), "versions", "/if_version")
    chosen: dict[str, Any] = {name: getattr(body, name) for name in ("ids", "filter") if name in body.model_fields_set}
    conditions: dict[str, Any] = {
        "if_version": body.if_version,
        "if_matches": body.if_matches,
        "durability": body.durability,
    }
    if body.background:
        return await _delete_later(call, body, {**chosen, **conditions})
    delete = functools.partial(
        call.service.database.collection(call.path("c")).delete,
        **chosen, **conditions, dry_run=body.dry_run, idempotency_key=call.idempotency_key(),
    )  # fmt: skip
    result = await call.service.writes.run(delete)
    call.count_rows(result.deleted)
    return json_response(msgspec.json.encode(result.to_json()), replayed=result.replayed)


async def _delete_later(call: Call, body: wire.DeleteDocuments, given: dict[str, Any]) -> Response:
    if body.dry_run:
        message = "dry_run is answered at once: give it without background"
        raise InvalidRequestError(message, errors=[ErrorDetail("/dry_run", "invalid_value", message)])
    start = functools.partial(started, call, "delete", call.path("c"), given)
    key = call.idempotency_key()
    if key is None:
        return await start()
    return await once(call, key, f"{call.request.url.path}\0{body.model_dump_json()}".encode(), start)


async def count_documents(call: Call) -> Response:
    """How many documents match."""
    body = await call.body(wire.CountDocuments)
    collection = call.service.database.collection(call.path("c"))
    if body.explain and body.filter is not None:
        explained = await call.service.searches.run(collection.explain, body.filter)
        return json_response(msgspec.json.encode({"count": explained["count"], "explain": explained}))
    count = await call.service.searches.run(collection.count, body.filter)
    return json_response(msgspec.json.encode({"count": count}))


async def scroll_documents(call: Call) -> Response:
    """One page of all the documents that match."""
    body = await call.body(wire.ScrollDocuments)
    maximum = call.service.settings.scroll_limit_max
    if body.limit > maximum:
        message = f"limit is too large: scroll_limit_max={maximum} got={body.limit}"
        raise TooLargeError.at("/limit", message, maximum, body.limit, code="limit_too_large")
    collection = call.service.database.collection(call.path("c"))
    content, rows = await call.service.searches.run(
        _scrolled, collection, body, call.service.settings.response_bytes_max, call.caller.id
    )
    call.count_rows(rows)
    return json_response(content)


def _scrolled(collection: Collection, body: wire.ScrollDocuments, bytes_max: int, owner: str) -> tuple[bytes, int]:
    order_by = _order(body.order_by)
    documents, next_cursor = collection.scroll_raw(
        limit=body.limit, cursor=body.cursor, filter=body.filter, order_by=order_by, bytes_max=bytes_max, owner=owner
    )
    content = {"documents": [msgspec.Raw(raw) for raw in documents], "next_cursor": next_cursor}
    return msgspec.json.encode(content), len(documents)


def _order(given: Any) -> Any:
    """An order as it was given, without what pydantic made of it."""
    if isinstance(given, list):
        return [_order(key) for key in given]
    return given.model_dump(exclude_unset=True) if isinstance(given, wire.OrderSpec) else given


async def get_document(call: Call) -> Response:
    """One document; its ETag is its version."""
    document_id = call.path("id")
    known = matching.known_versions(call)
    collection = call.service.database.collection(call.path("c"))
    documents, versions = await call.service.searches.run(collection.fetch_raw, [document_id])
    if documents[0] is None:
        raise _not_found(document_id)
    call.count_rows(1)
    etag = matching.etag_of(versions[0])
    if known is not None and (known == matching.ANY or etag in known):
        return Response(status_code=304, headers={"ETag": etag})
    return json_response(documents[0], etag=etag)


async def put_document(call: Call) -> Response:
    """Add or replace one document; `If-Match` with an ETag, or `If-None-Match: *`, only if it is as the caller thinks.

    The same request with the same Idempotency-Key is done once and answered the same for 24 hours.
    """
    document_id = call.path("id")
    document = (await call.body(wire.PutDocument)).root
    _check_id(document, document_id)
    options = matching.write_options(call, document_id)
    collection = call.service.database.collection(call.path("c"))
    try:
        result = await call.service.write(collection, Write("add", Batch([document]), options))
    except (InvalidRequestError, TooLargeError, PreconditionFailedError) as error:
        raise _without_batch(error) from error
    call.count_rows(1)
    version: int | None = result.sequence
    if result.skipped:
        version = await call.service.searches.run(_version_of, collection, document_id, document)
    etag = None if version is None else matching.etag_of(version)
    content = msgspec.json.encode(result.to_json())
    return json_response(content, 201 if result.added else 200, replayed=result.replayed, etag=etag)


def _version_of(collection: Collection, document_id: str, document: dict[str, Any]) -> int | None:
    """The version of a document that was written before as it is; None if others have changed it since."""
    found = collection.fetch([document_id])
    stored = found.documents[0]
    is_same = stored is not None and all(key in document and document[key] == value for key, value in stored.items())
    return found.versions[0] if is_same else None


async def patch_document(call: Call) -> Response:
    """Change some fields of one document (RFC 7396); `If-Match` with an ETag: only if it is as the caller thinks.

    The same request with the same Idempotency-Key is done once and answered the same for 24 hours.
    """
    document_id = call.path("id")
    patch = (await call.body(wire.PatchDocument)).root
    _check_id(patch, document_id)
    options = matching.write_options(call, document_id)
    collection = call.service.database.collection(call.path("c"))
    try:
        result = await call.service.write(collection, Write("patch", Batch([patch]), options))
    except (InvalidRequestError, TooLargeError, PreconditionFailedError, NotFoundError) as error:
        raise _without_batch(error) from error
    call.count_rows(1)
    version: int | None = result.sequence
    if result.skipped and not result.replayed:  # nothing has changed
        version = (await call.service.searches.run(collection.fetch, [document_id])).versions[0]
    etag = None if version is None else matching.etag_of(version)
    return json_response(msgspec.json.encode(result.to_json()), replayed=result.replayed, etag=etag)


async def delete_document(call: Call) -> Response:
    """Delete one document; with `If-Match`, only if it has that ETag.

    The same request with the same Idempotency-Key is done once and answered the same for 24 hours.
    """
    document_id = call.path("id")
    options = matching.write_options(call, document_id)
    collection = call.service.database.collection(call.path("c"))
    delete = functools.partial(
        collection.delete, ids=[document_id], if_version=options.if_version, if_matches=options.if_matches,
        idempotency_key=options.idempotency_key,
    )  # fmt: skip
    try:
        result = await call.service.writes.run(delete)
    except PreconditionFailedError as error:
        raise _without_batch(error) from error
    if not result.deleted:
        raise _not_found(document_id)
    call.count_rows(1)
    return json_response(msgspec.json.encode(result.to_json()), replayed=result.replayed)


def _check_id(document: dict[str, Any], document_id: str) -> None:
    """Give a body the id of its path; another one is refused."""
    if document.setdefault("id", document_id) != document_id:
        message = "id in the body is not the id in the path: leave it out"
        raise InvalidRequestError(message, code="id_mismatch", errors=[ErrorDetail("/id", "id_mismatch", message)])


def _check_batch(call: Call, size: int, what: str, pointer: str = "") -> None:
    maximum = call.service.settings.batch_documents_max
    if size > maximum:
        message = f"too many {what} in one request: batch_documents_max={maximum} got={size}"
        raise TooLargeError.at(pointer or f"/{what}", message, maximum, size)


def _not_found(document_id: str) -> NotFoundError:
    return NotFoundError(f"document does not exist: {document_id!r:.100}", code="document_not_found")


def _without_batch(error: LumaError) -> LumaError:
    """The same error with pointers into the one document, not into a batch of it."""
    details = [
        ErrorDetail(d.pointer.removeprefix("/documents/0"), d.code, d.message, d.expected, d.got, id=d.id)
        for d in error.errors
    ]
    return type(error)(error.message, code=error.code, errors=details, status=error.status)


OPERATIONS = (
    Operation(
        id="write_documents",
        method="POST",
        path=f"{PATH}/documents",
        handler=write_documents,
        summary="Add, insert or patch a batch of documents",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.WriteResponse},
        body=wire.WriteDocuments,
        errors=(404, 409, 412, 507),
        takes_key=True,
        more_media_types=BINARY,
        query=wire.DocumentsQuery,
    ),
    Operation(
        id="fetch_documents",
        method="POST",
        path=f"{PATH}/documents:fetch",
        handler=fetch_documents,
        summary="Documents by their ids",
        tag="documents",
        verb=Verb.READ,
        answers={200: wire.DocumentList},
        body=wire.FetchDocuments,
        errors=(404,),
    ),
    Operation(
        id="delete_documents",
        method="POST",
        path=f"{PATH}/documents:delete",
        handler=delete_documents,
        summary="Delete documents by ids or by a filter",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.DeleteResponse, 202: wire.Job},
        body=wire.DeleteDocuments,
        errors=(404, 412, 429, 507),
        takes_key=True,
    ),
    Operation(
        id="count_documents",
        method="POST",
        path=f"{PATH}/count",
        handler=count_documents,
        summary="Count the documents that match",
        tag="documents",
        verb=Verb.READ,
        answers={200: wire.CountResponse},
        body=wire.CountDocuments,
        errors=(404,),
    ),
    Operation(
        id="scroll_documents",
        method="POST",
        path=f"{PATH}/scroll",
        handler=scroll_documents,
        summary="Page through all the documents that match",
        tag="documents",
        verb=Verb.READ,
        answers={200: wire.ScrollPage},
        body=wire.ScrollDocuments,
        errors=(404, 410),
    ),
    Operation(
        id="get_document",
        method="GET",
        path=DOCUMENT,
        handler=get_document,
        summary="One document",
        tag="documents",
        verb=Verb.READ,
        answers={200: wire.StoredObject, 304: None},
        errors=(404,),
        takes_match=("If-None-Match",),
        gives_etag=True,
        query=wire.ReadQuery,
    ),
    Operation(
        id="put_document",
        method="PUT",
        path=DOCUMENT,
        handler=put_document,
        summary="Add or replace one document",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.WriteResponse, 201: wire.WriteResponse},
        body=wire.PutDocument,
        errors=(404, 412, 507),
        takes_key=True,
        takes_match=("If-Match", "If-None-Match"),
        gives_etag=True,
    ),
    Operation(
        id="patch_document",
        method="PATCH",
        path=DOCUMENT,
        handler=patch_document,
        summary="Change some fields of one document",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.WriteResponse},
        body=wire.PatchDocument,
        errors=(404, 412, 507),
        takes_key=True,
        takes_match=("If-Match",),
        gives_etag=True,
    ),
    Operation(
        id="delete_document",
        method="DELETE",
        path=DOCUMENT,
        handler=delete_document,
        summary="Delete one document",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.DeleteResponse},
        errors=(404, 412, 507),
        takes_key=True,
        takes_match=("If-Match",),
    ),
)
