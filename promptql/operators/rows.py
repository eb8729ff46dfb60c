"""What operators hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from engine import Coverage, FieldType, Filter, Passage, Relation, Rerank, Snapshot, parse_filter
from models import Embedder
from promptql.answer import LlmUse, Notice
from promptql.expressions import Predicate, Scalar, fields_of
from promptql.judgements import Judgements
from promptql.language_models import LanguageModels
from promptql.predicate import engine_filter
from promptql.watch import Watch

# How the best hits of a search of (snapshot, query, k) are ordered anew.
Reranking: TypeAlias = "Callable[[Snapshot, str, int], Rerank]"

_READ_APART = frozenset({FieldType.DATETIME, FieldType.GEO, FieldType.JSON})


@dataclass(frozen=True, slots=True)
class Rows:
    """A relation, and where it came from.

    Attributes:
        collection: the collection that its documents belong to; of several, the first one.
        passages: for rows of a search, the best passage of each document by id (None: the whole document).
        grouped: rows are groups of documents rather than documents.
        notices: what the reader should know.
        coverage: of a join, how much of both sides it put together.
        llm: what the step that gave them asked of a language model.
        quality: what that step promised and reached.
    """

    relation: Relation
    collection: str
    passages: Mapping[str, Passage | None] | None = None
    grouped: bool = False
    notices: tuple[Notice, ...] = ()
    coverage: Coverage | None = None
    llm: LlmUse | None = None
    quality: Mapping[str, Any] | None = None

    def over(self, relation: Relation) -> Rows:
        """The same origin, other rows."""
        return replace(self, relation=relation, coverage=None, llm=None, quality=None)


@dataclass(frozen=True, slots=True)
class Scope:
    """What operators may use.

    Attributes:
        snapshots: of the collections, of one moment.
        embedder_of: collection → its embedder.
        params: the values of the plan's parameters.
        rows_max: rows that a scan or a join may give.
        rerank: how searches order their best hits anew; None where nothing can.
        models: the language models that steps may ask; None where there is none.
        judgements: what those said before.
        watch: to be asked between pieces of long work whether it is still wanted, and told how far it is.
        done: what the steps before have given; each is there before a step that reads it begins.
        lookups: the single values among them.
    """

    snapshots: Mapping[str, Snapshot]
    embedder_of: Callable[[str], Embedder]
    params: Mapping[str, Scalar] = field(default_factory=dict)
    rows_max: int = 1_000_000
    rerank: Reranking | None = None
    models: LanguageModels | None = None
    judgements: Judgements = field(default_factory=Judgements)
    watch: Watch = field(default_factory=Watch)
    done: dict[str, Rows] = field(default_factory=dict)
    lookups: dict[str, Scalar] = field(default_factory=dict)


def filter_of(where: Predicate | None, params: Mapping[str, Scalar], snapshot: Snapshot) -> Filter | None:
    """The engine's filter of a predicate over documents.

    Returns:
        None where there is no predicate, or one that the engine's filters cannot say: of paths within JSON they read
        each part by itself, where a moment is a string, and a list may be a single value.
    """
    if where is None:
        return None
    paths = [
        snapshot.fields[name] for name in fields_of(where) if name in snapshot.fields.keys() - snapshot.schema.fields
    ]
    if any(path.many or path.type in _READ_APART for path in paths):
        return None
    data: Any = engine_filter(where, params, snapshot.fields)
    return None if data is None else parse_filter(data, snapshot.schema)
