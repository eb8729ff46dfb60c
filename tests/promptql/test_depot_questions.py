"""Questions of a museum of minerals, a chess league and charging stations: what is told is what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Band

_SPECIMENS = [
    ("Blue Ember", ["blue", "grey"], 120.0, "2019-03-14", "Tove Lind", "Norway", 340),
    ("Old Miller", ["black"], 980.0, "2011-07-02", "Marco Benti", "Italy", 1250),
    ("Frost Rose", ["white", "pink"], 45.0, "2021-11-30", "Tove Lind", "Norway", 90),
    ("Pale Twin", ["white"], 88.0, "2021-04-18", "Ola Berg", "Norway", 150),
    ("Ash Pearl", ["grey"], 62.0, "2009-01-05", "Marco Benti", "Italy", None),
]
SPECIMENS = [
    {
        "id": f"s{n}",
        "name": name,
        "colors": colors,
        "weight_g": weight,
        "found_on": found,
        "finder": finder,
        "site": {"country": country},
        "value_eur": value,
        "note": f"A long label in faded ink tells about the crate number {n} in which it travelled here.",
    }
    for n, (name, colors, weight, found, finder, country, value) in enumerate(_SPECIMENS)
]
_PLAYERS = [
    ("Ilse Vantage", "Belgium", 2410, "IM"),
    ("Ravi Kapoor", "India", 2598, "GM"),
    ("Jonas Feld", "Germany", 2355, "FM"),
    ("Olu Adeyemi", "Nigeria", 2512, "GM"),
    ("Petra Skog", "Sweden", 2290, None),
]
PLAYERS = [
    {"id": f"p{n}", "name": name, "country": country, "rating": rating, "title": title}
    for n, (name, country, rating, title) in enumerate(_PLAYERS)
]
TOURNAMENTS = [
    {
        "id": "t0",
        "name": "Harbour Open",
        "start_date": "2024-03-08",
        "report": "A heating failure made all play in coats.",
    },
    {
        "id": "t1",
        "name": "City Cup",
        "start_date": "2025-05-02",
        "report": "A sponsor left, so the prizes were halved.",
    },
]
GAMES = [
    {"id": f"g{n}", "tournament_id": f"t{n % 2}", "white_id": f"p{n}", "moves": 30 + n, "comment": "A quiet opening."}
    for n in range(4)
]
_STATIONS = [
    ("Mill Gate", "North", ["CCS", "Type 2"], "2021-05-01"),
    ("Fish Market", "Harbour", ["CCS"], "2022-09-15"),
    ("Opera", "Centre", ["Type 2"], "2020-02-20"),
    ("Old Fort", "Harbour", ["CCS"], "2023-12-12"),
]
STATIONS = [
    {"id": f"c{n}", "name": name, "district": district, "connectors": connectors, "opened_on": opened}
    for n, (name, district, connectors, opened) in enumerate(_STATIONS)
]
_SESSIONS = [
    (0, "Anders", 30.0, 12.0, "2025-02-03", True),
    (0, "Bea", 12.0, 6.0, "2025-02-10", False),
    (1, "Anders", 40.0, 22.0, "2025-03-01", True),
    (2, "Bea", 8.0, 4.0, "2024-12-24", True),
    (3, "Chidi", 18.0, None, "2024-11-05", True),
]
SESSIONS = [
    {
        "id": f"x{n}",
        "station_id": f"c{station}",
        "driver": driver,
        "energy_kwh": energy,
        "cost_eur": cost,
        "started_on": started,
        "paid": paid,
    }
    for n, (station, driver, energy, cost, started, paid) in enumerate(_SESSIONS)
]
_DELIVERIES = [
    ("glass", 1200.0, "2026-03-02", "Ruhr Trans", ["municipal", "sorted"], 40.0),
    ("paper", 800.0, "2026-03-05", "Kito", ["industrial"], 55.0),
    ("metal", 2500.0, "2026-04-11", "Ruhr Trans", ["industrial", "sorted"], 0.0),
    ("glass", 500.0, "2026-04-18", "Velox", ["municipal"], 70.0),
]
DELIVERIES = [
    {
        "id": f"d{n}",
        "material": material,
        "weight_kg": weight,
        "delivered_on": day,
        "carrier": carrier,
        "categories": categories,
        "fee_eur": fee,
    }
    for n, (material, weight, day, carrier, categories, fee) in enumerate(_DELIVERIES)
]
LINES = [
    {"id": f"l{n}", "line": line, "depot": depot} for n, (line, depot) in enumerate([("12", "East"), ("27", "West")])
]
_TRIPS = [("l0", "Mo", 40, 80.0, "rain"), ("l0", "Ann", 60, 130.0, "sun"), ("l1", "Mo", 20, 30.0, "rain")]
TRIPS = [
    {"id": f"t{n}", "line_id": line, "driver": driver, "passengers": passengers, "fare": fare, "weather": weather}
    for n, (line, driver, passengers, fare, weather) in enumerate(_TRIPS)
]
DATABASES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "minerals": {"specimens": SPECIMENS},
    "chess": {"players": PLAYERS, "tournaments": TOURNAMENTS, "games": GAMES},
    "depot": {"deliveries": DELIVERIES},
    "buses": {"lines": LINES, "trips": TRIPS},
    "charging": {"stations": STATIONS, "sessions": SESSIONS},
}
Ask = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask one of the databases; minerals and chess alone are searched."""
    path = tmp_path_factory.mktemp("depots")
    with ExitStack() as stack:
        opened: dict[str, Any] = {}
        for name, collections in DATABASES.items():
            opened[name] = stack.enter_context(lumaai.connect(path / name))
            embed: dict[str, Any] = {"embed": {}} if name in {"charging", "depot", "buses"} else {}
            for collection, documents in collections.items():
                opened[name].create_collection(collection, **embed).add(documents)
        yield lambda name, question: opened[name].ask(question)


