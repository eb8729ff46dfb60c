"""What calls answer, embedded and over HTTP alike: frozen dataclasses that print well in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lumaai.errors import ErrorDetail

Document = dict[str, Any]

_PREVIEW_CHARACTERS = 80
_PREVIEW_HITS = 10


@dataclass(frozen=True, slots=True)
class PassageHit:
    """The best passage of a document that was found: characters `start` to `end` of one of its fields."""

    field: str
    start: int
    end: int
    text: str

    def to_json(self) -> dict[str, Any]:
        """The passage in the shape of the HTTP API."""
        return {"field": self.field, "start": self.start, "end": self.end, "text": self.text}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PassageHit:
        """Read the HTTP API's shape."""
        return cls(data["field"], data["start"], data["end"], data["text"])


@dataclass(frozen=True, slots=True)
class Highlight:
    """Where one text of a document has words of the query.

    Attributes:
        item: the text's place, where the field is a list.
        text: the part of it that shows most of them.
        start: of that part, in characters of the whole text.
        spans: (start, end) of each, in characters of the whole text.
    """

    field: str
    item: int | None
    text: str
    start: int
    spans: tuple[tuple[int, int], ...]

    def to_json(self) -> dict[str, Any]:
        """The highlight in the shape of the HTTP API."""
        spans = [list(span) for span in self.spans]
        return {"field": self.field, "item": self.item, "text": self.text, "start": self.start, "spans": spans}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Highlight:
        """Read the HTTP API's shape."""
        spans = tuple((int(start), int(end)) for start, end in data["spans"])
        return cls(data["field"], data["item"], data["text"], data["start"], spans)


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that was found; `score` is larger where it fits better.

    Attributes:
        highlights: with `highlight`, where the words of the query are.
    """

    id: str
    score: float
    document: Document
    passage: PassageHit | None = None
    highlights: tuple[Highlight, ...] | None = None

    def __repr__(self) -> str:
        text = self.passage.text if self.passage else _first_text(self.document)
        return f"Hit({self.id!r}, {self.score:.4f}, {_shortened(text)!r})"

    def to_json(self) -> dict[str, Any]:
        """The hit in the shape of the HTTP API."""
        passage = self.passage.to_json() if self.passage else None
        data = {"id": self.id, "score": self.score, "document": self.document, "passage": passage}
        if self.highlights is None:
            return data
        return {**data, "highlights": [highlight.to_json() for highlight in self.highlights]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Hit:
        """Read the HTTP API's shape."""
        passage = data.get("passage")
        return cls(
            data["id"],
            float(data["score"]),
            data.get("document") or {},
            PassageHit.from_json(passage) if passage else None,
            None if data.get("highlights") is None else tuple(map(Highlight.from_json, data["highlights"])),
        )


@dataclass(frozen=True, slots=True)
class HitGroup:
    """The hits with one value of the field that a search is grouped by."""

    value: Any
    ids: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The group in the shape of the HTTP API."""
        return {"value": self.value, "ids": list(self.ids)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HitGroup:
        """Read the HTTP API's shape."""
        return cls(data["value"], tuple(data["ids"]))


@dataclass(frozen=True, slots=True, repr=False)
class Hits(Sequence[Hit]):
    """Documents that were found, best first.

    Attributes:
        sequence: state of the database that was searched.
        milliseconds: time the search took where it ran, embedding of the query included.
        explain: how it ran, where that was asked for.
        groups: with `group_by`, whose hits are whose: those of one group stand together, in the groups' order. A
            document with several values is a hit of each.
        facets: what was counted of all documents that match the filter.
        next_cursor: with `cursor`, of the hits that follow; None where there are no more.
    """

    items: tuple[Hit, ...]
    sequence: int
    milliseconds: float
    explain: Mapping[str, Any] | None = None
    groups: tuple[HitGroup, ...] | None = None
    facets: Mapping[str, Any] | None = None
    next_cursor: str | None = None

    @property
    def ids(self) -> list[str]:
        """Ids of the documents, best first."""
        return [hit.id for hit in self.items]

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n,) float32, falling."""
        return np.array([hit.score for hit in self.items], dtype=np.float32)

    @property
    def documents(self) -> list[Document]:
        """The documents, best first."""
        return [hit.document for hit in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.items[index]

    def __repr__(self) -> str:
        head = f"{len(self.items)} hits in {self.milliseconds:.1f} ms (sequence {self.sequence})"
        lines = [f"{n:>3}. {hit!r}" for n, hit in enumerate(self.items[:_PREVIEW_HITS], start=1)]
        if len(self.items) > _PREVIEW_HITS:
            lines.append(f"     … and {len(self.items) - _PREVIEW_HITS} more")
        return "\n".join([head, *lines])

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        data: dict[str, Any] = {
            "hits": [hit.to_json() for hit in self.items],
            "sequence": self.sequence,
            "milliseconds": self.milliseconds,
        }
        if self.groups is not None:
            data["groups"] = [group.to_json() for group in self.groups]
        if self.facets is not None:
            data["facets"] = dict(self.facets)
        if self.next_cursor is not None:
            data["next_cursor"] = self.next_cursor
        return data if self.explain is None else {**data, "explain": dict(self.explain)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Hits:
        """Read the HTTP API's shape."""
        return cls(
            tuple(Hit.from_json(item) for item in data["hits"]),
            int(data["sequence"]),
            float(data["milliseconds"]),
            data.get("explain"),
            None if data.get("groups") is None else tuple(map(HitGroup.from_json, data["groups"])),
            data.get("facets"),
            data.get("next_cursor"),
        )


