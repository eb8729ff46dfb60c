"""Charts: a Vega-Lite specification made from the types of columns, with the data in it.

Satyanarayan, Moritz, Wongsuphasawat and Heer, InfoVis 2016, https://doi.org/10.1109/TVCG.2016.2599030
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine import Field, FieldType
from promptql.errors import PlanError, nearest_name
from promptql.rules.words import name_words
from promptql.steps import ChartKind, Visualize

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
CHART_ROWS_MAX = 1_000
HORIZONTAL_FROM = 8  # bars from so many on lie, so that their names can be read
YEARS = range(1000, 2200)
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.NUMBER})
_MARKS: dict[ChartKind, dict[str, Any]] = {
    ChartKind.BAR: {"type": "bar", "tooltip": True},
    ChartKind.LINE: {"type": "line", "point": True, "tooltip": True},
    ChartKind.POINT: {"type": "point", "filled": True, "tooltip": True},
    ChartKind.AREA: {"type": "area", "tooltip": True},
    ChartKind.HEATMAP: {"type": "rect", "tooltip": True},
}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns by what they can show, in their order."""

    times: tuple[str, ...]
    names: tuple[str, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Channels:
    """Which column goes where; None for x or y of a histogram is the count."""

    x: str | None = None
    y: str | None = None
    color: str | None = None


def chart_of(
    columns: Mapping[str, Field], rows: Sequence[Mapping[str, Any]], step: Visualize, *, title: str = ""
) -> dict[str, Any]:
    """A Vega-Lite v5 specification of some rows.

    Times go along x, numbers along y, names along x or, where they are many, along y; a second name is a colour.
    One number alone becomes a histogram, one name alone a count.

    Args:
        columns: types by name.
        rows: JSON values by column; of more than 1,000 the first are drawn.
        step: what is asked for; what it leaves open is decided by the types.
        title: above the chart; none where it is empty.

    Raises:
        PlanError: a column does not exist, or there is none that can be drawn.
    """
    for key, name in (("x", step.x), ("y", step.y), ("color", step.color)):
        if name is not None and name not in columns:
            raise PlanError(f'unknown field "{name}"', pointer=f"/{key}", hint=nearest_name(name, columns))
    sorted_out = _sorted_out(columns, rows)
    channels = _channels(sorted_out, step)
    if channels.x is None and channels.y is None:
        raise PlanError("no column can be drawn", pointer="/input", hint="a chart needs a number, a time or a name")
    kind = _kind(step.kind, sorted_out, channels)
    drawn = [name for name in (channels.x, channels.y, channels.color) if name is not None]
    spec: dict[str, Any] = {
        "$schema": SCHEMA,
        "data": {"values": [{name: _datum(row.get(name)) for name in drawn} for row in rows[:CHART_ROWS_MAX]]},
        "mark": _MARKS[kind],
        "encoding": _encoding(kind, channels, sorted_out, len(rows)),
    }
    return {"title": title, **spec} if title else spec


def _sorted_out(columns: Mapping[str, Field], rows: Sequence[Mapping[str, Any]]) -> _Columns:
    times, names, numbers = [], [], []
    for name, field in columns.items():
        if field.type in {FieldType.GEO, FieldType.JSON}:
            continue
        if field.many or field.type not in _NUMBERS | {FieldType.DATETIME}:
            names.append(name)
        elif field.type is FieldType.DATETIME or _is_year(name, rows):
            times.append(name)
        else:
            numbers.append(name)
    return _Columns(tuple(times), tuple(names), tuple(numbers))


def _is_year(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    values = [row.get(name) for row in rows]
    return "year" in name_words(name) and all(value is None or value in YEARS for value in values)


def _channels(columns: _Columns, step: Visualize) -> _Channels:
    """The columns asked for; else a time or a name against a number."""
    taken = {step.x, step.y, step.color} - {None}
    names = [name for name in columns.names if name not in taken]
    times = [name for name in columns.times if name not in taken]
    numbers = [name for name in columns.numbers if name not in taken]
    if step.kind is ChartKind.HEATMAP:
        first, second = [*times, *names, *numbers], numbers
        x = step.x or _take(first)
        y = step.y or _take([name for name in first if name != x])
        return _Channels(x, y, step.color or _take([name for name in second if name not in {x, y}]))
    if step.kind is ChartKind.POINT and len(numbers) > 1 and step.x is None and step.y is None:
        return _Channels(numbers[0], numbers[1], step.color or _take(names))
    x = step.x or _take([*times, *names])
    y = step.y or _take([name for name in numbers if name != x])
    if x is None and y is not None and len(numbers) > 1 and step.x is None:
        x, y = numbers[0], numbers[1] if step.y is None else y
    color = step.color or _take([name for name in names if name not in {x, y}])
    return _Channels(x, y, color if y is not None and step.kind is not ChartKind.POINT else step.color)


def _take(names: Sequence[str]) -> str | None:
    return names[0] if names else None


def _kind(asked: ChartKind, columns: _Columns, channels: _Channels) -> ChartKind:
    if asked is not ChartKind.AUTO:
        return asked
    if channels.x in columns.times and channels.y is not None:
        return ChartKind.LINE
    if channels.x in columns.numbers and channels.y in columns.numbers:
        return ChartKind.POINT
    return ChartKind.BAR


def _encoding(kind: ChartKind, channels: _Channels, columns: _Columns, rows: int) -> dict[str, Any]:
    if kind is not ChartKind.HEATMAP and (channels.x is None or channels.y is None):
        return _counted(channels, columns)
    lying = kind is ChartKind.BAR and rows >= HORIZONTAL_FROM and channels.x in columns.names
    if lying:
        channels = replace(channels, x=channels.y, y=channels.x)
    return {
        key: _channel(name, columns, axis=key in "xy")
        for key, name in (("x", channels.x), ("y", channels.y), ("color", channels.color))
        if name is not None
    }


def _counted(channels: _Channels, columns: _Columns) -> dict[str, Any]:
    """A histogram of one column."""
    name = channels.x or channels.y
    assert name is not None
    of = _channel(name, columns, axis=True)
    if name in columns.numbers:
        of = {**of, "bin": True}
    return {"x": of, "y": {"aggregate": "count", "type": "quantitative", "title": "count"}}


def _channel(name: str, columns: _Columns, *, axis: bool) -> dict[str, Any]:
    channel: dict[str, Any] = {"field": _escaped(name), "title": name}
    if name in columns.names:
        return {**channel, "type": "nominal", **({"sort": None} if axis else {})}  # in the order of the rows
    if name in columns.times and any("year" in word for word in name_words(name)):
        return {**channel, "type": "ordinal" if not axis else "quantitative", **(_YEARLY if axis else {})}
    return {**channel, "type": "temporal" if name in columns.times else "quantitative"}


_YEARLY = {"scale": {"zero": False, "nice": False}, "axis": {"format": "d"}}  # 1,999 is no year


def _escaped(name: str) -> str:
    """A column's name as a field of Vega-Lite, where dots and brackets lead into objects."""
    for mark in ("\\", ".", "[", "]"):
        name = name.replace(mark, f"\\{mark}")
    return name


def _datum(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