@pytest.mark.parametrize(
    ("database", "question", "values"),
    [
        # Documents go by the name that tells them apart best.
        ("chess", "Who has the highest rating?", ("Ravi Kapoor",)),
        ("chess", "Which players are from Belgium?", ("Ilse Vantage",)),
        ("chess", "Which title does Ravi Kapoor have?", ("GM",)),
        # Nothing but.
        ("charging", "Which stations have only Type 2?", ("Opera",)),
        ("charging", "Which stations have Type 2?", ("Mill Gate", "Opera")),
        ("charging", "Show only stations with CCS", ("Mill Gate", "Fish Market", "Old Fort")),
        ("minerals", "Which specimens are only white?", ("Pale Twin",)),
        # A value that is a small word elsewhere.
        ("depot", "How many deliveries are municipal and sorted?", (1,)),
        ("depot", "Which deliveries are both municipal and sorted?", ("d0",)),
        ("depot", "Which deliveries are not sorted?", ("d1", "d3")),
        ("depot", "deliveries sorted by weight", ("d2", "d0", "d1", "d3")),
        # A short name but for its unit.
        ("depot", "Average fee per carrier", (("Kito", 55.0), ("Ruhr Trans", 20.0), ("Velox", 70.0))),
        # A share is one of a total.
        ("depot", "What percentage of the weight is metal?", (50.0,)),
        # By a unit.
        ("charging", "What is the average cost per kWh?", (44.0 / 90.0,)),
        ("minerals", "average value per gram", (1830 / 1233.0,)),
        # The one field of datetimes says what is new.
        ("charging", "Which is the newest station in the Harbour district?", ("Old Fort",)),
        ("charging", "Which driver had the latest session?", ("Anders",)),
    ],
)
def test_sure(ask: Ask, database: str, question: str, values: tuple[Any, ...]) -> None:
    """Worked out by hand."""
    answer = ask(database, question)
    assert answer.band is Band.ANSWER, answer.text
    if isinstance(values[0], float):
        assert answer.values == pytest.approx(values), answer.text
    else:
        assert (dict(answer.values) if isinstance(values[0], tuple) else answer.values) == (
            dict(values) if isinstance(values[0], tuple) else values
        ), answer.text


