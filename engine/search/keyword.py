"""Keyword search over a snapshot: the best documents by BM25 among those that live in it, and what matches in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from pyroaring import BitMap

from engine.arrays import Mask, Ordinals
from engine.errors import InvalidInputError
from engine.hits import Hits
from engine.schema import FieldType, Schema
from engine.search.scope import Condition
from engine.text.errors import TextIndexDamagedError
from engine.text.highlight import FRAGMENT_CHARACTERS, best_fragment, find_spans
from engine.text.query import (
    BOOST_MAX,
    CLAUSES_MAX,
    Clause,
    Expansion,
    Occur,
    TextQuery,
    parse_boosts,
    parse_query,
)
from engine.text.view import Allowed, TextHits, TextView

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

TextFields: TypeAlias = Mapping[str, float] | Sequence[str]
"""Field → boost; or names, each perhaps as "title^3"."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """Where one text of a document matches.

    Attributes:
        field: of the text.
        item: its place, where the field is a list; else None.
        text: the part of it that shows most matches.
        start: of that part, in characters of the whole text.
        spans: (start, end) of each match in that part, in characters of the whole text.
    """

    field: str
    item: int | None
    text: str
    start: int
    spans: tuple[tuple[int, int], ...]


def text_fields(schema: Schema) -> list[str]:
    """Names of the fields that keyword searches look in."""
    return [name for name, field in schema.fields.items() if field.type is FieldType.TEXT]


def text_query(
    snapshot: Snapshot,
    query: str | TextQuery,
    fields: TextFields | None = None,
    *,
    match_all: bool = False,
    prefix: Expansion = Expansion.UNKNOWN,
    typos: Expansion = Expansion.UNKNOWN,
    strict: bool = False,
) -> TextQuery:
    """What was typed, as what is looked for.

    Args:
        snapshot: whose text fields are looked in.
        query: in the syntax of `engine.text.query`; one that is read already is taken as it is.
        fields: to look in; all text fields alike by default.
        match_all: see `TextQuery`.
        prefix: likewise.
        typos: likewise.
        strict: a quote that is not closed is an error, instead of plain text.

    Raises:
        InvalidInputError: a field is no text field, a boost is no number above 0, the query is too long, or the
            collection has no text field.
    """
    names = snapshot.text_names
    if not names:
        raise InvalidInputError(f"collection {snapshot.name!r} has no text field to search", pointer="/query")
    boosts = None if fields is None else _checked(_boosts(fields), names)
    if isinstance(query, TextQuery):
        given = query.fields if boosts is None else boosts
        return replace(query, fields=None if given is None else _checked(given, names))
    return TextQuery(parse_query(query, names, strict=strict), boosts, match_all, prefix, typos)


def search_text(snapshot: Snapshot, query: TextQuery, k: int, where: Condition) -> Hits:
    """The `k` documents with the highest scores that satisfy `where`; equal ones by ordinal.

    Raises:
        InvalidInputError: `k` is less than 1.
    """
    found = _search(snapshot, query, k, None if where is None and snapshot.is_whole_text else _allowed(snapshot, where))
    parts, places = _locate(snapshot, found.ordinals)
    return snapshot.hits(found.ordinals, found.scores, parts, places, [None] * len(places), found.explain)


def highlights(
    snapshot: Snapshot, query: TextQuery, ordinals: Ordinals, characters: int = FRAGMENT_CHARACTERS
) -> list[list[Highlight]]:
    """What matches in each of some documents of the snapshot: one part of each text that has a match.

    Args:
        snapshot: that the documents are in.
        query: what they were found by; its fields are looked in.
        ordinals: (n,) of the documents.
        characters: length of a part.
    """
    view = snapshot.text_view()
    matching = view.matching(_within(query, snapshot, view))
    wanted = np.asarray(ordinals, dtype=np.uint32)
    found: list[list[Highlight]] = [[] for _ in wanted]
    for name in text_fields(snapshot.schema):
        terms, phrases = matching.terms.get(name, set()), matching.phrases.get(name, set())
        if not terms and not phrases:
            continue
        for into, value in zip(found, snapshot.values_of(name, wanted), strict=True):
            many = isinstance(value, list)
            for item, text in enumerate(value if many else [value]):
                if isinstance(text, str):
                    fragment = best_fragment(text, find_spans(view.analyzers[name], text, terms, phrases), characters)
                    if fragment is not None:
                        shown = text[fragment.start : fragment.end]
                        into.append(Highlight(name, item if many else None, shown, fragment.start, fragment.spans))
    return found


def may_hold(snapshot: Snapshot, field: str, words: str, *, in_order: bool) -> BitMap | None:
    """Documents in a text field of which all of some words may stand, in this order or in any; None if it is no text.

    Every document for which `$match` (or, in order, `$phrase`) is true is among them, and of a field that is no list
    no other, but where a query of one character of a script without spaces is concerned.
    """
    known = snapshot.schema.fields.get(field)
    if known is None or known.type is not FieldType.TEXT:
        return None
    view = snapshot.text_view()
    tokens = list(view.analyzers[field].tokens(words, query=True))
    if in_order and len(tokens) > 1:
        clauses = [Clause(words, Occur.MUST, phrase=True)]
    else:
        clauses = [Clause(words[token.start : token.end], Occur.MUST) for token in tokens]
    if not clauses or len(clauses) > CLAUSES_MAX:
        return None if clauses else BitMap()
    query = TextQuery(tuple(clauses), {field: 1.0}, prefix=Expansion.NEVER, typos=Expansion.NEVER)
    return view.matching_ordinals(query)


def _boosts(fields: TextFields) -> Mapping[str, float]:
    if isinstance(fields, Mapping):
        return fields
    return parse_boosts([fields] if isinstance(fields, str) else fields)


def _checked(boosts: Mapping[str, float], names: Sequence[str]) -> Mapping[str, float]:
    if not boosts:
        raise InvalidInputError("fields is empty: expected at least one text field", pointer="/fields")
    for name, boost in boosts.items():
        if name not in names:
            known = ", ".join(names)
            raise InvalidInputError(f"no text field {name!r:.60}: expected one of {known}", pointer="/fields")
        if isinstance(boost, bool) or not 0 < boost <= BOOST_MAX:
            message = f"boost must be above 0 and at most {BOOST_MAX:g}: field={name!r:.60} got={boost!r:.40}"
            raise InvalidInputError(message, pointer="/fields")
    return boosts


def _locate(snapshot: Snapshot, ordinals: Ordinals) -> tuple[Any, Any]:
    """Part and place of each ordinal."""
    if len(snapshot.parts) == 1:
        known = snapshot.parts[0].ordinals
        first = int(known[0])
        if int(known[-1]) - first + 1 == len(known):
            return np.zeros(len(ordinals), dtype=np.int64), np.subtract(ordinals, first, dtype=np.int64)
    return snapshot.locate(ordinals)


def _search(snapshot: Snapshot, query: TextQuery, k: int, allowed: Allowed | None) -> TextHits:
    view = snapshot.text_view()
    try:
        return view.search(_within(query, snapshot, view), k, allowed)
    except TextIndexDamagedError as error:
        view = snapshot.text_view(instead_of=error)
        return view.search(_within(query, snapshot, view), k, allowed)


def _within(query: TextQuery, snapshot: Snapshot, view: TextView) -> TextQuery:
    """The query for the text fields of the snapshot alone: the index may know newer ones."""
    if query.fields is not None:
        return query
    names = snapshot.text_names
    return query if len(names) == len(view.fields) else replace(query, fields=dict.fromkeys(names, 1.0))


def _allowed(snapshot: Snapshot, where: Condition) -> Allowed:
    """The documents of the snapshot that satisfy `where`, whatever else the index holds."""
    parts = [(part.ordinals, snapshot.allowed(i, where)) for i, part in enumerate(snapshot.parts)]
    count = sum(len(each) if mask is None else int(np.count_nonzero(mask)) for each, mask in parts)

    def contains(ordinals: Ordinals) -> Mask:
        flags: Mask = np.zeros(len(ordinals), dtype=bool)
        for each, mask in parts:
            if len(each):
                places = np.minimum(np.searchsorted(each, ordinals), len(each) - 1)
                inside = each[places] == ordinals
                flags |= inside if mask is None else inside & mask[places]
        return flags

    def all_ordinals() -> Ordinals:
        kept = [each if mask is None else each[mask] for each, mask in parts]
        return np.concatenate(kept) if kept else np.empty(0, dtype=np.uint32)

    return Allowed(count, contains, all_ordinals)
