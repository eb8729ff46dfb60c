"""Questions that anybody would ask of small collections of several kinds, over tables alone and beside prose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import lumaai
from promptql.answer import Band
from promptql.rules.units import UNITS
from tests.promptql.everyday import DATABASES, fill

Asked = Callable[[str], Any]


@pytest.fixture(scope="module", params=[False, True], ids=["tables", "searched"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Database by name, each made when it is first wanted."""
    made: dict[str, Any] = {}
    with ExitStack() as stack:

        def database(name: str) -> Any:
            if name not in made:
                db = stack.enter_context(lumaai.connect(tmp_path_factory.mktemp(name)))
                made[name] = fill(db, name, searched=request.param)
            return made[name]

        yield database


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Of each database its tables alone."""
    with ExitStack() as stack:
        made = {
            name: fill(stack.enter_context(lumaai.connect(tmp_path_factory.mktemp(name))), name, searched=False)
            for name in DATABASES
        }
        yield made.__getitem__


BESIDE_ONE = [
    ("library", "Which books are dearer than Low Water?", {"Salt Maps"}),
    ("library", "Which books are cheaper than Low Water?", {"The Glass Orchard", "Northern Line"}),
    ("library", "Which books are longer than The Glass Orchard?", {"Low Water", "Salt Maps"}),
    ("library", "Which members are younger than Max?", {"Lea", "Ola"}),
    ("library", "How many members are older than Lea?", {1}),
    ("library", "Which authors were born later than Mira Holt?", {"Ines Vega"}),
    ("shop", "What is heavier than the Wool Rug?", {"Oak Table", "Office Chair"}),
    ("shop", "How many products are lighter than the Floor Lamp?", {2}),
    ("shop", "Which products in Furniture are dearer than the Wool Rug?", {"Oak Table", "Office Chair"}),
    ("shop", "Which products cost more than the Office Chair?", {"Oak Table"}),
    ("atlas", "Which cities have more people than Bexley?", {"Delft"}),
    ("airport", "Which flights had a shorter delay than ZE102?", {"ZE101", "ZE103", "KA7", "KA9"}),
    ("radio", "Which songs are longer than Blue Rain?", {"Long Road"}),
    ("company", "Who earns more than Ann Ray?", {"Bo Lee", "Cy Dow"}),
    ("company", "Which employees in Tech earn more than Ann Ray?", {"Cy Dow"}),
    ("company", "Who has a higher salary than Bo Lee?", {"Cy Dow"}),
    ("weather", "Which station is higher than Alto?", {"Cima"}),
]


@pytest.mark.parametrize(("name", "question", "expected"), BESIDE_ONE)
def test_what_lies_beyond_one_that_is_named(asked: Asked, name: str, question: str, expected: set[object]) -> None:
    """Compared with its value, and not found by its name."""
    answer = asked(name).ask(question)
    found = {value[0] if isinstance(value, tuple | list) else value for value in answer.values}
    if name == "airport" and found <= {f"f{n}" for n in range(7)}:
        found = {flight["flight"] for flight in DATABASES[name]["flights"] if flight["id"] in found}
    assert found == expected
    assert answer.confidence >= 0.85


@pytest.mark.parametrize(
    ("name", "question", "expected"),
    [
        ("library", "Who is older, Lea or Max?", ("Max",)),
        ("library", "Who was born earlier, Mira Holt or Otto Brandt?", ("Otto Brandt",)),
        ("library", "Which of Low Water and Salt Maps is the longest?", ("Low Water",)),
        ("shop", "Which is cheaper, the Floor Lamp or the Wool Rug?", ("Floor Lamp",)),
        ("shop", "Which is heavier, the Oak Table or the Office Chair?", ("Oak Table",)),
        ("company", "Who was hired first, Ann Ray or Bo Lee?", ("Bo Lee",)),
        ("company", "Who earns more, Ann Ray or Di Fox?", ("Ann Ray",)),
    ],
)
def test_one_of_two_that_are_named(asked: Asked, name: str, question: str, expected: tuple[object, ...]) -> None:
    """The one that has more of it, or less."""
    assert asked(name).ask(question).values == expected


def test_whether_one_has_more_is_shown_by_both(asked: Asked) -> None:
    """The two values side by side, the greater first."""
    assert asked("library").ask("Is Lea older than Max?").values == (("Max", 44), ("Lea", 31))


@pytest.mark.parametrize(
    ("name", "question", "expected"),
    [
        ("library", "By how much is Salt Maps dearer than the cheapest book?", 7.5),
        ("library", "By how much is Salt Maps dearer than Low Water?", 2.5),
        ("library", "How much older is Max than the average member?", 44 - 94 / 3),
        ("shop", "By how much is the Desk Lamp cheaper than the dearest product?", 205.0),
        ("shop", "By how much is the Oak Table heavier than the Office Chair?", 17.0),
        ("company", "By how much does Cy Dow earn more than Di Fox?", 28_000),
        ("company", "How much more does Cy Dow earn than Di Fox?", 28_000),
    ],
)
def test_how_far_one_lies_from_another_or_from_the_end(asked: Asked, name: str, question: str, expected: float) -> None:
    """A difference, not the document."""
    assert asked(name).ask(question).values == pytest.approx((expected,))


def test_a_comparison_says_whose_value_it_is_with(asked: Asked) -> None:
    """No id of a step."""
    text = asked("library").ask("How many members are older than Lea?").text
    assert text.startswith("There is 1 member where age > that of Lea.")


def test_several_measures_are_not_chosen_between_in_silence(asked: Asked) -> None:
    """A larger city may have more people or more land."""
    answer = asked("atlas").ask("Which cities are larger than Bexley?")
    assert answer.band is Band.ASSUMPTIONS
    assert "'larger than Bexley' = area_km2 > that of Bexley" in [item.text for item in answer.assumptions]


@pytest.mark.parametrize(
    ("name", "question", "expected"),
    [
        ("timesheets", "How many hours did Ana spend?", 7.0),
        ("timesheets", "How many hours did Ana spend on Apollo?", 5.0),
        ("timesheets", "How many hours were worked on Zephyr?", 6.0),
        ("timesheets", "How many hours were billable?", 23.0),
        ("timesheets", "How many hours has Bob logged in January 2026?", 12.0),
        ("office", "How many hours did Ana spend on Apollo?", 5.0),
        ("library", "How many pages does Low Water have?", 387),
        ("library", "How many pages did Mira Holt write?", 592),
        ("airport", "How many empty seats are there on flights to Rome?", 61),
        ("airport", "How many empty seats does ZE102 have?", 30),
        ("atlas", "How many people live in Marina?", 735_000),
        ("radio", "How many plays has Kato?", 2_620),
    ],
)
def test_amounts_are_added_up(asked: Asked, name: str, question: str, expected: float) -> None:
    """Hours, pages and people are what a field says, of one document or of all that are meant."""
    assert asked(name).ask(question).values == (expected,)


def test_the_verb_of_an_amount_is_said_to_be_left_out(asked: Asked) -> None:
    """That nothing was made of "spend" is told."""
    answer = asked("timesheets").ask("How many hours did Ana spend on Apollo?")
    assert answer.band is Band.ASSUMPTIONS
    assert "ignored: 'spend'" in [item.text for item in answer.assumptions]


def test_amounts_of_each(asked: Asked) -> None:
    """Added up by group, verb or not."""
    answer = asked("timesheets").ask("How many hours did each employee work?")
    assert dict(answer.values) == {"Ana": 7.0, "Bob": 12.0, "Cleo": 6.0}


@pytest.mark.parametrize(
    ("name", "question", "expected"),
    [
        ("timesheets", "How many employees are there?", 3),
        ("library", "How many authors are there?", 3),
        ("shop", "How many suppliers do we have?", 3),
        ("airport", "How many airlines are there?", 2),
        ("atlas", "How many countries are there?", 2),
        ("radio", "How many artists are there?", 2),
    ],
)
def test_what_a_field_names_in_the_plural_is_counted_once_each(
    asked: Asked, name: str, question: str, expected: int
) -> None:
    """Different values, not documents."""
    assert asked(name).ask(question).values == (expected,)


@pytest.mark.parametrize(
    ("name", "question", "expected"),
    [
        ("airport", "How many flights were delayed more than half an hour?", (3,)),
        ("airport", "How many flights were delayed by more than an hour?", (1,)),
        ("radio", "Which songs are longer than five minutes?", ("Long Road",)),
        ("radio", "Which songs are shorter than 2 minutes?", ("Dust",)),
        ("shop", "Which products are lighter than 1000 grams?", ("Wall Clock",)),
        ("weather", "Which stations are higher than 2 kilometers?", ("Alto", "Cima")),
        ("depot", "Which parcels are heavier than a kilo?", ("p2",)),
        ("depot", "Which parcels are overdue by more than a week?", ("p2",)),
    ],
)
def test_amounts_in_other_units(asked: Asked, name: str, question: str, expected: tuple[object, ...]) -> None:
    """Half an hour is thirty of the data's minutes, and the answer says so."""
    answer = asked(name).ask(question)
    assert answer.values == expected
    assert any(" = " in item.text and item.text.split()[-1] in UNITS for item in answer.assumptions)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many flights had no delay?", 2),
        ("How many flights were not delayed?", 2),
        ("How many flights were delayed?", 4),
        ("What is the median delay of Zeta flights?", 20),
    ],
)
def test_delays(asked: Asked, question: str, expected: int) -> None:
    """No delay is none of minutes; a median is no list."""
    assert asked("airport").ask(question).values == (expected,)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many lamps are there?", (2,)),
        ("What is the average price of lamps?", (57.5,)),
        ("Which lamp is the cheapest?", ("Desk Lamp",)),
        ("What is the fee for the Desk Lamp?", (35.0,)),
        ("How much is the Desk Lamp?", (35.0,)),
        ("How heavy is the Oak Table?", (28.0,)),
    ],
)
def test_things_by_the_last_word_of_their_names(asked: Asked, question: str, expected: tuple[object, ...]) -> None:
    """Lamps are what is called so; a fee is what something costs."""
    assert asked("shop").ask(question).values == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which books were never borrowed?", {"The Glass Orchard", "Salt Maps"}),
        ("never borrowed books", {"The Glass Orchard", "Salt Maps"}),
        ("books that nobody has borrowed", {"The Glass Orchard", "Salt Maps"}),
        ("Which members have never borrowed a book?", {"Ola"}),
        ("How many books have not been borrowed?", {2}),
    ],
)
def test_what_no_record_says(asked: Asked, question: str, expected: set[object]) -> None:
    """Books that no loan leads to: none is made up, and none is searched for by meaning."""
    answer = asked("library").ask(question)
    assert set(answer.values) == expected
    assert answer.band is not Band.SEARCH


