"""Sketches tried on columns; every expected value is worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from promptql.rules.columns import View
from promptql.rules.joins import Edge, Joined, Laid
from promptql.rules.probe import CannotRunError, Probe
from promptql.rules.sketch import ROWS, Condition, Item, Pick, Sketch

NAME, CITY, POINTS, DATE = range(4)
TABLE = {
    "name": ["Ann", "Bob", "Cleo", "Dan"],
    "city": ["Rome", "Oslo", "Rome", ""],
    "points": ["1,200", "300", "n/a", "300 (tie)"],
    "date": ["1 May 1990", "2 June 1991", "3 May 1990", "4 July 1992"],
}
ANN = ((Condition(NAME, "=", "ann"),),)
BOB = ((Condition(NAME, "=", "bob"),),)
IN_ROME = ((Condition(CITY, "=", "rome"),),)

IN_ROME_OR_OSLO = (Condition(CITY, "=", "rome"), Condition(CITY, "=", "oslo"))

SKETCHES: list[tuple[Sketch, list[tuple[Any, ...]]]] = [
    (Sketch((Item(NAME),), IN_ROME), [("Ann",), ("Cleo",)]),
    (Sketch((Item(NAME),), ((Condition(CITY, "!=", "rome"),),)), [("Bob",)]),
    (Sketch((Item(NAME),), ((Condition(CITY, "missing"),),)), [("Dan",)]),
    (Sketch((Item(NAME),), (IN_ROME_OR_OSLO,)), [("Ann",), ("Bob",), ("Cleo",)]),
    (Sketch((Item(NAME),), ((Condition(DATE, "~", "may"),),)), [("Ann",), ("Cleo",)]),
    (Sketch((Item(NAME),), ((Condition(DATE, ">", 1990.0),),)), [("Bob",), ("Dan",)]),
    (Sketch((Item(NAME),), ((Condition(POINTS, ">=", 300.0),),)), [("Ann",), ("Bob",), ("Dan",)]),
    (Sketch((Item(ROWS, "count"),), IN_ROME), [(2,)]),
    (Sketch((Item(POINTS, "sum"),)), [(1800.0,)]),
    (Sketch((Item(POINTS, "range"),)), [(900.0,)]),
    (Sketch((Item(CITY, "distinct"),)), [(2,)]),
    (Sketch((Item(DATE, "max"),)), [("4 July 1992",)]),
    (Sketch((Item(NAME),), pick=Pick("max", Item(POINTS))), [("Ann",)]),
    (Sketch((Item(NAME),), pick=Pick("min", Item(POINTS))), [("Bob",), ("Dan",)]),
    (Sketch((Item(NAME),), pick=Pick("last")), [("Dan",)]),
    (Sketch((Item(NAME),), pick=Pick("nth", n=2)), [("Bob",)]),
    (Sketch((Item(NAME),), ((Condition(NAME, "=", "bob"),),), shift=1), [("Cleo",)]),
    (Sketch((Item(CITY),), group=(CITY,), pick=Pick("max", Item(ROWS, "count"))), [("Rome",)]),
    (Sketch((Item(CITY), Item(POINTS, "max")), group=(CITY,)), [("Rome", 1200.0), ("Oslo", 300.0)]),
    (Sketch((Item(NAME), Item(POINTS, "avg")), group=(NAME,), pick=Pick("min", Item(POINTS, "avg"))),
     [("Bob", 300.0), ("Dan", 300.0)]),
    (Sketch((Item(CITY), Item(DATE, "max")), group=(CITY,)), [("Rome", "3 May 1990"), ("Oslo", "2 June 1991")]),
    (Sketch((Item(NAME), Item(POINTS, "sum")), IN_ROME, group=(NAME,)), [("Ann", 1200.0), ("Cleo", None)]),
    (Sketch((Item(CITY), Item(NAME, "distinct"), Item(NAME, "count")), group=(CITY,)),
     [("Rome", 2, 2), ("Oslo", 1, 1)]),
    (Sketch((Item(CITY),), group=(CITY,), having=(Item(ROWS, "count"), ">", 1.0)), [("Rome",)]),
    (Sketch((Item(NAME),), ((Condition(POINTS, ">", Sketch((Item(POINTS, "avg"),))),),)), [("Ann",)]),
    (
        Sketch((Item(POINTS),), ANN, combine=("abs", Sketch((Item(POINTS),), BOB))),
        [(900.0,)],
    ),
    (
        Sketch((Item(NAME),), IN_ROME, combine=("except", Sketch((Item(NAME),), ((Condition(NAME, "=", "ann"),),)))),
        [("Cleo",)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sketch", "expected"), SKETCHES)
def test_sketches_of_one_table(sketch: Sketch, expected: list[tuple[Any, ...]]) -> None:
    """Case does not count, text is read as numbers and dates, ties are kept."""
    assert Probe(View({"people": TABLE})).run(sketch) == expected


@pytest.mark.parametrize(
    "sketch", [Sketch((Item(CITY, "sum"),)), Sketch((Item(POINTS, "max"),), ((Condition(NAME, "=", "zoe"),),))]
)
def test_what_has_no_meaning_is_refused(sketch: Sketch) -> None:
    """Text has no sum, and nothing has no greatest."""
    with pytest.raises(CannotRunError):
        Probe(View({"people": TABLE})).run(sketch)


def test_rows_are_joined_over_relationships() -> None:
    """Books lead to authors, and over them to countries; who has no book is found by its key."""
    view = View(
        {
            "authors": {"key": [1, 2, 3], "name": ["Ann", "Bob", "Cleo"], "country": ["it", "no", "it"]},
            "books": {"title": ["A", "B", "C", "D"], "author": [1, 1, 2, None]},
            "countries": {"code": ["it", "no"], "land": ["Italy", "Norway"]},
        }
    )
    key, name, country, title, author, code, land = range(7)
    probe = Probe(view, Joined(view, [Edge(author, key), Edge(country, code)]))

    assert probe.run(Sketch((Item(title),), ((Condition(land, "=", "italy"),),))) == [("A",), ("B",)]
    counted = Sketch((Item(name), Item(ROWS, "count")), group=(name,), tables=(1,))
    assert probe.run(counted) == [("Ann", 2), ("Bob", 1)]
    without = Sketch((Item(name),), ((Condition(key, "not in", Sketch((Item(author),))),),))
    assert probe.run(without) == [("Cleo",)]


def test_columns_are_laid_along_joins_once() -> None:
    """The second time it is the same list; when there are too many cells all are forgotten."""
    laid = Laid(cells_max=5)
    first = laid.along("a", ["x", "y"], [1, 0, 1])
    assert first == ["y", "x", "y"]
    assert laid.along("a", ["x", "y"], [1, 0, 1]) is first
    assert laid.along("b", [1, 2], [0, 0, 1]) == [1, 1, 2]
    assert laid.along("a", ["x", "y"], [1, 0, 1]) is not first
