"""What the values of each field are like: counts, bounds, the most frequent, how they are spread.

For planners: figures of immutable parts are kept and joined, so that they follow the snapshot at the cost of the head.
Counts of documents and of nulls are exact; bounds, distinct values and the rest are, while few of a part's documents
are deleted, those of the part with them.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.fields import kernels as pc
from engine.fields.columns import without_negative_zero
from engine.fields.values import json_value
from engine.filtering import chosen_places, column_of
from engine.schema import JSON, Field, FieldType

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

EXACT_MAX = 1_024  # distinct values of a part up to which they are all kept
TOP = 10
STEPS = 20  # of a histogram, each of about as many values
SAMPLE = 2_048  # values of a part that stand for all
STALE_SHARE = 0.01  # of a part's documents that may be deleted before its figures are made anew
REGISTERS_BITS = 12  # of HyperLogLog: a standard error of 1.6 %
_ORDERED = (FieldType.INTEGER, FieldType.NUMBER, FieldType.DATETIME)
_BOUNDED = (*_ORDERED, FieldType.KEYWORD, FieldType.TEXT, FieldType.BOOLEAN)


@dataclass(frozen=True, slots=True)
class FieldStatistics:
    """Figures of one field.

    Attributes:
        type: of the field.
        many: its values are lists; all but `count` and `nulls` is about their elements.
        count: documents with a value.
        nulls: documents without.
        distinct: different values, about (1.6 %) where `exact` is false.
        exact: whether `distinct` and `top` are exact.
        min: the smallest value; None where there is none, or no order.
        max: the largest.
        top: the most frequent values and how often each stands.
        histogram: of numbers and datetimes, (from, to, count) of steps with about as many values each.
    """

    type: str
    many: bool
    count: int
    nulls: int
    distinct: int
    exact: bool
    min: JSON = None
    max: JSON = None
    top: tuple[tuple[JSON, int], ...] = ()
    histogram: tuple[tuple[JSON, JSON, int], ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """As JSON."""
        return {
            "type": self.type, "many": self.many, "count": self.count, "nulls": self.nulls,
            "distinct": self.distinct, "exact": self.exact, "min": self.min, "max": self.max,
            "top": [{"value": value, "count": count} for value, count in self.top],
            "histogram": [{"from": low, "to": high, "count": count} for low, high, count in self.histogram],
        }  # fmt: skip


@dataclass(slots=True)
class _Figures:
    """What can be joined, of one field in one part."""

    count: int = 0
    nulls: int = 0
    values: int = 0
    registers: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1 << REGISTERS_BITS, dtype=np.uint8))
    counts: Counter[Any] = field(default_factory=Counter)  # by Arrow value; all of them, or the most frequent
    exact: bool = True
    low: Any = None
    high: Any = None
    sample: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0))
    weights: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


class StatisticsCache:
    """Figures of the fields of immutable parts, as long as the parts are. `_lock` guards the table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: weakref.WeakKeyDictionary[Any, dict[tuple[str, Field], tuple[int, _Figures]]] = (
            weakref.WeakKeyDictionary()
        )

    def get(self, part: Any, name: str, field: Field, dead: int) -> _Figures | None:
        """What was kept when about as many documents of the part were dead."""
        with self._lock:
            known = self._kept.get(part, {}).get((name, field))
        if known is None or dead - known[0] > STALE_SHARE * len(part.ordinals) or dead < known[0]:
            return None
        return known[1]

    def put(self, part: Any, name: str, field: Field, dead: int, figures: _Figures) -> None:
        """Keep it, where the part stays."""
        if part.lasts:
            with self._lock:
                self._kept.setdefault(part, {})[name, field] = dead, figures


def field_statistics(snapshot: Snapshot) -> dict[str, FieldStatistics]:
    """Figures of every field but vectors, and of the leaves of objects."""
    return {name: _of_field(snapshot, name, spec) for name, spec in snapshot.fields.items()}


def _of_field(snapshot: Snapshot, name: str, spec: Field) -> FieldStatistics:
    total = _Figures()
    nulls = 0
    for i, part in enumerate(snapshot.parts):
        live = chosen_places(snapshot, i, None, None)
        dead = 0 if live is None else int(len(live) - np.count_nonzero(live))
        figures = snapshot.statistics_cache.get(part, name, spec, dead)
        if figures is None:
            column = column_of(snapshot, i, name, spec)
            figures = _figures(spec, column if live is None else column.filter(pa.array(live)))
            snapshot.statistics_cache.put(part, name, spec, dead, figures)
            nulls += figures.nulls
        else:
            known = column_of(snapshot, i, name, spec).is_null()
            nulls += int(pc.sum(known if live is None else pc.and_(known, pa.array(live))).as_py() or 0)
        _join(total, figures)
    return _public(spec, total, snapshot.count() - nulls, nulls)


