"""A search of one collection: what is asked, checked, and what was found, as stored bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from engine import InvalidInputError, Passage, Schema, SearchParameters
from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.results import Document, Highlight, Hit, HitGroup, Hits, PassageHit

# limit + offset: beyond this a search is a scan, and `scroll` is made for that.
ROWS_MAX = 10_000
MODES = ("semantic", "keyword", "hybrid")
PARAMETERS = ("ef_search", "nprobe", "oversample", "exact", "recall")
DEFAULT_EFFORT = SearchParameters()

_NOTHING: Any = object()  # at a path, which is not null
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RawHits:
    """Documents that were found, best first, each as the JSON bytes it is stored as (`id` its first key).

    `to_json_bytes` is the body of the HTTP API's answer: documents go into it undecoded, except for the text of
    their passages and where fields are selected.
    """

    ids: list[str]
    scores: list[float]
    documents: list[bytes]
    passages: list[PassageHit | None]
    sequence: int
    milliseconds: float
    explain: Mapping[str, Any] | None = None
    groups: tuple[HitGroup, ...] | None = None
    facets: Mapping[str, Any] | None = None
    highlights: Sequence[tuple[Highlight, ...]] | None = None
    next_cursor: str | None = None
    is_paged: bool = False
    ran: Mapping[str, Any] | None = None  # as `explain`, whether that was asked for or not; no part of the answer

    def __len__(self) -> int:
        return len(self.ids)

    def to_json_bytes(self) -> bytes:
        """The answer as `Hits.to_json` has it, encoded."""
        hits: list[dict[str, Any]] = [
            {"id": id_, "score": score, "document": msgspec.Raw(document), "passage": passage}
            for id_, score, document, passage in zip(self.ids, self.scores, self.documents, self.passages, strict=True)
        ]
        if self.highlights is not None:
            for hit, highlights in zip(hits, self.highlights, strict=True):
                hit["highlights"] = highlights
        body: dict[str, Any] = {"hits": hits, "sequence": self.sequence, "milliseconds": self.milliseconds}
        if self.groups is not None:
            body["groups"] = self.groups
        if self.facets is not None:
            body["facets"] = self.facets
        if self.is_paged:
            body["next_cursor"] = self.next_cursor
        return _encode(body if self.explain is None else {**body, "explain": self.explain})

    def decoded(self) -> Hits:
        """The same with documents as dicts."""
        rows = zip(self.ids, self.scores, self.documents, self.passages, strict=True)
        hits = tuple(Hit(id_, score, _decode(document), passage) for id_, score, document, passage in rows)
        if self.highlights is not None:
            hits = tuple(replace(hit, highlights=each) for hit, each in zip(hits, self.highlights, strict=True))
        return Hits(hits, self.sequence, self.milliseconds, self.explain, self.groups, self.facets, self.next_cursor)


def passage_hit(document: bytes, passage: Passage | None) -> PassageHit | None:
    """A passage with its text, taken out of the document."""
    if passage is None:
        return None
    text = _decode(document)[passage.field][passage.start : passage.end]
    return PassageHit(passage.field, passage.start, passage.end, text)


def selected(document: bytes, fields: Sequence[str]) -> bytes:
    """The document with its id and some of its fields only; of an object what stands at a path: `venue.city`."""
    decoded: Document = _decode(document)
    wanted = {"id", *fields}
    paths = _path_tree(name for name in wanted - decoded.keys() if "." in name)
    found = {}
    for name, value in decoded.items():
        part = value if name in wanted else _part(value, paths[name]) if name in paths else _NOTHING
        if part is not _NOTHING:
            found[name] = part
    return _encode(found)


def _path_tree(paths: Iterable[str]) -> dict[str, Any]:
    """Key → the keys below it that are wanted; None for all."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):  # `a.b` before `a.b.c`, which it holds
        *keys, last = path.split(".")
        node: dict[str, Any] | None = tree
        for key in keys:
            node = None if node is None else node.setdefault(key, {})
        if node is not None:
            node[last] = None
    return tree


