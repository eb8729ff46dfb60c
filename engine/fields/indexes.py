"""Indexes of a field within one immutable part: bitmaps of places, for conditions that need not look at every value.

`PostingsIndex` has a bitmap for each of few values; `SortedIndex` has the places in order of many numbers or moments.
Both keep running unions ("all places below this value"), so that a range is a difference of two bitmaps.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from engine.fields import kernels as pc
from engine.fields.bitmaps import bitmap_bytes, bitmap_of_mask, bitmap_of_places
from engine.fields.columns import without_negative_zero
from engine.fields.filter import in_integer_range
from engine.schema import JSON, Field, FieldType
from engine.writes.inference import parse_datetime

POSTINGS_VALUES_MAX = 1024
UNIONS_MAX = 64  # of a postings index; of a million places each takes 125 kB
STEPS = 256  # of a sorted index, between two of which places are taken one by one
UNIONED = 8  # steps between two unions of a sorted index
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER, FieldType.DATETIME)
INDEXED = (*_NUMBERS, FieldType.KEYWORD, FieldType.BOOLEAN)
_EQUALITIES = frozenset({"$eq", "$ne", "$in", "$nin", "$is_null"})
_ORDERS = frozenset({"$gt", "$gte", "$lt", "$lte"})
_LISTS = frozenset({"$contains", "$contains_any", "$contains_all"})
_ELSEWHERE = frozenset({"$exists", "$geo_radius", "$geo_box"})  # what values do not tell


class FieldIndex(Protocol):
    """Answers conditions on one field by bitmaps of places, which nobody writes to."""

    nbytes: int
    nulls: BitMap
    how: str

    def takes(self, op: str) -> bool:
        """Whether it answers an operator."""

    def is_range(self, op: str) -> bool:
        """Whether an operator is a bound of a range, which `range_of` finds: worth keeping."""

    @property
    def known(self) -> BitMap:
        """All places without null; of an index that answers ranges."""

    def below(self, op: str, value: JSON) -> BitMap | None:
        """All places below a bound (for `$gt` and `$lte`: or at it); None where nothing compares with it."""

    def find(self, op: str, value: JSON, within: BitMap | None, *, mine: bool = False) -> BitMap:
        """The places, of those in `within` (None: of all), at which the condition holds.

        With `mine`, `within` is the caller's own and may be changed: a new bitmap costs as much as what is done to it.
        """

    def lone(self, op: str, value: JSON) -> BitMap:
        """The places with a list of one string that satisfies one of `evaluate.CONTAINS` if it is in no list."""


def build_index(field: Field, column: Any) -> FieldIndex | None:
    """The index of a column; None where the field's type, or what stands in it, has none."""
    if field.type not in INDEXED:
        return None
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values, owners = (column.flatten(), _parents(column)) if field.many else (column, None)
    encoded = without_negative_zero(values).dictionary_encode()
    if len(encoded.dictionary) <= POSTINGS_VALUES_MAX:
        return PostingsIndex(field, column, encoded, owners)
    return SortedIndex(field, column) if field.type in _NUMBERS and not field.many else None


