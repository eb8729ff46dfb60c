from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Field, FieldType
from promptql.charts import CHART_ROWS_MAX, chart_of
from promptql.errors import PlanError
from promptql.steps import ChartKind, Visualize
from tests.promptql.vega_lite import faults

TEXT, INTEGER, NUMBER, MOMENT = (
    Field(type_) for type_ in (FieldType.KEYWORD, FieldType.INTEGER, FieldType.NUMBER, FieldType.DATETIME)
)


def drawn(columns: dict[str, Field], rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    spec = chart_of(columns, rows, Visualize("s1", "s0", **options))
    assert faults(spec) == []
    return spec


def axes(spec: dict[str, Any]) -> dict[str, tuple[str | None, str]]:
    return {name: (channel.get("field"), channel["type"]) for name, channel in spec["encoding"].items()}


def test_names_and_numbers_are_bars() -> None:
    """In the order of the rows; from eight on they lie."""
    columns = {"genre": TEXT, "n": INTEGER}
    rows = [{"genre": f"g{i}", "n": i} for i in range(8)]
    few = drawn(columns, rows[:7])
    assert few["mark"]["type"] == "bar"
    assert axes(few) == {"x": ("genre", "nominal"), "y": ("n", "quantitative")}
    assert few["encoding"]["x"]["sort"] is None
    assert axes(drawn(columns, rows)) == {"x": ("n", "quantitative"), "y": ("genre", "nominal")}


def test_times_and_numbers_are_lines() -> None:
    """Dates are temporal; years are numbers that are not written 1,999; a name beside them is a colour."""
    rows: list[dict[str, Any]] = [{"year": 1999, "n": 3, "genre": "drama"}, {"year": 2000, "n": None, "genre": "drama"}]
    spec = drawn({"year": INTEGER, "n": INTEGER, "genre": TEXT}, rows)
    assert spec["mark"]["type"] == "line"
    assert axes(spec) == {"x": ("year", "quantitative"), "y": ("n", "quantitative"), "color": ("genre", "nominal")}
    assert spec["encoding"]["x"]["axis"] == {"format": "d"}
    dated = drawn({"made": MOMENT, "n": NUMBER}, [{"made": "2000-01-01T00:00:00Z", "n": 1.5}])
    assert axes(dated)["x"] == ("made", "temporal")


def test_two_numbers_are_points_and_one_a_histogram() -> None:
    """A single name is counted."""
    assert drawn({"a": NUMBER, "b": NUMBER}, [{"a": 1, "b": 2}])["mark"]["type"] == "point"
    one = drawn({"a": NUMBER}, [{"a": 1}, {"a": 2}])
    assert one["encoding"]["x"]["bin"] is True
    assert one["encoding"]["y"]["aggregate"] == "count"
    assert drawn({"tag": TEXT}, [{"tag": "x"}])["encoding"]["y"]["aggregate"] == "count"


def test_what_is_asked_for_is_drawn() -> None:
    """Kind and channels of the step win."""
    columns = {"a": TEXT, "b": TEXT, "n": INTEGER, "m": INTEGER}
    rows = [{"a": "x", "b": "y", "n": 1, "m": 2}]
    heat = drawn(columns, rows, kind=ChartKind.HEATMAP)
    assert axes(heat) == {"x": ("a", "nominal"), "y": ("b", "nominal"), "color": ("n", "quantitative")}
    assert axes(drawn(columns, rows, x="b", y="m"))["y"] == ("m", "quantitative")
    assert drawn(columns, rows, kind=ChartKind.AREA, x="n", y="m")["mark"]["type"] == "area"


def test_columns_that_are_none_are_refused() -> None:
    """With a pointer and the nearest name; points on the map alone cannot be drawn."""
    with pytest.raises(PlanError) as caught:
        drawn({"genre": TEXT}, [], y="gener")
    assert (caught.value.pointer, caught.value.hint) == ("/y", 'did you mean "genre"?')
    with pytest.raises(PlanError):
        drawn({"place": Field(FieldType.GEO)}, [])


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
VALUES = {
    FieldType.KEYWORD: st.text(max_size=5),
    FieldType.INTEGER: st.integers(-3000, 3000),
    FieldType.NUMBER: st.floats(-1e6, 1e6),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: st.just("2001-02-03T00:00:00Z"),
}


@given(data=st.data(), kind=st.sampled_from(ChartKind))
def test_any_table_gives_a_valid_chart(data: st.DataObject, kind: ChartKind) -> None:
    """Whatever the columns are called and hold; heatmaps need two columns."""
    columns = data.draw(st.dictionaries(NAMES, st.sampled_from(list(VALUES)).map(Field), min_size=2, max_size=4))
    row = st.fixed_dictionaries({name: st.none() | VALUES[field.type] for name, field in columns.items()})
    rows = data.draw(st.lists(row, max_size=12))
    assert faults(chart_of(columns, rows, Visualize("s1", "s0", kind))) == []


def test_a_chart_is_bounded() -> None:
    """Of many rows the first thousand are drawn."""
    spec = drawn({"n": INTEGER, "m": INTEGER}, [{"n": i, "m": i} for i in range(CHART_ROWS_MAX + 5)])
    assert len(spec["data"]["values"]) == CHART_ROWS_MAX
