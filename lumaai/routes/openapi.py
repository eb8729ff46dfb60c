"""`/openapi.json`, drawn from the operations and the models that validate and answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from lumaai import wire
from lumaai.routes.links import links_of
from lumaai.routes.operation import JSON, Operation, Reach
from lumaai.settings import Settings

REF = "#/components/schemas/{model}"
PROBLEM = "application/problem+json"

DESCRIPTION = """A vector-first document database and question answering service.

Errors are RFC 9457 problem details with a `code` for programs and JSON Pointers to what is wrong. What one request
may ask for at most is at `/v1/limits`. Every answer carries `X-Request-Id`; a request may bring its own.
"""

TAGS = {
    "search": "Find documents by meaning.",
    "documents": "Put documents in, take them out.",
    "queries": "Ask in SQL and other query languages.",
    "questions": "Ask in natural language.",
    "models": "What models give by themselves, in OpenAI's shapes.",
    "collections": "What documents are kept in.",
    "maintenance": "Snapshots, checks, and giving disk back. These take as long as they take.",
    "jobs": "What takes long and goes on in the background.",
    "keys": "Who may do what.",
    "operations": "How the service is.",
}

PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "c": {"description": "Name of the collection.", "schema": {"type": "string", "pattern": wire.NAME_PATTERN}},
    "a": {"description": "Name of the alias.", "schema": {"type": "string", "pattern": wire.NAME_PATTERN}},
    "id": {
        "description": "Id of the document, at most 512 bytes of UTF-8; percent-encode what is special in URLs.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 512},
    },
    "model": {
        "description": "Id of the model, such as lumaai or lumaai/COLLECTION; slashes stand for themselves.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 512},
    },
    "lesson": {
        "description": "Id of a lesson.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    },
    "program": {
        "description": "Name of the program.",
        "schema": {"type": "string", "pattern": wire.NAME_PATTERN},
    },
    "name": {
        "description": "Name of the snapshot.",
        "schema": {"type": "string", "pattern": wire.SNAPSHOT_PATTERN},
    },
    "job": {"description": "Id of the job.", "schema": {"type": "string", "pattern": wire.JOB_ID_PATTERN}},
    "key": {"description": "Id of the API key.", "schema": {"type": "string", "pattern": wire.KEY_ID_PATTERN}},
}

KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes repeating harmless: the same request with the same key is done once, and answered the same.",
    "schema": {"type": "string", "pattern": wire.IDEMPOTENCY_KEY_PATTERN},
}
MATCH_PARAMETERS = {
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "Only if it has this one ETag, that is, if it is as it was then; `*`: only if it is there.",
        "schema": {"type": "string", "examples": ['"7"']},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "`*`: only if there is none yet.",
        "schema": {"const": "*"},
    },
}
KNOWN_PARAMETER = {
    **MATCH_PARAMETERS["If-None-Match"],
    "description": "ETags that are known already: 304 and no body where one of them is the right one.",
    "schema": {"type": "string"},
}
ETAG = {
    "ETag": {
        "description": "The document's version, for `If-Match` and `if_version`; or what the collection is now.",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]+"$'},
    }
}
LOCATION = {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}}
REPLAYED = {
    "Idempotency-Replayed": {
        "description": "The request was done before, under the same Idempotency-Key; this is what it answered.",
        "schema": {"const": "true"},
    }
}

ERRORS: dict[int, str] = {
    400: "The body is not JSON, or the path is not UTF-8.",
    401: "No API key or token, or one that is wrong, revoked or expired.",
    403: "The key does not allow this; or, where none is needed, the request is not this machine's.",
    404: "There is no such collection, document, snapshot or job.",
    408: "The body did not arrive in time, or a query took too long.",
    409: "What is there already is in the way.",
    410: "The cursor has expired, or the changes are no longer kept.",
    412: "A condition of the request does not hold: `errors` names the documents.",
    413: "Larger than a limit that the message names.",
    415: "The body is of another type.",
    422: "Understood, and cannot be done as asked: the message and `errors` say why.",
    429: "Too many requests with this key: Retry-After says when to send the next.",
    500: "A mistake of the service's; its log has more under the request's id.",
    503: "Busy, not ready, or too slow: `retryable` and Retry-After say whether to try again.",
    507: "The disk is full, or a query needs more memory than it may take.",
}


def openapi_document(
    operations: Sequence[Operation], settings: Settings, *, version: str, guarded: bool | None = None
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service.

    Args:
        operations: that it has.
        settings: of the service.
        version: likewise.
        guarded: it asks callers for keys; None: as far as the settings tell.
    """
    guarded = settings.has_credentials if guarded is None else guarded
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, settings, schemas, guarded=guarded
        )
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "LumaDB AI", "version": version, "description": DESCRIPTION},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas.definitions},
    }
    if guarded:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        }
    return document


