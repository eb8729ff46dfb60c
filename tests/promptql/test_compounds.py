"""Parts of questions: what a phrase measures, money by its name, and two figures in one plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Database, Schema
from promptql.answer import Band
from promptql.catalog import Catalog, read_catalog
from promptql.compounds import retold
from promptql.compounds.figures import figure_of
from promptql.compounds.phrases import phrase_of
from promptql.plan import IGNORED, Assumption, Plan, Support
from promptql.planned import Planned
from promptql.question import Question
from promptql.rules.events import is_recorded, recorded_in
from promptql.rules.money import money_field

FIELDS = {"country": "keyword", "total": "number", "unit_price": "number", "ordered_on": "datetime"}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Of one collection of orders."""
    path: Path = tmp_path_factory.mktemp("catalog")
    with Database.open(path) as database:
        database.create_collection("orders", Schema.from_json({"fields": FIELDS})).add(
            [
                {"id": f"o{n}", "country": ("Peru", "Chile")[n % 2], "total": n, "unit_price": 2.5, "ordered_on": day}
                for n, day in enumerate(["2024-01-01", "2025-01-01", "2025-02-02"])
            ]
        )
        yield read_catalog(database.snapshot())


@pytest.mark.parametrize(
    ("phrase", "question"),
    [
        ("the number of orders", "How many orders are from Peru?"),
        ("orders", "How many orders are from Peru?"),
        ("total", "What is the sum of total from Peru?"),
        ("revenue", "What is the sum of total from Peru?"),
        ("unit price", "What is the average unit price from Peru?"),
        ("the highest total", "What is the maximum total from Peru?"),
    ],
)
def test_a_phrase_asks_for_its_measure(catalog: Catalog, phrase: str, question: str) -> None:
    """Documents are counted, totals added, prices averaged; money is what the data calls it."""
    found = phrase_of(phrase, catalog)
    assert found is not None
    assert found.question("from Peru") == question


def test_a_phrase_that_names_nothing_measures_nothing(catalog: Catalog) -> None:
    """Then the question is none of these."""
    assert phrase_of("happiness", catalog) is None


def test_money_is_the_one_field_that_holds_it(catalog: Catalog) -> None:
    """Not where the word itself names something, and a price is of one piece."""
    assert money_field("revenue", catalog) == "total"
    assert money_field("turnover", catalog) == "total"
    assert money_field("total", catalog) is None


def test_verbs_are_of_what_records_them() -> None:
    """Orders record what was sold; an order_date makes documents orders, a customer_id makes them nothing."""
    assert is_recorded("sold", ["Sales-Data"])
    assert is_recorded("bought", ["order_items"])
    assert is_recorded("borrowed", ["loans"])
    assert not is_recorded("sold", ["singers"])
    assert not is_recorded("walked", ["orders"])
    assert recorded_in(("order_date", "customer_id", "total")) == {"order"}


PLAN = {
    "steps": [
        {"id": "s1", "op": "scan", "collection": "orders"},
        {"id": "s2", "op": "group", "input": "s1", "by": [], "aggs": [{"fn": "avg", "field": "total", "as": "a"}]},
        {"id": "s3", "op": "lookup", "input": "s2", "field": "a"},
        {
            "id": "s4",
            "op": "filter",
            "input": "s1",
            "where": {"op": ">", "l": {"field": "total"}, "r": {"lookup": "s3"}},
        },
        {"id": "s5", "op": "group", "input": "s4", "by": [], "aggs": [{"fn": "count", "as": "n"}]},
        {"id": "s6", "op": "answer", "input": "s5"},
    ],
    "output": "s6",
}


def _planned(*, assumptions: tuple[Assumption, ...] = ()) -> Planned:
    plan = Plan.from_json(PLAN)
    return Planned(Plan(plan.question, plan.steps, plan.output, assumptions=assumptions), 0.9, Band.ANSWER)


def test_steps_of_a_figure_are_renamed_wherever_they_are_named() -> None:
    """Inputs and looked-up values lead to the new names; the answer is left out."""
    figure = figure_of(_planned())
    assert figure is not None
    assert (figure.last, figure.column) == ("s5", "n")
    renamed = figure.renamed("part_")
    assert {step.id for step in renamed.steps} == {"part_s1", "part_s2", "part_s3", "part_s4", "part_s5"}
    for step in renamed.steps:
        assert {*step.inputs, *step.references} <= {item.id for item in renamed.steps}


def test_a_part_that_leaves_words_out_is_no_figure() -> None:
    """What is not understood as a whole is not put together with anything."""
    assert figure_of(_planned(assumptions=(Assumption(f"{IGNORED}'purple'", Support.INFERRED),))) is None


@pytest.mark.parametrize(
    ("question", "before", "expected"),
    [
        ("and in 2025?", "What share of orders are from Peru?", "What share of orders in 2025 are from Peru?"),
        ("and from Chile?", "What share of orders are from Peru?", "What share of orders are from Chile?"),
        ("what about 2025", "share of orders from Peru in 2024", "share of orders from Peru in 2025"),
        ("only Peru", "Compare total in 2024 and 2025", "Compare total in 2024 and 2025 from Peru?"),
        ("why?", "Compare total in 2024 and 2025", None),
        ("and how many towns have a mayor?", "Compare total in 2024 and 2025", None),
    ],
)
def test_what_goes_on_is_told_in_full(catalog: Catalog, question: str, before: str, expected: str | None) -> None:
    """What is named takes the place of its like, or is added; nothing else is."""
    assert retold(question, before, catalog, Question(question).asked_at) == expected
