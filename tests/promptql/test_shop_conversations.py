"""Conversations about a shop: what was asked before is narrowed, changed, ordered, listed and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from tests.promptql.shops import COUNTRIES, ORDERS, fill_sales, fill_shop, total


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One collection of sales."""
    path: Path = tmp_path_factory.mktemp("sales")
    with lumaai.connect(path) as db:
        fill_sales(db)
        yield db


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Customers, products and orders."""
    path: Path = tmp_path_factory.mktemp("shop")
    with lumaai.connect(path) as db:
        fill_shop(db)
        yield db


def _revenue(year: str, country: str | None = None) -> float:
    orders = (order for order in ORDERS if order[4].startswith(year))
    return sum(total(*order) for order in orders if country in (None, COUNTRIES[order[0]]))


def test_a_table_is_moved_narrowed_ordered_and_drawn(sales: Any) -> None:
    """As in "and in 2025?", "only Germany", "sort by revenue", "as a chart"."""

    def said(question: str) -> Any:
        return sales.ask(question, conversation="table")

    assert dict(said("total revenue by country in 2024").values)["Germany"] == _revenue("2024", "Germany")
    in_2025 = dict(said("and in 2025?").values)
    assert in_2025 == {country: _revenue("2025", country) for country in ("Germany", "Spain")}
    rising = [value for _, value in said("sort by revenue").values]
    assert rising == sorted(in_2025.values())
    assert said("only Germany").values == (("Germany", _revenue("2025", "Germany")),)
    drawn = said("as a chart")
    assert drawn.values == (("Germany", _revenue("2025", "Germany")),)
    assert len(drawn.charts) == 1


def test_a_bare_year_and_a_bare_period_narrow(sales: Any, shop: Any) -> None:
    """As in "only 2024", "in 2024?": they begin like no question of their own."""
    sales.ask("How many orders were cancelled?", conversation="bare")
    assert sales.ask("in 2024?", conversation="bare").values == (1,)
    shop.ask("total revenue by country", conversation="bare")
    only = dict(shop.ask("only 2024", conversation="bare").values)
    assert only["Germany"] == _revenue("2024", "Germany")


def test_what_was_counted_is_listed(shop: Any) -> None:
    """As "list them" gives the documents behind a number."""
    shop.ask("How many customers are from France?", conversation="list")
    assert shop.ask("and from Norway?", conversation="list").values == (1,)
    assert shop.ask("list them", conversation="list").values == ("Ole Dahl",)


def test_what_rows_are_ordered_by_is_shown(shop: Any) -> None:
    """The price stands beside the name, and in the sentence about the first."""
    shop.ask("list all products", conversation="order")
    ordered = shop.ask("sort by price", conversation="order")
    assert ordered.artifacts[0].columns == ("name", "price")
    assert "40" in shop.ask("the first one", conversation="order").text


def test_shares_and_comparisons_go_on(sales: Any) -> None:
    """A year is one of the whole, another value takes the place of its like; the answer says the question in full."""

    def said(question: str) -> Any:
        return sales.ask(question, conversation="share")

    assert said("What share of orders was cancelled?").values == (25.0,)
    answer = said("and in 2025?")
    assert answer.values == (50.0,)
    assert any("What share of orders in 2025 was cancelled" in item.text for item in answer.assumptions)
    assert said("and pending?").values == (25.0,)
    assert said("Compare revenue in 2024 and 2025").values == (
        ("2024", _revenue("2024")),
        ("2025", _revenue("2025")),
    )
    assert said("only Germany").values == (
        ("2024", _revenue("2024", "Germany")),
        ("2025", _revenue("2025", "Germany")),
    )
    assert len(said("as a bar chart").charts) == 1


def test_joined_conditions_that_are_replaced_are_not_told_any_more(shop: Any) -> None:
    """After "and in 2025?" nothing is said of 2024."""
    shop.ask("Orders by Bob Stone in 2024", conversation="joined")
    answer = shop.ask("and in 2023?", conversation="joined")
    assert answer.values == ("o1",)
    assert not any("'2024'" in item.text for item in answer.assumptions)
    assert any("Bob Stone" in item.text for item in answer.assumptions)