class _Schemas:
    """JSON Schemas of all bodies: requests as they are validated, answers as they are written."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        requests = [op.body for op in operations if op.body is not None]
        given = [answer for op in operations for answer in op.answers.values()]
        answers = [answer for answer in given if answer is not None and not isinstance(answer, str)]
        problems: list[type[BaseModel]] = [wire.Problem, wire.OpenAIProblem]
        every: list[type[BaseModel]] = list(dict.fromkeys([*requests, *answers, *problems]))
        found, whole = models_json_schema([(model, "validation") for model in every], ref_template=REF)
        self._by_model = {model: schema for (model, _), schema in found.items()}
        self.definitions: dict[str, Any] = whole.get("$defs", {})

    def of(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._by_model[model]


def _operation(operation: Operation, settings: Settings, schemas: _Schemas, *, guarded: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": (operation.handler.__doc__ or "").strip(),
        "tags": [operation.tag],
        "responses": dict(_responses(operation, settings, schemas, guarded=guarded)),
    }
    parameters = [*_path_parameters(operation), *_query_parameters(operation)]
    if operation.takes_key:
        parameters.append(KEY_PARAMETER)
    is_read = operation.method == "GET"
    parameters += [KNOWN_PARAMETER if is_read else MATCH_PARAMETERS[name] for name in operation.takes_match]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content = {
            operation.body_media_type: {"schema": schemas.of(operation.body)},
            **{kind: {"schema": {"description": "Vectors or documents."}} for kind in operation.more_media_types},
        }
        described["requestBody"] = {"required": operation.needs_body, "content": content}
    elif operation.body_media_type != JSON:
        text = {"schema": {"description": "One document, a JSON object, on each line."}}
        others = {kind: {"schema": {"description": "One document a row."}} for kind in operation.more_media_types}
        described["requestBody"] = {"required": True, "content": {operation.body_media_type: text, **others}}
    if guarded and operation.reach is not Reach.OPEN:
        described["security"] = [{"bearer": []}, {"api_key": []}]
        described["description"] += f"\n\n{_needs(operation)}"
    return described


def _path_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]}


def _query_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    for name, schema in operation.query.model_json_schema().get("properties", {}).items():
        text = schema.pop("description", "")
        if operation.body is not None:  # which says it itself where it is JSON
            text = f"Of bodies that are arrays; JSON has a key for it. {text}".rstrip()
        yield {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _responses(
    operation: Operation, settings: Settings, schemas: _Schemas, *, guarded: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    header = {"X-Request-Id": {"description": "Id of the request.", "schema": {"type": "string"}}}
    for status, answer in operation.answers.items():
        headers = {
            **header,
            **(REPLAYED if operation.takes_key else {}),
            **(ETAG if operation.gives_etag else {}),
            **(LOCATION if status == HTTPStatus.ACCEPTED else {}),
        }
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": headers}
        if isinstance(answer, type):
            kind = JSON if status == HTTPStatus.ACCEPTED else operation.answer_media_type
            response["content"] = {kind: {"schema": schemas.of(answer)}}
        elif answer is not None:
            response["content"] = {answer: {"schema": {"type": "string"}}}
        links = links_of(operation.id, status, is_job=answer is wire.Job)
        if links:
            response["links"] = links
        if operation.streams is not None:
            response["content"][operation.streams] = {"schema": {"description": "Events, one after the other."}}
        yield str(status), response
    problem = {PROBLEM: {"schema": schemas.of(wire.OpenAIProblem if operation.like_openai else wire.Problem)}}
    for status in _error_statuses(operation, settings, guarded=guarded):
        if status in operation.answers:
            # Readiness has a body of its own for 503; the service's limits may still answer with a problem.
            continue
        yield str(status), {"description": ERRORS[status], "headers": header, "content": problem}


def _needs(operation: Operation) -> str:
    """What a key must allow, as a sentence."""
    if operation.reach is Reach.KNOWN:
        return "Takes any key."
    if "{c}" in operation.path:
        return f"Takes a key for `{operation.verb}` on the collection."
    if operation.reach is Reach.SOME:
        return f"Takes a key for `{operation.verb}`, and keeps to its collections."
    return f"Takes a key for `{operation.verb}` on all collections."


def _error_statuses(operation: Operation, settings: Settings, *, guarded: bool) -> list[int]:
    statuses = {422, 500, 503, *operation.errors}  # 422: any operation refuses a query string that it does not know
    if "{" in operation.path:
        statuses |= {400, 404}
    if operation.body is not None or operation.body_media_type != JSON:
        statuses |= {400, 408, 413, 415}
    if guarded and operation.reach is not Reach.OPEN:
        statuses |= {401, 403, 429}
    if operation.keeps_answer:
        statuses.add(409)
    if operation.query is not None and "min_sequence" in operation.query.model_fields:
        statuses.add(409)
    if operation.body is not None and "min_sequence" in operation.body.model_fields:
        statuses.add(409)
    if not guarded and not settings.insecure:
        statuses.add(403)
    if operation.like_openai:
        statuses = {400 if status == 422 else status for status in statuses}
    return sorted(statuses)
