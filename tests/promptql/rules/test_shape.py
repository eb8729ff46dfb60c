"""What speaks for a reading's shape, over two collections: singers and their songs."""

from __future__ import annotations

import pytest

from promptql.rules.columns import View
from promptql.rules.draft import Draft
from promptql.rules.entities import link_entities
from promptql.rules.generate import Candidate, read, understood
from promptql.rules.joins import Edge, Joined
from promptql.rules.links import Headers, link_headers
from promptql.rules.model import Model, shipped_model
from promptql.rules.outcomes import by_outcome
from promptql.rules.parts import Part
from promptql.rules.priors import PRIOR, RELATED_PRIOR
from promptql.rules.shape import Shapes, elements
from promptql.rules.sketch import ROWS, Condition, Item, Pick, Sketch

VIEW = View(
    {
        "singer": {
            "singer_id": [1, 2, 3],
            "name": ["Ann", "Bob", "Cid"],
            "age": [31, 25, 47],
            "country": ["Chad", "Peru", "Chad"],
        },
        "song": {"song_id": [1, 2, 3], "singer_id": [1, 1, 2], "title": ["Air", "Bee", "Cod"], "sales": [9, 4, 7]},
    }
)
PLACES = {(VIEW.names[column.table], column.name): number for number, column in enumerate(VIEW.columns)}
NAME, AGE, COUNTRY = (PLACES["singer", field] for field in ("name", "age", "country"))
SINGER_ID, OWNER = PLACES["singer", "singer_id"], PLACES["song", "singer_id"]
JOINED = Joined(VIEW, [Edge(OWNER, SINGER_ID)])
HEADERS = Headers(VIEW)


def features(question: str, sketch: Sketch, answer: list[tuple[object, ...]], parts: tuple[Part, ...] = ()) -> set[str]:
    """Names of what speaks for or against a sketch."""
    asked = understood(question, VIEW)
    shapes = Shapes(asked, VIEW, link_headers(asked, VIEW, HEADERS), link_entities(asked, VIEW), JOINED)
    mask = 0
    for part in parts:
        mask |= part.mask
    return {name for name, _ in shapes.features(Draft("", sketch, parts, [], mask), answer)}


def best(question: str) -> Candidate:
    """The likeliest reading."""
    return by_outcome(read(question, VIEW, HEADERS, shipped_model().over(2), JOINED))[0].readings[0]


def test_elements_name_what_a_sketch_does() -> None:
    """Group, order, how many columns, conditions."""
    sketch = Sketch(
        (Item(COUNTRY), Item(ROWS, "count")),
        ((Condition(AGE, ">", 30.0),),),
        group=(COUNTRY,),
        pick=Pick("max", Item(ROWS, "count")),
    )

    assert elements(sketch) == ["group", "pickgroup", "pick:max", "fn:count:rows", "plain:1", "where:1"]


def test_what_is_done_meets_the_words_that_call_for_it() -> None:
    """A group and the word "each" make a feature together; words that are not called for make none."""
    found = features("How many singers are there in each country?", Sketch((Item(COUNTRY),), group=(COUNTRY,)), [])

    assert {"z:group", "z:group:each", "z:group:many", "z:group:asks:howmany"} <= found
    assert not any(name.endswith((":singers", ":country")) for name in found)


@pytest.mark.parametrize(
    ("sketch", "odd"),
    [
        (Sketch((Item(SINGER_ID, "sum"),)), "z:odd:identifier:sum"),
        (Sketch((Item(COUNTRY, "distinct"), Item(COUNTRY)), group=(COUNTRY,)), "z:odd:grouped_figure:distinct"),
        (Sketch((Item(COUNTRY),), ((Condition(COUNTRY, "=", "chad"),),)), "z:odd:shown_fixed"),
        (Sketch((Item(NAME),), ((Condition(SINGER_ID, ">", 1.0),),)), "z:odd:identifier_compared"),
        (Sketch((Item(SINGER_ID), Item(OWNER))), "z:odd:same_names"),
        (
            Sketch(
                (Item(NAME),),
                ((Condition(SINGER_ID, "not in", Sketch((Item(OWNER),), ((Condition(AGE, "!=", 3.0),),))),),),
            ),
            "z:odd:twice_not",
        ),
    ],
)
def test_oddities_are_noticed(sketch: Sketch, odd: str) -> None:
    """What a question hardly asks."""
    assert odd in features("What about the singers?", sketch, [("x",)])


def test_repeated_rows_and_kept_out_ones_differ() -> None:
    """A list that names things twice is another than one that was kept from it."""
    plain, once = Sketch((Item(COUNTRY),)), Sketch((Item(COUNTRY),), distinct=True)
    rows: list[tuple[object, ...]] = [("Chad",), ("Peru",), ("Chad",)]

    assert "z:list:repeated:single" in features("Show the different countries", plain, rows)
    assert "z:list:distinct:different" in features("Show the different countries", once, rows[:2])
    assert "z:list:different:single" in features("Show the countries", plain, rows[:2])


def test_features_carry_no_word_of_the_data_or_the_question() -> None:
    """Names of fields, collections and values count as kinds only."""
    question = "What is the name of the oldest singer whose country is Chad or whose age is above 30?"
    words = {"name", "oldest", "singer", "country", "chad", "age"}

    for candidate in read(question, VIEW, HEADERS, Model({**PRIOR, **RELATED_PRIOR}), JOINED):
        named = [name.split(":") for name in candidate.all_features() if name.startswith("z:")]
        said = {word for parts in named for word in parts[1:]} - {"age"}  # z:age: is about "oldest" and the like
        assert not words & said


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the age of the singer named Bob?", [(25,)]),
        ("How many singers are there in each country?", [("Chad", 2), ("Peru", 1)]),
        ("What is the name of the oldest singer?", [("Cid",)]),
        ("Show the name of the youngest singer.", [("Bob",)]),
        ("What is the average age of all singers?", [(pytest.approx(34.333, abs=0.01),)]),
    ],
)
def test_the_likeliest_reading_of_a_plain_question_is_right(question: str, answer: list[tuple[object, ...]]) -> None:
    """As shipped; columns may stand in another order."""
    rows = best(question).answer

    assert sorted(tuple(sorted(row, key=str)) for row in rows) == sorted(tuple(sorted(row, key=str)) for row in answer)


def test_nothing_found_is_an_answer_of_last_resort() -> None:
    """Where there are several collections, readings that find nothing stay, behind those that find something."""
    readings = read("Which singers have age above 90?", VIEW, HEADERS, Model({**PRIOR, **RELATED_PRIOR}), JOINED)

    assert any(not reading.answer for reading in readings)