def _part(value: Any, tree: Mapping[str, Any] | None) -> Any:
    """Of an object, or of those in a list, what is wanted."""
    if tree is None:
        return value
    if isinstance(value, list):
        return [part for item in value if (part := _part(item, tree)) is not _NOTHING] or _NOTHING
    if not isinstance(value, dict):
        return _NOTHING
    parts = {key: _part(value[key], tree[key]) for key in value if key in tree}
    return {key: part for key, part in parts.items() if part is not _NOTHING} or _NOTHING


def check_mode(mode: object) -> None:
    """Refuse what is no way to search.

    Raises:
        InvalidRequestError: there is no such mode.
    """
    if mode not in MODES:
        raise _at("/mode", f"mode must be 'semantic', 'keyword' or 'hybrid': got={mode!r:.40}")


def check_rows(limit: object, offset: object = 0) -> int:
    """How many neighbours to ask for so that `limit` remain after `offset`.

    Raises:
        InvalidRequestError: not whole numbers, or out of range.
    """
    rows = whole_number("limit", limit, least=1) + whole_number("offset", offset, least=0)
    if rows > ROWS_MAX:
        raise _at("/limit", f"limit + offset is too large: maximum={ROWS_MAX} got={rows}")
    return rows


def check_page(limit: object) -> int:
    """How many documents a page of a scroll has at most.

    Raises:
        InvalidRequestError: not a whole number, or out of range.
    """
    rows = whole_number("limit", limit, least=1)
    if rows > ROWS_MAX:
        raise _at("/limit", f"limit is too large: maximum={ROWS_MAX} got={rows}")
    return rows


def whole_number(name: str, value: object, *, least: int) -> int:
    """A whole number of at least `least`.

    Raises:
        InvalidRequestError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise _at(f"/{name}", f"{name} must be a whole number: got={type(value).__name__}")
    if value < least:
        raise _at(f"/{name}", f"{name} must be at least {least}: got={value}")
    return value


def effort_of(params: Mapping[str, Any] | None) -> SearchParameters:
    """The search parameters.

    Raises:
        InvalidRequestError: an unknown one, or one of the wrong type or size.
    """
    if params is None:
        return DEFAULT_EFFORT
    if not isinstance(params, Mapping):
        raise _at("/params", f"params must be an object: got={type(params).__name__}")
    unknown = [key for key in params if key not in PARAMETERS]
    if unknown:
        raise _at(
            f"/params/{unknown[0]}",
            f"unknown search parameter {unknown[0]!r}: expected one of {', '.join(PARAMETERS)}",
        )
    try:
        return SearchParameters(**params)
    except InvalidInputError as error:
        raise _at(error.pointer or "/params", str(error)) from error


def check_strings(name: str, values: object) -> list[str]:
    """A list of strings.

    Raises:
        InvalidRequestError: it is none; a bare string is none either.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise _at(f"/{name}", f"{name} must be a list of strings: got={type(values).__name__}")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise _at(f"/{name}/{index}", f"{name} must hold strings: got={type(value).__name__}")
    return list(values)


def vector_field_of(schema: Schema, name: str | None, *, embedded: bool) -> str:
    """Which vector field to search: the one named, else the only one there is.

    Args:
        schema: the collection's.
        name: as the caller gave it.
        embedded: it must be made by a model, because the query is text.

    Raises:
        InvalidRequestError: there is none, several, or none of that name.
    """
    names = list(schema.embed if embedded else schema.vectors)
    if name is not None and name in names:
        return name
    if name is None and len(names) == 1:
        return names[0]
    have = f"expected one of {', '.join(names)}" if names else "the collection has none"
    kind = "embedded vector field" if embedded else "vector field"
    what = f"no {kind} {name!r}" if name is not None else f"no {kind}" if not names else f"name the {kind}"
    raise _at("/vector_field", f"{what}: {have}")


def _at(pointer: str, message: str) -> InvalidRequestError:
    code = "invalid_value"
    return InvalidRequestError(message, code=code, errors=[ErrorDetail(pointer, code, message)])
