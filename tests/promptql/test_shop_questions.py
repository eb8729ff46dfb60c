"""Questions of a shop's owner, over three collections that refer to each other and over one of sales."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Answer, Band
from tests.promptql.shops import CUSTOMERS, ORDERS, fill_sales, fill_shop, total

IN_2024 = [order for order in ORDERS if order[4].startswith("2024")]
IN_2025 = [order for order in ORDERS if order[4].startswith("2025")]
REVENUE_2024, REVENUE_2025 = (sum(total(*order) for order in orders) for orders in (IN_2024, IN_2025))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Customers, products and orders."""
    path: Path = tmp_path_factory.mktemp("shop")
    with lumaai.connect(path) as db:
        fill_shop(db)
        yield db


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The same as one collection."""
    path: Path = tmp_path_factory.mktemp("sales")
    with lumaai.connect(path) as db:
        fill_sales(db)
        yield db


def _rows(answer: Answer) -> list[dict[str, Any]]:
    (artifact,) = answer.artifacts
    return [dict(row) for row in artifact.rows]


@pytest.mark.parametrize(
    ("question", "percent", "part", "of"),
    [
        ("What share of orders was cancelled?", 25.0, 3, 12),
        ("What percentage of customers are from France?", 37.5, 3, 8),
        ("What percentage of customers who are from Germany?", 37.5, 3, 8),
        ("What fraction of products are furniture?", 40.0, 2, 5),
        ("share of cancelled orders", 25.0, 3, 12),
        ("What percentage of customers ordered in 2025?", 50.0, 4, 8),
    ],
)
def test_a_share_comes_with_both_of_its_counts(shop: Any, question: str, percent: float, part: int, of: int) -> None:
    """The percentage is the value, the counts stand beside it and are cited."""
    answer = shop.ask(question)
    assert answer.values == (percent,)
    assert _rows(answer) == [{"percent": percent, "part": part, "of": of}]
    assert f"of {of} " in answer.text
    assert f", {part} where " in answer.text
    cells = {citation.cell: citation.count for citation in answer.citations}
    assert {f"{answer.artifact}[0].part", f"{answer.artifact}[0].of"} <= set(cells)
    assert cells[f"{answer.artifact}[0].of"] >= part


def test_a_share_of_a_sum_is_of_the_sum(sales: Any) -> None:
    """As in "what share of revenue comes from France", all together and by country."""
    french = {i for i, _, country, _ in CUSTOMERS if country == "France"}
    part = sum(total(*order) for order in ORDERS if order[0] in french)
    whole = sum(total(*order) for order in ORDERS)
    assert sales.ask("What share of revenue comes from France?").values == (round(100 * part / whole, 2),)
    by_country = dict(sales.ask("share of revenue by country").values)
    assert by_country["France"] == round(100 * part / whole, 2)
    assert sum(by_country.values()) == pytest.approx(100, abs=0.05)


def test_a_share_that_the_data_holds_is_looked_up(tmp_path: Path) -> None:
    """A field called percentage is no share to be computed."""
    with lumaai.connect(tmp_path) as db:
        parties = [{"id": "a", "party": "Reds", "percentage": 40}, {"id": "b", "party": "Blues", "percentage": 60}]
        db.create_collection("results", embed={}).add(parties)
        assert db.ask("What is the percentage of the Reds?").values == (40,)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the difference between the highest and lowest price?", 440.0),
        ("What is the difference between the cheapest and the most expensive product?", 440.0),
        ("difference between the highest and the lowest price of furniture", 395.0),
        ("By how much is Oak Table more expensive than Wool Rug?", 270.0),
        ("By how much is Oak Table's price larger than Wool Rug's?", 270.0),
        ("What is the difference in price between Oak Table and Wool Rug?", 270.0),
        ("How many more customers are from France than from Spain?", 2),
    ],
)
def test_differences_are_computed(shop: Any, question: str, expected: float) -> None:
    """How far two figures lie apart, with both of them beside it."""
    answer = shop.ask(question)
    assert answer.values == (expected,)
    assert len(_rows(answer)[0]) == 3


def test_years_are_compared_with_the_difference_and_the_ratio(shop: Any, sales: Any) -> None:
    """A row for each year; revenue is the orders' total where nothing is called so."""
    for db in (shop, sales):
        answer = db.ask("Compare revenue in 2024 and 2025")
        assert answer.values == (("2024", REVENUE_2024), ("2025", REVENUE_2025))
        assert f"2024 has {REVENUE_2024 - REVENUE_2025:.0f} more than 2025" in answer.text
        assert f"{round(REVENUE_2024 / REVENUE_2025, 2)} times as much" in answer.text
    assert any(item.text == "'revenue' = total" for item in shop.ask("Compare revenue in 2024 and 2025").assumptions)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("compare France and Spain by number of customers", (("France", 3), ("Spain", 1))),
        ("Compare France, Spain and Norway by number of customers", (("France", 3), ("Spain", 1), ("Norway", 1))),
        ("Compare the number of orders of Bob Stone and Ana Ruiz", (("Bob Stone", 3), ("Ana Ruiz", 2))),
        ("number of orders in 2024 vs 2025", (("2024", 6), ("2025", 4))),
        ("Compare Oak Table and Wool Rug by price", (("Oak Table", 480.0), ("Wool Rug", 210.0))),
    ],
)
def test_things_are_compared_by_a_measure(shop: Any, question: str, expected: tuple[object, ...]) -> None:
    """One row each, in the order of the question."""
    assert shop.ask(question).values == expected


