"""The bodies of searches: one request for all kinds of them.

What a search may be asked by depends on its mode: semantic by exactly one of a text, a vector, a document or examples;
keyword by a text; hybrid by a text, and for its semantic side by a vector, a document or examples instead of the text.
With `prefetch`, all of them may be missing: then what was prefetched is fused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn, Self, TypeAlias, TypeVar

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from lumaai.searchable import SEARCHES_MAX
from lumaai.wire.base import Background, MinSequence, Reading, Wire
from lumaai.wire.facets import Facets
from lumaai.wire.values import (
    QUERY_CHARACTERS_MAX,
    Base64Floats,
    DocumentId,
    FieldName,
    Filter,
    FloatList,
    Integer,
    Strings,
    not_blank,
)

EXAMPLES_MAX = 1_000
WEIGHT_MAX = 1_000_000
SOURCES = ("query", "vector", "id", "positive", "prefetch")

_Body = TypeVar("_Body")
Weight = Annotated[float, Field(ge=0, le=WEIGHT_MAX)]
Mode = Literal["semantic", "keyword", "hybrid"]


def _object_of(name: str) -> BeforeValidator:
    """A bare value as the object that it is short for."""
    return BeforeValidator(lambda value: {name: value} if isinstance(value, str) else value)


class SearchParams(Wire):
    """How hard to search; what is not said is chosen by each index from its calibration."""

    ef_search: Integer | None = Field(
        default=None, ge=1, le=100_000, description="Graphs: candidates kept while walking."
    )
    nprobe: Integer | None = Field(default=None, ge=1, le=65_536, description="Inverted lists: how many are searched.")
    oversample: Annotated[float, Field(ge=1, le=1_000)] | None = Field(
        default=None, description="Quantized vectors: candidates a result that are compared again exactly."
    )
    exact: bool = Field(default=False, description="Compare with every vector instead of using the index.")
    recall: Literal[0.95, 0.99] | None = Field(  # type: ignore[valid-type]  # pydantic takes floats
        default=None, description="The share of the true nearest that is to be found; instead of the others."
    )


class TextExample(Wire):
    """A text that is embedded."""

    text: Annotated[str, not_blank(QUERY_CHARACTERS_MAX)]


class IdExample(Wire):
    """A stored document."""

    id: DocumentId


class VectorExample(Wire):
    """A vector."""

    vector: FloatList | Base64Floats


def _kind(value: Any) -> str:
    """Which kind of example a value is, so that a fault is of that kind alone."""
    if isinstance(value, list):
        return "numbers"
    given = value if isinstance(value, dict) else value.__class__.model_fields if isinstance(value, Wire) else ()
    return next((kind for kind in ("text", "vector") if kind in given), "id")


Example: TypeAlias = Annotated[
    Annotated[TextExample, Tag("text")]
    | Annotated[IdExample, Tag("id")]
    | Annotated[VectorExample, Tag("vector")]
    | Annotated[FloatList, Tag("numbers")],
    Discriminator(_kind),
    _object_of("id"),
    Field(description="`{id}`, `{text}` or `{vector}`; a bare string is an id, a bare list a vector."),
]
Examples = Annotated[list[Example], Field(min_length=1, max_length=EXAMPLES_MAX, fail_fast=True)]
VectorFields = (
    FieldName
    | Annotated[list[FieldName], Field(min_length=1, max_length=16)]
    | Annotated[dict[FieldName, Weight], Field(min_length=1, max_length=16)]
)
TextFields = (
    Annotated[list[FieldName], Field(min_length=1, max_length=256)]
    | Annotated[dict[FieldName, Annotated[float, Field(gt=0, le=1_000)]], Field(min_length=1, max_length=256)]
)


class SideWeights(Wire):
    """How much the sides of a hybrid search count."""

    semantic: Weight = 1.0
    keyword: Weight = 1.0


class FusionSpec(Wire):
    """How several rankings become one."""

    method: Literal["rrf", "weighted", "dbsf"] | None = Field(
        default=None,
        description="By ranks; by scores from best to worst; by scores in standard deviations. null: dbsf for hybrid "
        "searches, rrf else.",
    )
    k: Integer = Field(default=60, ge=1, le=10_000, description="Of rrf: a rank counts 1 / (k + rank).")
    weights: SideWeights | Annotated[list[Weight], Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Of the sides of a hybrid search, or of the rankings in their order."
    )
    window: Integer = Field(default=30, ge=1, le=10_000, description="Documents taken of each ranking, at first.")


class RerankSpec(Wire):
    """The best hits, ordered anew by a model that reads them."""

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="late-interaction, or the name of a reranker; null: the service's own."
    )
    top: Integer | None = Field(
        default=None, ge=1, le=1_000, description="How many; at least limit + offset. null: 50, or as many as needed."
    )


class GroupSpec(Wire):
    """Hits gathered by a field; `limit` counts groups."""

    field: FieldName
    size: Integer = Field(default=1, ge=1, le=100, description="Hits of each group at most.")


class Sources(Wire):
    """What ranks documents."""

    query: Annotated[str, not_blank(QUERY_CHARACTERS_MAX)] = Field(
        default="", description="Text to embed and search for, to look for word by word, or both."
    )
    vector: FloatList | Base64Floats = Field(default=[], description="As many numbers as the vector field has.")
    id: DocumentId = Field(default="", description="Find documents like this one.")
    positive: Examples | None = Field(default=None, description="Find documents like these.")
    negative: Examples | None = Field(default=None, description="And unlike these.")
    strategy: Literal["average_vector", "best_score"] = Field(
        default="average_vector",
        description="Of examples. average_vector: near 2 × mean(positive) − mean(negative); best_score: every document "
        "is compared with every example.",
    )
    vector_field: VectorFields | None = Field(
        default=None, description="Needed where a collection has several; several, with weights if given, are fused."
    )
    text_fields: TextFields | None = Field(
        default=None, description='Where to look for words, with boosts: `["title^3", "plot"]`; null: all text fields.'
    )
    mode: Mode = "semantic"
    filter: Filter | None = None
    fusion: Annotated[FusionSpec, _object_of("method")] | None = None
    prefetch: Annotated[list[Prefetch], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="Searches whose hits are the only documents that this one ranks."
    )
    score_threshold: float | None = Field(default=None, description="Hits score at least so much.")
    params: SearchParams = SearchParams()

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        """What is asked by, as the mode takes it."""
        given = self.model_fields_set
        if getattr(self, "cursor", None):
            more = given - {"cursor", "limit", "select", "highlight", "min_sequence"}
            return self if not more else _refuse(f"a cursor takes no {min(more)}: it goes on with its search")
        targets: list[str] = [key for key in ("vector", "id") if key in given]
        if self.positive is not None or self.negative is not None:
            targets.append("positive" if self.positive is not None else "negative")
        has_query = "query" in given
        if not (has_query or targets) and self.prefetch is not None:
            if self.mode != "semantic":
                raise _misfit(f"mode {self.mode} needs a query")
            return self
        if self.mode == "semantic":
            wanted = "query or vector or id or positive"
            return _one(self, [*(["query"] if has_query else []), *targets], wanted)
        if not has_query:
            raise _misfit(f"mode {self.mode} needs a query")
        if self.mode == "keyword" and targets:
            raise _misfit(f"mode keyword takes a query only: got {' and '.join(targets)}")
        return self if not targets else _one(self, targets, "vector or id or positive")


def _one(body: _Body, given: list[str], wanted: str) -> _Body:
    if len(given) != 1:
        facts = {"wanted": wanted, "got": " and ".join(given) or "none of them"}
        raise PydanticCustomError("exactly_one", "give exactly one of {wanted}: got {got}", facts)
    return body


def _refuse(message: str) -> NoReturn:
    raise _misfit(message)


def _misfit(message: str) -> PydanticCustomError:
    return PydanticCustomError("exactly_one", "{message}", {"message": message})


_ANY_SOURCE = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in (*SOURCES, "negative")]})


class Prefetch(Sources):
    """A search within a search."""

    model_config = _ANY_SOURCE

    limit: Integer = Field(default=100, ge=1, le=10_000, description="Documents that it finds at most.")


class SearchRequest(Sources):
    """What is looked for, and what becomes of what is found.

    In this order: rerank, score_threshold, diversity, group_by, offset and limit.
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [key]} for key in (*SOURCES, "negative", "cursor")]}
    )

    limit: Integer = Field(default=10, ge=1)
    offset: Integer = Field(
        default=0, ge=0, description="Hits passed over. Pages see the state of their own moment; a scroll has cursors."
    )
    select: Strings | None = Field(default=None, description="Fields of the documents to give; null: all.")
    rerank: Annotated[RerankSpec, _object_of("model")] | None = None
    diversity: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="0: by score alone; 1: each hit as unlike those before it as can be."
    )
    group_by: Annotated[GroupSpec, _object_of("field")] | None = None
    facets: Facets | None = Field(
        default=None, description="What is to be counted of all documents that match the filter."
    )
    highlight: bool = Field(default=False, description="Say where the words of the query are in each hit.")
    min_sequence: MinSequence = None
    cursor: str | None = Field(
        default=None,
        description="null or empty: answer with `next_cursor`, for the hits that follow in the state of now; or such a "
        "cursor, with no other keys than limit, select and highlight.",
    )
    explain: bool = Field(default=False, description="Say what ran, and how long it took.")