@pytest.mark.parametrize(
    ("question", "days"),
    [
        ("First session of each driver", {"Anders": "2025-02-03", "Bea": "2024-12-24", "Chidi": "2024-11-05"}),
        (
            "What was the last session of each driver?",
            {"Anders": "2025-03-01", "Bea": "2025-02-10", "Chidi": "2024-11-05"},
        ),
    ],
)
def test_first_of_each(ask: Ask, question: str, days: dict[str, str]) -> None:
    """The day of each, where the number of all had been given."""
    assert {name: day[:10] for name, day in ask("charging", question).values} == days


def test_list_by_number(ask: Ask) -> None:
    """A list of all was counted as one."""
    listed = ask("minerals", "List the finders by number of specimens").values
    assert dict(listed) == {"Marco Benti": 2, "Tove Lind": 2, "Ola Berg": 1}
    assert [number for _, number in listed] == [2, 2, 1]


def test_figures_of_no_truth_values(ask: Ask) -> None:
    """What is paid or not is no amount that adds up."""
    answer = ask("charging", "What is the total cost of sessions in the North district?")
    assert answer.values == (18.0,), answer.text


@pytest.mark.parametrize(
    ("database", "question"),
    [
        ("minerals", "Where is Tove Lind from?"),
        ("charging", "How much is unpaid?"),
        ("depot", "How much paper was delivered?"),
        ("charging", "Who had the earliest session?"),
    ],
)
def test_what_is_told_is_no_such_thing(ask: Ask, database: str, question: str) -> None:
    """With reserve, and it says which word nothing was made of."""
    answer = ask(database, question)
    assert answer.band is not Band.ANSWER, answer.text
    assert "Left out of the question" in answer.text


def test_a_truth_value_is_nobody_and_no_time(ask: Ask) -> None:
    """A verb that is near in meaning to a yes or no does not answer who or when."""
    for question in ("Who charged at the Old Fort?", "When did Anders charge at Mill Gate?"):
        try:
            answer = ask("charging", question)
        except lumaai.InvalidRequestError:
            continue  # it says that no reading fits
        assert not any(isinstance(value, bool) for value in answer.values), answer.text


def test_what_comes_next(ask: Ask) -> None:
    """It was an internal error."""
    assert ask("chess", "Which tournament comes after the Harbour Open?").band is not Band.ANSWER


def test_groups_are_called_by_their_field(ask: Ask) -> None:
    """Players were counted by player."""
    assert "players by title" in ask("chess", "How many players per title?").text


def test_which_of_what_was_counted(tmp_path: Path) -> None:
    """Those that were counted are named, and what was said of them stays said."""
    with lumaai.connect(tmp_path / "talk") as db:
        db.create_collection("specimens").add(SPECIMENS)
        asked = ["How many specimens were found in Norway?", "Which of those are white?", "only the heaviest"]
        counted, named, heaviest = [db.ask(question, conversation="talk").values for question in asked]
        assert counted == (3,)
        assert named == ("Frost Rose", "Pale Twin")
        assert heaviest == ("Pale Twin",)
        db.ask("Which specimens are white?", conversation="talk")
        assert db.ask("how many of them are from Norway?", conversation="talk").values == (2,)
        assert db.ask("How many specimens were found in Italy?", conversation="other").values == (2,)
        assert db.ask("only the lightest", conversation="other").values == ("Ash Pearl",)


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("What is the average number of passengers per trip?", (40.0,)),  # they were grouped by the weather
        ("Fare per passenger", (2.0,)),
        ("drivers by number of trips", (("Mo", 2), ("Ann", 1))),
    ],
)
def test_of_each(ask: Ask, question: str, values: tuple[Any, ...]) -> None:
    """What stands behind "per" or before "by" says what there is one of."""
    assert ask("buses", question).values == values
