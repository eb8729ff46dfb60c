"""A filter over one part: indexes where fields have them, columns where they have not, one bitmap of places."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Mask
from engine.fields.bitmaps import bitmap_of_mask, bitmap_of_places, places_of
from engine.fields.evaluate import CONTAINS, evaluate
from engine.fields.filter import And, Comparison, Filter, Not, Or
from engine.fields.indexes import FieldIndex, range_of
from engine.schema import JSON, Field

NARROW_SHARE = 1 / 16  # of the rows: so few are taken out of a column rather than all of it compared


class Source(Protocol):
    """What a part tells of its fields."""

    @property
    def rows(self) -> int:
        """Number of documents."""

    def index(self, name: str) -> FieldIndex | None:
        """The index of a field; None where there is none now."""

    def kept(self, name: str, condition: str, make: Callable[[], BitMap]) -> BitMap:
        """What `make` found the last time for a condition on a field that has an index, or finds now."""

    def column(self, name: str) -> tuple[Field, Any] | None:
        """A field and its Arrow column; None for a field that no document has."""

    def nulls(self, name: str) -> Mask | None:
        """The documents that have the field, and null in it; None for none."""

    def scalars(self, name: str, places: npt.NDArray[Any]) -> Mask:
        """At which of some places the document has a single value rather than a list; (n,)."""

    def candidates(self, name: str, op: str, value: JSON) -> BitMap | None:
        """Places among which are all that satisfy a condition on words; None where nothing but the texts tells."""


@dataclass(frozen=True, slots=True)
class Between:
    """Both bounds of a range on one field; made of an `And`, and never handed out."""

    low: Comparison
    high: Comparison

    def to_json(self) -> JSON:
        """The JSON form."""
        return {self.low.field: {self.low.op: self.low.value, self.high.op: self.high.value}}


@dataclass(slots=True)
class Steps:
    """What was done, for `explain`."""

    steps: list[dict[str, JSON]] = field(default_factory=list)

    def add(self, how: str, condition: Filter | Between, considered: int, found: int, started: float) -> None:
        """One condition, or several that were compared together."""
        self.steps.append(
            {
                "condition": condition.to_json(),
                "how": how,
                "rows": considered,
                "found": found,
                "milliseconds": round(1000 * (time.perf_counter() - started), 3),
            }
        )


def select(
    where: Filter | Between,
    source: Source,
    within: BitMap | None = None,
    steps: Steps | None = None,
    *,
    mine: bool = False,
) -> BitMap:
    """The places, of those in `within` (None: of all), of the documents that satisfy `where`. Do not write to it.

    With `mine`, `within` is the caller's own and may be changed.
    """
    match where:
        case Comparison(name, op, value):
            index = _index(where, source)
            if index is not None:
                return _find(index, source, where, within, steps, mine=mine)
            candidates = source.candidates(name, op, value)
            if candidates is None:
                return _scan(where, source, within, steps)
            return _scan(where, source, candidates if within is None else candidates & within, steps, narrow=True)
        case Between(low, _):
            index = source.index(low.field)
            assert index is not None
            return _find(index, source, where, within, steps, mine=mine)
        case And(clauses):
            return _all(_flat(clauses), source, within, steps)
        case Or(clauses):
            scans, others = _split(clauses, source)
            parts = [*others, *([Or(scans)] if len(others) and len(scans) > 1 else scans)]
            if not others and scans:
                return _scan(where, source, within, steps)
            return BitMap.union(BitMap(), *(select(part, source, within, steps) for part in parts))
        case Not(clause):
            if _is_scan(clause, source):
                return _scan(where, source, within, steps)
            everything = BitMap(range(source.rows)) if within is None else within
            return everything - select(clause, source, within, steps)


def _find(
    index: FieldIndex,
    source: Source,
    where: Comparison | Between,
    within: BitMap | None,
    steps: Steps | None,
    *,
    mine: bool,
) -> BitMap:
    """By the index of a field."""
    started, considered = (0.0, 0) if steps is None else (time.perf_counter(), _size(within, source))
    if isinstance(where, Between):
        found = _range(index, source, within, where.low, where.high, mine=mine)
    elif index.is_range(where.op):
        found = _range(index, source, within, where, mine=mine)
    else:
        lone = _lone(index, source, where, within) if where.op in CONTAINS else None
        found = index.find(where.op, where.value, within, mine=mine)
        found = found | lone if lone else found
    if steps is not None:
        steps.add(index.how, where, considered, len(found), started)
    return found


def _lone(index: FieldIndex, source: Source, where: Comparison, within: BitMap | None) -> BitMap | None:
    """Of a field with lists, the strings in none that contain what a list would have to have."""
    lone = index.lone(where.op, where.value)
    if lone:
        lone = lone - index.find(where.op, where.value, within) if within is None else lone & within
    if not lone:
        return None
    places = places_of(lone)
    return bitmap_of_places(places[source.scalars(where.field, places)])


def _range(index: FieldIndex, source: Source, within: BitMap | None, *bounds: Comparison, mine: bool) -> BitMap:
    """What satisfies the bounds of one field is found as a whole, and kept: the next filter intersects two sets."""
    condition = f"{bounds[0].op} {bounds[0].value!r}"
    if len(bounds) > 1:
        condition = f"{condition} {bounds[1].op} {bounds[1].value!r}"
    found = source.kept(
        bounds[0].field, condition, lambda: range_of(index, *((bound.op, bound.value) for bound in bounds))
    )
    if within is None:
        return found
    if not mine:
        return within & found
    within &= found
    return within


def _all(clauses: Sequence[Filter], source: Source, within: BitMap | None, steps: Steps | None) -> BitMap:
    """Sets that are there first, then ranges (both bounds of a field as one), then what has to be compared.

    Each within what is left.
    """
    sets: list[tuple[Filter | Between, FieldIndex | None]] = []
    bounds: dict[str, tuple[FieldIndex, list[Comparison]]] = {}
    rest: list[tuple[Filter | Between, FieldIndex | None]] = []
    scans: list[Filter] = []
    for clause in clauses:
        index = _index(clause, source) if isinstance(clause, Comparison) else None
        if not isinstance(clause, Comparison) or index is None:
            if _is_scan(clause, source):
                scans.append(clause)
            else:
                rest.append((clause, None))
        elif not index.is_range(clause.op):
            sets.append((clause, index))
        elif clause.field in bounds:
            bounds[clause.field][1].append(clause)
        else:
            bounds[clause.field] = index, [clause]
    for index, own in bounds.values():
        sets += [(part, index) for part in (_ranges(own) if len(own) > 1 else own)]
    mine = False
    for part, index in (*sets, *rest):
        if index is not None and not isinstance(part, And | Or | Not):
            found = _find(index, source, part, within, steps, mine=mine)
        else:
            found = select(part, source, within, steps, mine=mine)
        mine = mine or (within is not None and found is not within)
        within = found
    if scans:
        return _scan(scans[0] if len(scans) == 1 else And(tuple(scans)), source, within, steps)
    return BitMap(range(source.rows)) if within is None else within


def _flat(clauses: Sequence[Filter]) -> Sequence[Filter]:
    """Those of an `And` within (a BETWEEN is one) stand for themselves."""
    for clause in clauses:
        if isinstance(clause, And) and clause.clauses:
            break
    else:
        return clauses
    return [part for clause in clauses for part in (_flat(clause.clauses) if isinstance(clause, And) else (clause,))]


def _ranges(bounds: Sequence[Comparison]) -> list[Filter | Between]:
    """Bounds of one field, lower and upper ones in pairs."""
    lows = [clause for clause in bounds if clause.op in ("$gt", "$gte")]
    highs = [clause for clause in bounds if clause.op in ("$lt", "$lte")]
    pairs = min(len(lows), len(highs))
    return [*map(Between, lows, highs), *lows[pairs:], *highs[pairs:]]


def _split(clauses: Sequence[Filter], source: Source) -> tuple[tuple[Filter, ...], list[Filter]]:
    """What must be compared value by value, which is quicker together, and the rest."""
    scans: list[Filter] = []
    others: list[Filter] = []
    for clause in clauses:
        (scans if _is_scan(clause, source) else others).append(clause)
    return tuple(scans), others


def _is_scan(where: Filter, source: Source) -> bool:
    """Whether no index helps with any of it."""
    match where:
        case Comparison():
            return _index(where, source) is None and source.candidates(where.field, where.op, where.value) is None
        case Not(clause):
            return _is_scan(clause, source)
        case And(clauses) | Or(clauses):
            return bool(clauses) and all(_is_scan(clause, source) for clause in clauses)


def _size(within: BitMap | None, source: Source) -> int:
    return source.rows if within is None else len(within)


def _index(where: Comparison, source: Source) -> FieldIndex | None:
    index = source.index(where.field)
    return index if index is not None and index.takes(where.op) else None


def _scan(where: Filter, source: Source, within: BitMap | None, steps: Steps | None, *, narrow: bool = False) -> BitMap:
    """By columns: all of them, or of few documents (or with `narrow`) only the values that are theirs."""
    started = time.perf_counter()
    considered = source.rows
    if within is not None and (narrow or len(within) <= source.rows * NARROW_SHARE):
        considered = len(within)
        places = places_of(within)
        found = bitmap_of_places(places[_taken(where, source, places)]) if considered else BitMap()
    else:
        found = bitmap_of_mask(evaluate(where, source.column, source.rows, source.nulls, source.scalars))
        if within is not None:
            found &= within
    if steps is not None:
        steps.add("text index" if narrow else "column scan", where, considered, len(found), started)
    return found


def _taken(where: Filter, source: Source, places: npt.NDArray[np.uint32]) -> Mask:
    """The filter over some documents only."""
    indices = pa.array(places)

    def column(name: str) -> tuple[Field, Any] | None:
        found = source.column(name)
        return None if found is None else (found[0], found[1].take(indices))

    def nulls(name: str) -> Mask | None:
        found = source.nulls(name)
        return None if found is None else found[places]

    def scalars(name: str, at: npt.NDArray[np.int64]) -> Mask:
        return source.scalars(name, places[at])

    return evaluate(where, column, len(places), nulls, scalars)