@dataclass(frozen=True, slots=True)
class BatchHits:
    """Answers to several queries at once, without documents.

    Attributes:
        ids: for each query, the ids of what was found, best first.
        scores: (queries, limit) float32; NaN where a query found fewer than `limit`.
    """

    ids: list[list[str]]
    scores: NDArray[np.float32]
    sequence: int = 0
    milliseconds: float = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API; each query's scores are as many as its ids."""
        scores = [row[: len(ids)].tolist() for row, ids in zip(self.scores, self.ids, strict=True)]
        return {
            "ids": self.ids,
            "scores": scores,
            "sequence": self.sequence,
            "milliseconds": self.milliseconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, limit: int) -> BatchHits:
        """Read the HTTP API's shape; the score array is `limit` wide, as it was asked for."""
        return cls.of(data["ids"], data["scores"], limit, int(data["sequence"]), float(data["milliseconds"]))

    @classmethod
    def of(
        cls,
        ids: list[list[str]],
        scores: Sequence[Sequence[float] | NDArray[np.float32]],
        limit: int,
        sequence: int,
        milliseconds: float,
    ) -> BatchHits:
        """Ragged rows of scores, padded with NaN to one array."""
        padded = np.full((len(ids), limit), np.nan, dtype=np.float32)
        for row, values in zip(padded, scores, strict=True):
            row[: len(values)] = values
        return cls(ids, padded, sequence, milliseconds)