@pytest.mark.parametrize(
    ("name", "questions", "expected"),
    [
        ("timesheets", ("How many hours did Ana spend on Apollo?", "And Bob?", "and on Zephyr?"), (5.0, 8.0, 4.0)),
        ("library", ("How many loans has Lea?", "And Max?"), (2, 1)),
        ("office", ("How many timesheets has Ana?", "And Bob?"), (3, 2)),
    ],
)
def test_a_name_alone_stays_with_what_was_asked(
    asked: Asked, name: str, questions: tuple[str, ...], expected: tuple[float, ...]
) -> None:
    """The question "And Max?" is of the same collection and the same figure, with another name."""
    database = asked(name)
    found = [database.ask(question, conversation=f"{name} {questions[0]}").values for question in questions]
    assert found == [(value,) for value in expected]


def test_no_is_never_left_out(asked: Asked) -> None:
    """Beside another collection, too, "no rain" is none of millimetres."""
    assert asked("weather").ask("How many readings had no rain?").values == (2,)


def test_a_word_that_changes_nothing_is_not_heard(tables: Asked) -> None:
    """What "sell" is like in meaning narrows nothing: it is said to be left out, not to be understood."""
    answer = tables("shop").ask("How many products do we sell?")
    assert answer.values == (6,)
    assert not [item.text for item in answer.assumptions if item.text.startswith("'sell' =")]