class SearchBatchRequest(Reading):
    """Many vectors at once, answered with ids and scores only; or several searches of any kind."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["vectors"]}, {"required": ["searches"]}]})

    vectors: Annotated[list[FloatList], Field(min_length=1, fail_fast=True)] | Base64Floats = Field(
        default=[], description="Lists of equal length, or all numbers row after row as base64 float32."
    )
    vector_field: str | None = Field(default=None, description="Needed where a collection has several.")
    limit: Integer = Field(default=10, ge=1)
    filter: Filter | None = None
    params: SearchParams = SearchParams()
    searches: Annotated[list[SearchRequest], Field(min_length=1, max_length=SEARCHES_MAX)] = Field(
        default=[], description="Each as it would be alone; the keys beside it are those of `vectors`."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given: list[str] = [key for key in ("vectors", "searches") if key in self.model_fields_set]
        if given == ["searches"] and len(self.model_fields_set - {"min_sequence"}) > 1:
            raise _misfit("searches take no keys beside them")
        return _one(self, given, "vectors or searches")


class RecallRequest(Reading):
    """What searches find of what is there, measured on stored vectors."""

    queries: Integer = Field(default=100, ge=1, le=10_000, description="Stored vectors that are asked for neighbours.")
    limit: Integer = Field(default=10, ge=1, le=1_000, description="Neighbours of each.")
    vector_field: str | None = Field(default=None, description="Needed where a collection has several.")
    filter: Filter | None = None
    background: Background = False