def test_things_without_a_measure_are_counted_and_that_is_said(sales: Any) -> None:
    """What they are compared by is an assumption."""
    answer = sales.ask("Compare France and Germany")
    assert answer.values == (("France", 4), ("Germany", 5))
    assert answer.band is Band.ASSUMPTIONS


def _spent(where: list[tuple[str, str, str, int, str]]) -> list[tuple[str, float]]:
    names = {i: n for i, n, _, _ in CUSTOMERS}
    sums: dict[str, float] = {}
    for order in where:
        sums[names[order[0]]] = sums.get(names[order[0]], 0.0) + total(*order)
    return sorted(sums.items(), key=lambda item: -item[1])


def test_the_number_of_a_top_is_a_limit(shop: Any, sales: Any) -> None:
    """The first three in order, not groups of three; "spending" is the orders' total."""
    for db in (shop, sales):
        assert db.ask("Top 3 customers by total spending").values == tuple(_spent(ORDERS)[:3])
        assert db.ask("Top 2 customers by total spending in 2024").values == tuple(_spent(IN_2024)[:2])
        assert db.ask("top 2 countries by number of orders").values == (("Germany", 5), ("France", 4))


def test_the_first_few_orders_are_ordered_by_what_they_cost(shop: Any) -> None:
    """Orders without a name are told by their ids, the dearest first."""
    dearest = sorted(range(len(ORDERS)), key=lambda n: (-total(*ORDERS[n]), n))[:3]
    assert shop.ask("three most expensive orders").values == tuple(f"o{n + 1}" for n in dearest)
    assert shop.ask("the 2 cheapest products").values == ("Desk Lamp", "Bar Stool")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which country has the most customers?", {"France", "Germany"}),
        ("Which customer spent the most?", {"Ole Dahl"}),
        ("Which customer placed the most orders in 2024?", {"Bob Stone"}),
        ("Which category has the highest average price?", {"furniture"}),
    ],
)
def test_the_first_of_all_is_found_over_joins(shop: Any, question: str, expected: set[str]) -> None:
    """With ties, and sure of it."""
    answer = shop.ask(question)
    assert set(answer.values) == expected
    assert answer.band is Band.ANSWER


def test_measures_are_told_for_each(shop: Any) -> None:
    """As in "revenue by country", over a join, the greatest first."""
    countries = {i: c for i, _, c, _ in CUSTOMERS}
    sums: dict[str, float] = {}
    for order in ORDERS:
        sums[countries[order[0]]] = sums.get(countries[order[0]], 0.0) + total(*order)
    expected = tuple(sorted(sums.items(), key=lambda item: -item[1]))
    assert shop.ask("revenue by country").values == expected
    assert shop.ask("total revenue per country").values == expected


def test_measures_by_year_are_totals(sales: Any) -> None:
    """Revenue by year is no number of documents; prices are averaged."""
    by_year = {day[:4]: value for day, value in sales.ask("revenue by year").values}
    assert by_year == {"2023": 80 + 630, "2024": REVENUE_2024, "2025": REVENUE_2025}


def test_a_person_and_a_year_narrow_together(shop: Any, sales: Any) -> None:
    """The year is that year, and the person is not lost."""
    for db in (shop, sales):
        assert db.ask("Orders by Bob Stone in 2024").values == ("o2", "o3")
        assert db.ask("How many orders did Bob Stone place in 2024?").values == (2,)
    plan = json.dumps(shop.ask("Orders by Bob Stone in 2024").plan)
    assert '"2024-01-01"' in plan
    assert '"2025-01-01"' in plan


def test_what_was_sold_is_what_orders_record(shop: Any) -> None:
    """Sold is no status; how many were sold is their quantity, which is said."""
    names = {"p1": "Desk Lamp", "p2": "Oak Table", "p3": "Wool Rug", "p4": "Floor Lamp", "p5": "Bar Stool"}
    assert set(shop.ask("Which products were sold in 2025?").values) == {names[order[1]] for order in IN_2025}
    answer = shop.ask("How many products were sold in 2024?")
    assert answer.values == (sum(order[3] for order in IN_2024),)
    assert "quantity" in " ".join(item.text for item in answer.assumptions)
    assert not any("status" in item.text for item in answer.assumptions)
    assert set(shop.ask("Which customers bought an Oak Table?").values) == {"Bob Stone", "Karl Maier", "Ole Dahl"}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many sales data are there?", (12,)),
        ("How many orders are there?", (12,)),
        ("How many units were sold in 2024?", (sum(order[3] for order in IN_2024),)),
        ("top 2 customers by number of orders", (("Bob Stone", 3), ("Ana Ruiz", 2))),
    ],
)
def test_a_collection_called_sales_data_holds_sales(sales: Any, question: str, expected: tuple[object, ...]) -> None:
    """Its name without "data", and what an order_date is the date of, name its documents."""
    answer = sales.ask(question)
    assert answer.values == expected
    assert answer.band is Band.ANSWER
