"""Steps that read a collection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from promptql.expression_json import predicate_to_json
from promptql.expressions import Predicate, steps_of
from promptql.steps.record import Record

SEARCH_K_MAX = 1_000
QUERY_CHARACTERS_MAX = 8_000


class SearchMode(StrEnum):
    """How a search finds documents."""

    SEMANTIC = "semantic"
    KEYWORD = "keyword"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Scan:
    """All documents of a collection that `where` admits, with `fields` (None: all of them) and the id.

    The order of its rows is that of writing.
    """

    op: ClassVar[str] = "scan"
    id: str
    collection: str
    where: Predicate | None = None
    fields: tuple[str, ...] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """A source reads no step."""
        return ()

    @property
    def references(self) -> tuple[str, ...]:
        """Steps whose values the conditions use."""
        return steps_of(self.where)

    @classmethod
    def read(cls, data: object, pointer: str) -> Scan:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "collection", "where", "fields"))
        return cls(record.text("id"), record.text("collection"), record.where(), record.optional_names("fields"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"collection": self.collection} | _narrowing(self.where, self.fields)


@dataclass(frozen=True, slots=True)
class Search:
    """The k documents that fit `query` best among those that `where` admits, with a column `_score`.

    Attributes:
        mode: None leaves it to the collection: semantic where it has embedded text, else keyword.
        rerank: have the best compared with the query once more by the reranker, where there is one.
    """

    op: ClassVar[str] = "search"
    id: str
    collection: str
    query: str
    k: int = 10
    where: Predicate | None = None
    fields: tuple[str, ...] | None = None
    mode: SearchMode | None = None
    rerank: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """A source reads no step."""
        return ()

    @property
    def references(self) -> tuple[str, ...]:
        """Steps whose values the conditions use."""
        return steps_of(self.where)

    @classmethod
    def read(cls, data: object, pointer: str) -> Search:
        """From JSON."""
        keys = ("id", "op", "collection", "query", "k", "where", "fields", "mode", "rerank")
        record = Record(data, pointer, keys)
        return cls(
            record.text("id"),
            record.text("collection"),
            record.text("query", QUERY_CHARACTERS_MAX),
            record.integer("k", 10, SEARCH_K_MAX),
            record.where(),
            record.optional_names("fields"),
            record.choice("mode", SearchMode) if record.has("mode") else None,
            record.flag("rerank"),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"collection": self.collection, "query": self.query, "k": self.k}
        if self.mode is not None:
            data["mode"] = self.mode.value
        if self.rerank:
            data["rerank"] = True
        return data | _narrowing(self.where, self.fields)


def _narrowing(where: Predicate | None, fields: tuple[str, ...] | None) -> dict[str, Any]:
    data: dict[str, Any] = {} if where is None else {"where": predicate_to_json(where)}
    return data if fields is None else data | {"fields": list(fields)}
