"""Dates as columns of moments in UTC: parts of them, beginnings of units, and the distance between two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from engine.expressions import DateUnit
from engine.fields import kernels as pc

MOMENT: Any = pa.timestamp("us", tz="UTC")
_MICROSECONDS = {DateUnit.HOUR: 3_600_000_000, DateUnit.DAY: 86_400_000_000, DateUnit.WEEK: 7 * 86_400_000_000}
_MONDAY = 3 * 86_400_000_000  # 1970-01-01 was a Thursday: so much later than a Monday
_MONTHS = {DateUnit.MONTH: 1, DateUnit.QUARTER: 3, DateUnit.YEAR: 12}


def date_part(name: str, moments: Any) -> Any:
    """year, month, day, or weekday (1 on Monday), as integers."""
    if name == "weekday":
        return pc.day_of_week(_plain(moments), count_from_zero=False, week_start=1)
    return {"year": pc.year, "month": pc.month, "day": pc.day}[name](_plain(moments))


def date_trunc(unit: DateUnit, moments: Any) -> Any:
    """The first moment of the unit that each lies in."""
    return pc.floor_temporal(_plain(moments), unit=unit.value, week_starts_monday=True).cast(MOMENT)


def date_diff(unit: DateUnit, begin: Any, end: Any) -> Any:
    """How many units begin after `begin`, up to and with `end`; negative where `end` is earlier."""
    return pc.subtract(_number(unit, end), _number(unit, begin))


def _plain(moments: Any) -> Any:
    """Without the time zone, which is UTC: Arrow would look up its rules for every single moment."""
    return moments.cast(pa.timestamp("us"))


def _number(unit: DateUnit, moments: Any) -> Any:
    """The number of the unit since some beginning."""
    if unit in _MONTHS:
        plain = _plain(moments)
        months = pc.add(pc.multiply(pc.year(plain), 12), pc.subtract(pc.month(plain), 1))
        return _floored(months, _MONTHS[unit], 0)
    return _floored(_plain(moments).cast(pa.int64()), _MICROSECONDS[unit], _shift(unit))


def _shift(unit: DateUnit) -> int:
    return _MONDAY if unit is DateUnit.WEEK else 0


def _floored(numbers: Any, width: int, shift: int) -> Any:
    """Numbers divided by a width, rounded down; null stays null."""
    column = numbers.combine_chunks() if isinstance(numbers, pa.ChunkedArray) else numbers
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    return pa.array(np.floor_divide(values + shift, width), mask=nulls)