@dataclass(frozen=True, slots=True)
class RecallLevel:
    """One set of parameters: the mean share of the true nearest documents that it finds, and its latency."""

    params: Mapping[str, Any]
    recall: float
    milliseconds_p50: float
    milliseconds_p99: float

    def to_json(self) -> dict[str, Any]:
        """The level in the shape of the HTTP API."""
        return {
            "params": dict(self.params),
            "recall": self.recall,
            "milliseconds_p50": self.milliseconds_p50,
            "milliseconds_p99": self.milliseconds_p99,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RecallLevel:
        """Read the HTTP API's shape."""
        p50, p99 = float(data["milliseconds_p50"]), float(data["milliseconds_p99"])
        return cls(data["params"], float(data["recall"]), p50, p99)


@dataclass(frozen=True, slots=True)
class RecallReport:
    """What searches find of what is there, by parameter.

    Attributes:
        queries: stored vectors that were asked for their neighbours.
        limit: neighbours of each.
        exact: comparing with every vector, whose recall is 1.
        levels: the default parameters first, then those that can be asked for.
    """

    queries: int
    limit: int
    exact: RecallLevel
    levels: tuple[RecallLevel, ...]

    def to_json(self) -> dict[str, Any]:
        """The report in the shape of the HTTP API."""
        levels = [level.to_json() for level in self.levels]
        return {"queries": self.queries, "limit": self.limit, "exact": self.exact.to_json(), "levels": levels}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RecallReport:
        """Read the HTTP API's shape."""
        levels = tuple(map(RecallLevel.from_json, data["levels"]))
        return cls(int(data["queries"]), int(data["limit"]), RecallLevel.from_json(data["exact"]), levels)


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """What became of one document of a batch.

    Attributes:
        id: of the document; None where it has no usable one.
        status: "added", "replaced", "skipped" (it was stored already, or was superseded within the batch) or "error".
        error: why it was refused.
    """

    id: str | None
    status: str
    error: ErrorDetail | None = None

    def to_json(self) -> dict[str, Any]:
        """The result in the shape of the HTTP API."""
        data = {"id": self.id, "status": self.status}
        return data if self.error is None else {**data, "error": self.error.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DocumentResult:
        """Read the HTTP API's shape."""
        error = data.get("error")
        return cls(data["id"], str(data["status"]), None if error is None else ErrorDetail.from_json(error))


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did. On return it is found by the next search, and as durable as `durability` says.

    Attributes:
        sequence: of the change; the versions of the documents written.
        durability: "sync": on disk, fsynced; "interval": synced within the interval; "none": with the next sync.
        skipped: documents that were stored already, byte for byte.
        errors: documents that were refused, with `index` in the batch (only with `atomic=False`).
        ids: ids of the documents written or skipped, in the order given.
        results: what became of each document, in the order given (only with `atomic=False`).
        replayed: the write was done before, under the same idempotency key; this is what it answered.
    """

    sequence: int
    durability: str
    added: int
    replaced: int
    skipped: int
    errors: tuple[ErrorDetail, ...] = ()
    ids: tuple[str, ...] = field(default=(), repr=False)
    results: tuple[DocumentResult, ...] = field(default=(), repr=False)
    replayed: bool = False

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API, where a header says whether it is a replay."""
        data = {
            "sequence": self.sequence,
            "durability": self.durability,
            "added": self.added,
            "replaced": self.replaced,
            "skipped": self.skipped,
            "errors": [error.to_json() for error in self.errors],
            "ids": list(self.ids),
        }
        return {**data, "results": [item.to_json() for item in self.results]} if self.results else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, replayed: bool = False) -> WriteResult:
        """Read the HTTP API's shape."""
        return cls(
            int(data["sequence"]),
            str(data["durability"]),
            int(data["added"]),
            int(data["replaced"]),
            int(data["skipped"]),
            tuple(ErrorDetail.from_json(item) for item in data.get("errors", ())),
            tuple(data.get("ids", ())),
            tuple(DocumentResult.from_json(item) for item in data.get("results", ())),
            replayed,
        )


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """How many documents a delete removed, or would remove (`dry_run`).

    Attributes:
        durability: how far the deletion is on disk; see `WriteResult`.
        replayed: the deletion was done before, under the same idempotency key; this is what it answered.
        dry_run: nothing was deleted.
    """

    sequence: int
    deleted: int
    durability: str = "sync"
    replayed: bool = False
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API, where a header says whether it is a replay."""
        answer = {"sequence": self.sequence, "deleted": self.deleted, "durability": self.durability}
        return {**answer, "dry_run": True} if self.dry_run else answer

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, replayed: bool = False) -> DeleteResult:
        """Read the HTTP API's shape."""
        dry_run = bool(data.get("dry_run", False))
        return cls(int(data["sequence"]), int(data["deleted"]), str(data["durability"]), replayed, dry_run)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Documents with the versions that they were read at, None where there is none.

    A version is what `if_version` takes: a write with it is refused if the document has changed since.
    """

    documents: list[Document | None]
    versions: list[int | None]

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        return {"documents": self.documents, "versions": self.versions}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fetched:
        """Read the HTTP API's shape."""
        return cls(list(data["documents"]), list(data["versions"]))


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection's name, size and schema (the body that `PUT /v1/collections/{c}` takes).

    Attributes:
        damaged: why it cannot be used, where its files are damaged; nothing else than its name is known then.
    """

    name: str
    documents: int
    sequence: int
    schema: Mapping[str, Any]
    damaged: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        info: dict[str, Any] = {
            "name": self.name,
            "documents": self.documents,
            "sequence": self.sequence,
            "schema": dict(self.schema),
        }
        return info if self.damaged is None else {**info, "damaged": self.damaged}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CollectionInfo:
        """Read the HTTP API's shape."""
        damaged = data.get("damaged")
        return cls(str(data["name"]), int(data["documents"]), int(data["sequence"]), data["schema"], damaged)


@dataclass(frozen=True, slots=True)
class ScrollPage:
    """A page of documents; `next_cursor` leads to the next one and is None on the last."""

    documents: list[Document]
    next_cursor: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        return {"documents": self.documents, "next_cursor": self.next_cursor}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScrollPage:
        """Read the HTTP API's shape."""
        return cls(list(data["documents"]), data.get("next_cursor"))


def _first_text(document: Document) -> str:
    """The first string field besides the id: enough to recognise a document by."""
    return next((v for key, v in document.items() if key != "id" and isinstance(v, str)), "")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _PREVIEW_CHARACTERS else f"{line[: _PREVIEW_CHARACTERS - 1]}…"
