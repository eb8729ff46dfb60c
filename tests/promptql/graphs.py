"""Hypothesis strategy for plans that are graphs: joins, sets, windows, computed columns, lookups, over the films."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from promptql.expression_json import predicate_to_json
from promptql.plan import Plan
from tests.promptql.strategies import predicates

COLUMNS = ["id", "title", "year", "rating", "director", "genre", "released"]
_SCALARS = ["year", "rating", "director", "title"]
_YEAR, _TITLE = {"field": "year"}, {"field": "title"}
_OLD = {"op": "<", "l": _YEAR, "r": {"value": 1990}}
_EXPRESSIONS: list[tuple[str, dict[str, Any]]] = [
    ("age", {"op": "-", "l": {"value": 2020}, "r": _YEAR}),
    ("score", {"fn": "round", "args": [{"op": "*", "l": {"field": "rating"}, "r": {"value": 2.5}}]}),
    ("month", {"fn": "date_trunc", "args": [{"value": "quarter"}, {"field": "released"}]}),
    ("short", {"fn": "substring", "args": [{"fn": "upper", "args": [_TITLE]}, {"value": 1}, {"value": 3}]}),
    ("old", {"case": [{"when": _OLD, "then": _TITLE}]}),
]
_FIGURES = [
    {"fn": "count", "as": "n"},
    {"fn": "avg", "field": "rating", "as": "mean"},
    {"fn": "argmax", "field": "title", "by": "rating", "as": "best"},
    {"fn": "percentile", "field": "year", "p": 0.5, "as": "middle"},
]


class Builder:
    """One plan being drawn; each method adds steps to the one named, and names the last."""

    KINDS = ("narrow", "narrow", "sort", "limit", "distinct", "compute", "window", "join", "combine", "above")

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.steps: list[dict[str, Any]] = []

    def add(self, op: str, **parts: Any) -> str:
        name = f"s{len(self.steps)}"
        self.steps.append({"id": name, "op": op, **parts})
        return name

    def source(self) -> str:
        return self.back(self.add("scan", collection="movies"))

    def back(self, name: str) -> str:
        """The columns that the other steps know."""
        return self.add("project", input=name, fields=COLUMNS)

    def narrow(self, name: str) -> str:
        return self.add("filter", input=name, where=predicate_to_json(self.draw(predicates)))

    def sort(self, name: str) -> str:
        keys = self.draw(st.lists(st.sampled_from(_SCALARS), min_size=1, max_size=2, unique=True))
        return self.add(
            "sort", input=name, by=[{"field": key, "dir": self.draw(st.sampled_from(["asc", "desc"]))} for key in keys]
        )

    def limit(self, name: str) -> str:
        return self.add("limit", input=name, n=self.draw(st.integers(1, 9)), offset=self.draw(st.integers(0, 2)))

    def distinct(self, name: str) -> str:
        return self.add(
            "distinct", input=name, fields=self.draw(st.sampled_from([None, ["director"], ["year", "genre"]]))
        )

    def compute(self, name: str) -> str:
        alias, expr = self.draw(st.sampled_from(_EXPRESSIONS))
        made = self.add("compute", input=name, columns=[{"expr": expr, "as": alias}])
        return self.back(self.add("filter", input=made, where={"not": {"op": "is_null", "l": {"field": alias}}}))

    def window(self, name: str) -> str:
        fn = self.draw(st.sampled_from(["row_number", "rank", "lag", "running_sum", "share"]))
        field = {"field": "rating"} if fn in ("lag", "running_sum", "share") else {}
        order = [{"field": "year", "dir": "desc"}]
        made = self.add("window", input=name, fn=fn, partition=["director"], order=order, **field, **{"as": "w"})
        return self.back(self.add("filter", input=made, where={"op": "<", "l": {"field": "w"}, "r": {"value": 9}}))

    def join(self, name: str) -> str:
        key = self.draw(st.sampled_from(["director", "year"]))
        how = self.draw(st.sampled_from(["inner", "left", "semi", "anti"]))
        right, keys = self.narrow(self.source()), [{"l": key, "r": key}]
        return self.back(self.add("join", left=name, right=right, type=how, keys=keys, prefix="other"))

    def combine(self, name: str) -> str:
        kind = self.draw(st.sampled_from(["union", "intersect", "except"]))
        right = self.narrow(self.source())
        return self.add("set", left=name, right=right, kind=kind, **self.draw(st.sampled_from([{}, {"all": True}])))

    def above(self, name: str) -> str:
        """Rows of at least their average."""
        means = self.add("group", input=name, aggs=[{"fn": "avg", "field": "rating", "as": "m"}])
        mean = self.add("lookup", input=means, field="m")
        return self.add("filter", input=name, where={"op": ">=", "l": {"field": "rating"}, "r": {"lookup": mean}})

    def group(self, name: str) -> str:
        keys = [[], ["genre"], ["director", "year"], [{"field": "released", "bucket": "year"}]]
        return self.add("group", input=name, by=self.draw(st.sampled_from(keys)), aggs=_FIGURES)


@st.composite
def graphs(draw: st.DrawFn) -> Plan:
    """A valid plan over "movies": a source, up to four steps of any kind, perhaps a group, an answer."""
    builder = Builder(draw)
    last = builder.source()
    for _ in range(draw(st.integers(0, 4))):
        last = getattr(builder, draw(st.sampled_from(Builder.KINDS)))(last)
    if draw(st.booleans()):
        last = builder.group(last)
    builder.add("answer", input=last)
    return Plan.from_json({"question": "a question", "steps": builder.steps, "output": builder.steps[-1]["id"]})