def test_how_many_are_in_stock_is_what_the_field_says(asked: Asked) -> None:
    """Seven chairs of one kind, not one kind of chair."""
    assert asked("shop").ask("How many chairs are in stock?").values == (7,)


@pytest.mark.parametrize(
    "question",
    [
        "What is the longest book cheaper than Low Water?",
        "How many books are longer than Low Water and cheaper than Salt Maps?",
    ],
)
def test_a_comparison_that_is_not_understood_is_no_name(asked: Asked, question: str) -> None:
    """What is compared with is not what is looked for: a search, or said to be hardly understood."""
    answer = asked("library").ask(question)
    assert answer.band is not Band.ANSWER
    assert answer.band is Band.SEARCH or answer.confidence < 0.3


def test_an_hour_is_never_taken_for_a_minute(asked: Asked) -> None:
    """A unit that is like another in meaning is not the same amount."""
    answer = asked("radio").ask("How many minutes is Long Road?")
    assert not [item.text for item in answer.assumptions if item.text.startswith("'minutes' =")]
    assert answer.values != (340,)


def test_years_between_two(asked: Asked) -> None:
    """Thirteen, and not how many have both names."""
    assert asked("library").ask("How many years older is Max than Lea?").values == (13,)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which rug is the cheapest?", None),
        ("Which is heavier, Sun Bread or Rye Loaf?", ("Rye Loaf",)),
    ],
)
def test_a_noun_in_the_singular_means_several(
    tmp_path_factory: pytest.TempPathFactory, question: str, expected: tuple[object, ...] | None
) -> None:
    """Of rugs of which one alone is called so the cheapest of all is meant; one of two is told by what named them."""
    rugs = [
        {"name": "Kilim", "sort": "Sun Bread", "price": 40, "weight": 3.0},
        {"name": "Wool Rug", "sort": "Rye Loaf", "price": 90, "weight": 7.5},
        {"name": "Berber", "sort": "Oat Bun", "price": 70, "weight": 5.0},
    ]
    with lumaai.connect(tmp_path_factory.mktemp("rugs")) as db:
        db.create_collection("t1", embed={}).add(rugs)
        answer = db.ask(question)
    assert answer.values == expected if expected else "Wool Rug" not in answer.values