def _figures(spec: Field, column: Any) -> _Figures:
    """Of one column, by Arrow's kernels."""
    figures = _Figures(count=len(column) - column.null_count, nulls=column.null_count)
    values = without_negative_zero((column.flatten() if spec.many else column).drop_null())
    figures.values = len(values)
    if spec.type is FieldType.GEO or not len(values):
        return figures
    counted = pc.value_counts(values)
    distinct, counts = counted.field("values"), counted.field("counts")
    if spec.type is FieldType.DATETIME:
        values, distinct = values.cast(pa.int64()), distinct.cast(pa.int64())
    figures.registers = _registers(_hashes(distinct))
    figures.exact = len(distinct) <= EXACT_MAX
    if not figures.exact:
        best = pc.select_k_unstable(counts, EXACT_MAX, sort_keys=[("", "descending")])
        distinct, counts = distinct.take(best), counts.take(best)
    figures.counts = Counter(dict(zip(distinct.to_pylist(), counts.to_pylist(), strict=True)))
    if spec.type in _BOUNDED:
        bounds = pc.min_max(values)
        figures.low, figures.high = bounds["min"].as_py(), bounds["max"].as_py()
    if spec.type in _ORDERED:
        numbers = np.sort(values.to_numpy(zero_copy_only=False))
        places = np.unique(np.linspace(0, len(numbers) - 1, min(SAMPLE, len(numbers))).astype(np.int64))
        figures.sample = numbers[places]
        figures.weights = np.full(len(places), len(numbers) / len(places))
    return figures


def _join(total: _Figures, part: _Figures) -> None:
    total.count += part.count
    total.values += part.values
    total.registers = np.maximum(total.registers, part.registers)
    total.counts.update(part.counts)
    total.exact = total.exact and part.exact
    if part.low is not None:
        total.low = part.low if total.low is None else min(total.low, part.low)
        total.high = part.high if total.high is None else max(total.high, part.high)
    if len(part.sample):
        total.sample = np.concatenate([total.sample.astype(part.sample.dtype), part.sample])
        total.weights = np.concatenate([total.weights, part.weights])


def _public(spec: Field, total: _Figures, count: int, nulls: int) -> FieldStatistics:
    def shown(value: Any) -> JSON:
        if spec.type is FieldType.DATETIME and value is not None:
            value = pa.scalar(int(value), pa.timestamp("us", tz="UTC")).as_py()
        return json_value(Field(spec.type), value)

    best = sorted(total.counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:TOP]
    distinct = len(total.counts) if total.exact else _estimate(total.registers)
    return FieldStatistics(
        spec.type.value, spec.many, count, nulls, distinct, total.exact, shown(total.low), shown(total.high),
        tuple((shown(value), times) for value, times in best),
        tuple((shown(low), shown(high), n) for low, high, n in _steps(total)),
    )  # fmt: skip


def _steps(total: _Figures) -> Iterable[tuple[Any, Any, int]]:
    """Steps of about as many values each, from the weighted samples of the parts."""
    if not len(total.sample):
        return
    order = np.argsort(total.sample, kind="stable")
    sample, reached = total.sample[order], np.cumsum(total.weights[order])
    wanted = reached[-1] * np.arange(1, STEPS + 1) / STEPS
    values = np.unique(sample[np.minimum(np.searchsorted(reached, wanted - 1e-9), len(sample) - 1)])
    begin, before = total.low, 0.0
    for high, end in zip(values.tolist(), np.searchsorted(sample, values, side="right").tolist(), strict=True):
        last = total.high if end == len(sample) else high
        yield begin, last, round(float(reached[end - 1]) - before)
        begin, before = last, float(reached[end - 1])


def _hashes(values: Any) -> npt.NDArray[np.uint64]:
    """Well mixed 64 bits of each value; strings by Python's own hash, which holds as long as the process."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        bits = np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).view(np.uint64)
    else:
        listed = values.to_pylist()
        bits = np.fromiter(map(hash, listed), dtype=np.int64, count=len(listed)).view(np.uint64)
    # splitmix64, https://prng.di.unimi.it/splitmix64.c
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result


def _registers(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """HyperLogLog: of each register the longest run of zeros.

    Flajolet, Fusy, Gandouet and Meunier, AofA 2007, https://doi.org/10.46298/dmtcs.3545
    """
    places = (hashes >> np.uint64(64 - REGISTERS_BITS)).astype(np.int64)
    rest = (hashes << np.uint64(REGISTERS_BITS)) >> np.uint64(11)  # the next 52 bits, which a float64 holds
    rest = rest & np.uint64((1 << 53) - 1)
    zeros = np.where(rest > 0, 53 - np.frexp(rest.astype(np.float64))[1] + 1, 54).astype(np.uint8)
    registers = np.zeros(1 << REGISTERS_BITS, dtype=np.uint8)
    np.maximum.at(registers, places, zeros)
    return registers


def _estimate(registers: npt.NDArray[np.uint8]) -> int:
    m = len(registers)
    raw = 0.7213 / (1 + 1.079 / m) * m * m / float(np.sum(2.0 ** -registers.astype(np.float64)))
    empty = int(np.count_nonzero(registers == 0))
    return round(m * np.log(m / empty)) if raw <= 2.5 * m and empty else round(raw)