class PostingsIndex:
    """A bitmap a value, of at most `POSTINGS_VALUES_MAX` values; of lists, the places with such an element."""

    how = "postings"

    def __init__(self, field: Field, column: Any, encoded: Any, owners: npt.NDArray[np.int64] | None) -> None:
        order = pc.sort_indices(encoded.dictionary)
        rank = np.empty(len(order) + 1, dtype=np.int16)
        rank[order.to_numpy()] = np.arange(len(order))
        rank[-1] = -1
        codes = rank[encoded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False)]
        self._field = field
        self._rows = len(column)
        self._dictionary = encoded.dictionary.take(order)
        self._values = _plain(field, self._dictionary)
        self._codes = {value: code for code, value in enumerate(self._values)}
        self._bitmaps = _bitmaps(codes, owners, len(order))
        self.nulls = bitmap_of_mask(column.is_null().to_numpy(zero_copy_only=False))
        self._lone = BitMap()
        if field.many and field.type is FieldType.KEYWORD:
            lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
            self._lone = bitmap_of_mask(lengths == 1)
        self._step = max(1, -(-len(order) // UNIONS_MAX))
        self._below = [] if field.many or field.type not in _NUMBERS else _unions(self._bitmaps, self._step)
        bitmaps = [self.nulls, self._lone, *self._bitmaps, *self._below]
        self.nbytes = sum(map(bitmap_bytes, bitmaps)) + 200 * len(self._values) + int(self._dictionary.nbytes)

    def takes(self, op: str) -> bool:
        """See `FieldIndex.takes`."""
        return op not in _ELSEWHERE

    def is_range(self, op: str) -> bool:
        """See `FieldIndex.is_range`."""
        return op in _ORDERS and bool(self._below)

    def find(self, op: str, value: JSON, within: BitMap | None, *, mine: bool = False) -> BitMap:
        """See `FieldIndex.find`."""
        if op == "$eq":
            found = self._equal(value)
        elif self._below and op in _ORDERS:
            found = range_of(self, (op, value))
        elif op in ("$ne", "$nin"):
            found = self._equal(value) if op == "$ne" else self._any(value)
            return (BitMap(range(self._rows)) if within is None else within) - found
        elif op == "$in":
            found = self._any(value)
        elif op == "$is_null":
            found = self.nulls if value else BitMap(range(self._rows)) - self.nulls
        else:
            found = self._elements(op, value)
        if mine and within is not None:
            within &= found
            return within
        return found if within is None else found & within

    def lone(self, op: str, value: JSON) -> BitMap:
        """See `FieldIndex.lone`."""
        if not self._lone:
            return self._lone
        from engine.fields.evaluate import contains_mask

        hits = np.flatnonzero(contains_mask(self._field, self._dictionary, op, value)).tolist()
        return self._lone & BitMap.union(BitMap(), *(self._bitmaps[code] for code in hits))

    def _equal(self, value: JSON) -> BitMap:
        if value is None:
            return self.nulls
        code = self._codes.get(key) if (key := _key(self._field.type, value)) is not None else None
        return BitMap() if code is None else self._bitmaps[code]

    def _any(self, values: Sequence[JSON]) -> BitMap:
        found = [self._equal(value) for value in values]
        return BitMap.union(*found) if found else BitMap()

    def _elements(self, op: str, value: JSON) -> BitMap:
        """What the few values themselves tell, compared as a column of them would be."""
        if op == "$contains_all":
            found = BitMap(range(self._rows)) - self.nulls
            for item in value:
                found &= self._elements("$contains", item)
            return found
        if op == "$contains_any":
            return BitMap.union(BitMap(), *(self._elements("$contains", item) for item in value))
        if op == "$contains" and (self._field.many or self._field.type is not FieldType.KEYWORD):
            return BitMap() if value is None else self._equal(value)
        from engine.fields.evaluate import elements_mask

        hits = np.flatnonzero(elements_mask(self._field, self._dictionary, op, value)).tolist()
        return BitMap.union(BitMap(), *(self._bitmaps[code] for code in hits))

    def below(self, op: str, value: JSON) -> BitMap | None:
        """See `FieldIndex.below`."""
        key = _bound(self._field.type, op, value)
        if key is None:
            return None
        code = (bisect_left if op in ("$lt", "$gte") else bisect_right)(self._values, key)
        block, rest = divmod(code, self._step)
        edges = self._bitmaps[code - rest : code]
        return _joined(self._below[block], edges)

    @property
    def known(self) -> BitMap:
        """All places without null."""
        return self._below[-1]


class SortedIndex:
    """Places in order of their numbers or moments."""

    how = "sorted range"

    def __init__(self, field: Field, column: Any) -> None:
        if field.type is FieldType.DATETIME:
            column = column.cast(pa.int64())
        self._type = field.type
        self._rows = len(column)
        self.nulls = bitmap_of_mask(column.is_null().to_numpy(zero_copy_only=False))
        self._numbers = column.fill_null(0).to_numpy(zero_copy_only=False) if self.nulls else column.to_numpy()
        order = np.argsort(self._numbers, kind="stable").astype(np.uint32)
        if self.nulls:
            known = column.is_valid().to_numpy(zero_copy_only=False)
            order = order[known[order]]
        self._order = order
        self._step = max(1, -(-len(order) // STEPS))
        starts = range(0, len(order), self._step)
        self._lasts: list[Any] = [self._numbers[order[min(s + self._step, len(order)) - 1]].item() for s in starts]
        self._steps = [bitmap_of_places(np.sort(order[start : start + self._step])) for start in starts]
        self._below = _unions(self._steps, UNIONED)
        self.nbytes = int(order.nbytes) + sum(map(bitmap_bytes, [self.nulls, *self._steps, *self._below]))
        self.nbytes += int(self._numbers.nbytes) if self.nulls or column.offset else 0

    def takes(self, op: str) -> bool:
        """See `FieldIndex.takes`."""
        return op in _EQUALITIES or op in _ORDERS or op in _LISTS

    def is_range(self, op: str) -> bool:
        """See `FieldIndex.is_range`."""
        return op in _ORDERS

    def find(self, op: str, value: JSON, within: BitMap | None, *, mine: bool = False) -> BitMap:
        """See `FieldIndex.find`."""
        if op in ("$ne", "$nin"):
            found = self._any((value,) if op == "$ne" else value)
            return (BitMap(range(self._rows)) if within is None else within) - found
        if op in _ORDERS:
            found = range_of(self, (op, value))
        elif op == "$is_null":
            found = self.nulls if value else self._below[-1]
        elif op == "$contains_all":
            found = self._below[-1].copy()
            for item in value:
                found &= self._any(() if item is None else (item,))
        elif op in ("$contains", "$contains_any"):
            given = (value,) if op == "$contains" else value
            found = self._any([item for item in given if item is not None])
        else:
            found = self._any((value,) if op == "$eq" else value)
        if mine and within is not None:
            within &= found
            return within
        return found if within is None else found & within

    def lone(self, op: str, value: JSON) -> BitMap:  # noqa: ARG002  (it has no lists)
        """See `FieldIndex.lone`."""
        return BitMap()

    def _any(self, values: Sequence[JSON]) -> BitMap:
        keys = {key for value in values if (key := _key(self._type, value)) is not None}
        runs = [self._order[self._position(key, right=False) : self._position(key, right=True)] for key in keys]
        found = bitmap_of_places(np.concatenate(runs)) if runs else BitMap()
        return found | self.nulls if None in values else found

    def _position(self, key: Any, *, right: bool, within: tuple[int, int | None] = (0, None)) -> int:
        """How many numbers are below `key`, or (right) not above it; known to be from one number to another."""
        numbers, order = self._numbers, self._order
        return (bisect_right if right else bisect_left)(order, key, *within, key=numbers.__getitem__)

    def below(self, op: str, value: JSON) -> BitMap | None:
        """See `FieldIndex.below`."""
        key = _bound(self._type, op, value)
        if key is None:
            return None
        right = op in ("$gt", "$lte")
        step = (bisect_right if right else bisect_left)(self._lasts, key)  # the steps before are below as a whole
        block = step // UNIONED
        pieces = self._steps[block * UNIONED : step]
        if step < len(self._steps):
            pieces.append(self._edge(step, key, right=right))
        return _joined(self._below[block], pieces)

    @property
    def known(self) -> BitMap:
        """All places without null."""
        return self._below[-1]

    def _edge(self, step: int, key: Any, *, right: bool) -> BitMap:
        """The places of one step whose numbers are below `key`, or (right) not above it."""
        start = step * self._step
        end = min(start + self._step, len(self._order))
        cut = self._position(key, right=right, within=(start, end))
        if cut - start <= end - cut:
            return bitmap_of_places(np.sort(self._order[start:cut]))
        return self._steps[step] - bitmap_of_places(np.sort(self._order[cut:end]))


def range_of(index: FieldIndex, *bounds: tuple[str, JSON]) -> BitMap:
    """The places that satisfy one bound of a range, or a lower one and then an upper one: an operator and a value each.

    Do not write to it.
    """
    lower, upper = None, index.known
    for op, value in bounds:
        below = index.below(op, value)
        if below is None:
            return BitMap()
        if op in ("$lt", "$lte"):
            upper = below
        else:
            lower = below
    return upper if lower is None else upper - lower


def _joined(large: BitMap, small: Sequence[BitMap]) -> BitMap:
    """A large set and some small ones, which are joined first: that is cheaper."""
    if not small:
        return large
    return large | (small[0] if len(small) == 1 else BitMap.union(*small))


def _parents(column: Any) -> npt.NDArray[np.int64]:
    parents: npt.NDArray[np.int64] = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    return parents


def _bitmaps(codes: npt.NDArray[np.int16], owners: npt.NDArray[np.int64] | None, count: int) -> list[BitMap]:
    """For each code the places that have it."""
    order = np.argsort(codes, kind="stable")  # a radix sort, of so narrow numbers
    bounds = np.searchsorted(codes[order], np.arange(count + 1, dtype=np.int16))
    places = order if owners is None else owners[order]
    return [bitmap_of_places(places[bounds[code] : bounds[code + 1]]) for code in range(count)]


def _unions(bitmaps: Sequence[BitMap], step: int) -> list[BitMap]:
    """The union of the first 0, `step`, 2 `step`, … bitmaps, and last of all."""
    unions = [BitMap()]
    for start in range(0, len(bitmaps), step):
        unions.append(BitMap.union(unions[-1], *bitmaps[start : start + step]))
    return unions


def _plain(field: Field, dictionary: Any) -> list[Any]:
    """Values as Python compares them; moments as microseconds."""
    values: list[Any] = (dictionary.cast(pa.int64()) if field.type is FieldType.DATETIME else dictionary).to_pylist()
    return values


def _key(type_: FieldType, value: JSON) -> Any:
    """What a value is looked up by; None where nothing can equal it."""
    match type_:
        case FieldType.KEYWORD:
            return value if isinstance(value, str) else None
        case FieldType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case FieldType.DATETIME:
            return _microseconds(value)
        case _ if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        case FieldType.INTEGER:
            return int(value) if in_integer_range(value) and value == int(value) else None
        case _:
            return _float(value)


def _bound(type_: FieldType, op: str, value: JSON) -> Any:
    """What values are compared with; None where nothing compares with it."""
    if type_ is FieldType.DATETIME:
        return _microseconds(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if type_ is FieldType.INTEGER:
        if not in_integer_range(value):
            return -math.inf if value < 0 else math.inf
        # x > 1.5 is x > 1, and x >= 1.5 is x >= 2: as floats, big integers would be rounded.
        return math.floor(value) if op in ("$gt", "$lte") else math.ceil(value)
    return _float(value)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond every float
        return math.inf if value > 0 else -math.inf


def _microseconds(value: JSON) -> int | None:
    moment = parse_datetime(value) if isinstance(value, str) else None
    return None if moment is None else int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))
