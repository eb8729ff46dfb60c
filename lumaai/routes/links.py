"""What an answer leads to: OpenAPI's links, for people who read the documents and for programs that follow them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """From an answer to an operation.

    Attributes:
        to: id of the operation.
        parameters: of it, as runtime expressions (https://spec.openapis.org/oas/v3.1.0#runtime-expressions).
        body: likewise, keys of its JSON body.
    """

    to: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As an OpenAPI link object."""
        found: dict[str, Any] = {"operationId": self.to}
        if self.parameters:
            found["parameters"] = dict(self.parameters)
        if self.body:
            found["requestBody"] = dict(self.body)
        return found


_HERE = {"c": "$request.path.c"}
_MADE = {"c": "$response.body#/name"}
_JOB = {"job": "$response.body#/id"}
_OF_COLLECTION = (
    "get_collection", "describe_collection", "write_documents", "search", "count_documents", "scroll_documents",
    "get_collection_stats", "get_collection_statistics", "list_collection_changes", "optimize_collection",
    "drop_collection",
)  # fmt: skip
_OF_JOB = tuple(Link(to, _JOB) for to in ("get_job", "cancel_job"))
_OF_DOCUMENT = tuple(
    Link(to, {**_HERE, "id": "$response.body#/ids/0"}) for to in ("get_document", "patch_document", "delete_document")
)
_OF_PROGRAM = tuple(
    Link(to, {"program": "$request.path.program"}) for to in ("get_program", "run_program", "delete_program")
)
_OF_ALIAS = tuple(Link(to, {"a": "$request.path.a"}) for to in ("get_alias", "drop_alias"))

# By operation and status of its answer. A status 202 leads to its job, whatever the operation.
LINKS: Mapping[tuple[str, int], tuple[Link, ...]] = {
    ("create_collection", 200): tuple(Link(to, _MADE) for to in _OF_COLLECTION),
    ("create_collection", 201): tuple(Link(to, _MADE) for to in _OF_COLLECTION),
    ("write_documents", 200): (*_OF_DOCUMENT, Link("fetch_documents", _HERE, {"ids": "$response.body#/ids"})),
    ("put_document", 200): tuple(
        Link(to, {**_HERE, "id": "$request.path.id"}) for to in ("get_document", "patch_document", "delete_document")
    ),
    ("scroll_documents", 200): (Link("scroll_documents", _HERE, {"cursor": "$response.body#/next_cursor"}),),
    ("list_collections", 200): (Link("list_collections", {"cursor": "$response.body#/next_cursor"}),),
    ("create_snapshot", 201): tuple(
        Link(to, {"name": "$response.body#/name"})
        for to in ("restore_snapshot", "download_snapshot", "delete_snapshot")
    ),
    ("start_reembedding", 202): tuple(Link(to, _HERE) for to in ("get_reembedding", "cancel_reembedding")),
    ("set_alias", 200): _OF_ALIAS,
    ("set_alias", 201): _OF_ALIAS,
    ("save_program", 200): _OF_PROGRAM,
    ("save_program", 201): _OF_PROGRAM,
    ("create_key", 201): tuple(Link(to, {"key": "$response.body#/id"}) for to in ("rotate_key", "revoke_key")),
    ("give_feedback", 200): (Link("delete_lesson", {"lesson": "$response.body#/lessons/0/id"}),),
}


def links_of(operation: str, status: int, *, is_job: bool) -> dict[str, Any]:
    """OpenAPI's links of an answer, by the ids of the operations they lead to."""
    found = (*LINKS.get((operation, status), ()), *(_OF_JOB if is_job else ()))
    return {link.to: link.to_json() for link in found}
