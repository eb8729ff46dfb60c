"""Questions about times, asked of orders: what they are answered from is worked out here in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import lumaai
from lumaai.database import Database
from promptql.catalog import Catalog, read_catalog
from promptql.rules.planning import plan_by_rules

ASKED_AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
START = date(2025, 1, 1)


def orders() -> list[dict[str, Any]]:
    """An order every third day from January 2025 on, with customer, city, total and status going round."""
    return [
        {
            "id": f"o{n}",
            "customer": ["Ann", "Bob", "Cid", "Dora", "Ann"][n % 5],
            "ordered_at": (START + timedelta(days=3 * n)).isoformat(),
            "total": float(10 + n % 90),
            "city": ["Paris", "Rome", "Berlin"][n % 3],
            "status": ["shipped", "open", "shipped", "returned"][n % 4],
        }
        for n in range(240)
    ]


ORDERS = orders()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with lumaai.connect(tmp_path_factory.mktemp("orders")) as database:
        assert isinstance(database, Database)
        database.create_collection("orders", embed={}).add(ORDERS)
        yield database


@pytest.fixture(scope="module")
def catalog(database: Database) -> Catalog:
    return read_catalog(database._native.snapshot())


@pytest.fixture
def asked(database: Database, catalog: Catalog) -> Callable[[str], Any]:
    """The answer of a question asked at noon of 30 November 2026."""

    def ask(question: str) -> Any:
        planned = plan_by_rules(question, catalog, ASKED_AT)
        return database.execute(planned.plan.to_json())

    return ask


def counted(holds: Callable[[dict[str, Any], date], bool]) -> int:
    return sum(holds(order, date.fromisoformat(order["ordered_at"])) for order in ORDERS)


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("How many orders in March 2026?", lambda o, d: (d.year, d.month) == (2026, 3)),
        ("How many orders were placed last month?", lambda o, d: (d.year, d.month) == (2026, 10)),
        ("How many orders in Q2 2026?", lambda o, d: d.year == 2026 and 4 <= d.month <= 6),
        ("How many orders since March 2026?", lambda o, d: d >= date(2026, 3, 1)),
        ("How many orders after March 2026?", lambda o, d: d >= date(2026, 4, 1)),
        ("How many orders before 5 May 2025?", lambda o, d: d < date(2025, 5, 5)),
        ("How many orders until May 2025?", lambda o, d: d < date(2025, 6, 1)),
        (
            "How many orders between 2026-01-01 and 2026-02-15?",
            lambda o, d: date(2026, 1, 1) <= d <= date(2026, 2, 15),
        ),
        ("How many orders between March and May 2026?", lambda o, d: d.year == 2026 and 3 <= d.month <= 5),
        ("How many orders from November 2025 to January 2026?", lambda o, d: date(2025, 11, 1) <= d < date(2026, 2, 1)),
        ("How many orders from March 2026 on?", lambda o, d: d >= date(2026, 3, 1)),
        ("How many orders from March 2026?", lambda o, d: (d.year, d.month) == (2026, 3)),
        ("How many orders were made in the last 30 days?", lambda o, d: date(2026, 11, 1) <= d <= date(2026, 11, 30)),
        ("How many open orders are older than 90 days?", lambda o, d: o["status"] == "open" and d < date(2026, 9, 1)),
        ("How many orders are newer than 2 months?", lambda o, d: d >= date(2026, 9, 30)),
        ("How many orders were not in 2026?", lambda o, d: d.year != 2026),
        ("How many orders were not in March 2026?", lambda o, d: (d.year, d.month) != (2026, 3)),
        (
            "How many returned orders from Paris this year?",
            lambda o, d: o["status"] == "returned" and o["city"] == "Paris" and d.year == 2026,
        ),
        (
            "How many orders with a total above 50 since October 2026?",
            lambda o, d: o["total"] > 50 and d >= date(2026, 10, 1),
        ),
    ],
)
def test_dates_narrow_what_is_counted(
    asked: Callable[[str], Any], question: str, holds: Callable[[dict[str, Any], date], bool]
) -> None:
    """Each is counted as a loop over the orders counts it."""
    expected = counted(holds)
    assert 0 < expected < len(ORDERS)
    assert asked(question).values == (expected,)


def test_a_month_is_a_group(asked: Callable[[str], Any]) -> None:
    """One row a month, in their order, named by the first moment; the sentence names the month."""
    answer = asked("How many orders per month in 2026?")
    months = Counter(order["ordered_at"][:7] for order in ORDERS if order["ordered_at"].startswith("2026"))
    assert [(when[:7], n) for when, n in answer.values] == sorted(months.items())
    assert "2026-01 (" in answer.text
    quarters = asked("average total per quarter").values
    assert [when for when, _ in quarters][:2] == ["2025-01-01T00:00:00Z", "2025-04-01T00:00:00Z"]
    first = [order["total"] for order in ORDERS if "2025-01-01" <= order["ordered_at"] < "2025-04-01"]
    assert quarters[0][1] == pytest.approx(sum(first) / len(first))


def test_superlatives_over_times_and_people(asked: Callable[[str], Any]) -> None:
    """The month, the customer, the last order."""
    months = Counter(order["ordered_at"][:7] for order in ORDERS)
    best = max(months.values())
    expected = [month for month, n in sorted(months.items()) if n == best]
    assert [when[:7] for when in asked("Which month had the most orders?").values] == expected
    assert asked("Who ordered the most in 2026?").values == ("Ann",)
    assert asked("When was the last order?").values == (f"{ORDERS[-1]['ordered_at']}T00:00:00Z",)
    assert asked("the last 3 orders").values == tuple(order["id"] for order in ORDERS[:-4:-1])


def test_without_a_year_the_answer_says_which(database: Database) -> None:
    """As an assumption that keeps it from being given without reserve."""
    answer = database.ask("How many orders in March?")
    assert answer.band == "answer_with_assumptions"
    assert any("'in March' = ordered_at >= 20" in item.text for item in answer.assumptions)


def test_today_is_that_of_the_asker(tmp_path: Path) -> None:
    """Half past eleven in the evening of New Year's Eve in UTC is the new year in Tokyo, and not yet in New York."""
    with lumaai.connect(tmp_path) as database:
        assert isinstance(database, Database)
        database.create_collection("calls", embed={}).add(
            [
                {"id": "1", "at": "2026-12-31T03:00:00Z"},
                {"id": "2", "at": "2026-12-31T15:30:00Z"},
                {"id": "3", "at": "2026-12-31T23:00:00Z"},
            ]
        )
        catalog = read_catalog(database._native.snapshot())
        moment = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)

        def today(zone: Any) -> Any:
            planned = plan_by_rules("How many calls today?", catalog, moment.astimezone(zone))
            return database.execute(planned.plan.to_json()).values[0]

        from zoneinfo import ZoneInfo

        assert today(UTC) == 3
        assert today(ZoneInfo("Asia/Tokyo")) == 2  # from 15:00 UTC on
        assert today(ZoneInfo("America/New_York")) == 2  # from 05:00 UTC on
        assert database.ask("How many calls in 2026?", time_zone="Asia/Tokyo").values == (3,)
        with pytest.raises(lumaai.InvalidRequestError, match="time zone"):
            database.ask("How many calls today?", time_zone="Mars/Olympus")
