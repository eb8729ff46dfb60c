"""Whether a reading makes sense of its question as a whole, over the library."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptql.rules.columns import View, numbering
from promptql.rules.draft import Draft
from promptql.rules.entities import link_entities
from promptql.rules.generate import read, understood
from promptql.rules.joins import Edge, Joined
from promptql.rules.links import Headers, link_headers
from promptql.rules.model import Model, shipped_model
from promptql.rules.nesting import denials
from promptql.rules.outcomes import by_outcome
from promptql.rules.parts import Part
from promptql.rules.priors import PRIOR, RELATED_PRIOR
from promptql.rules.sense import Senses
from promptql.rules.shape import Shapes
from promptql.rules.sketch import ROWS, Condition, Item, Pick, Sketch
from tests.promptql.rules.library import column, library, reading
from tests.promptql.rules.test_shape import HEADERS, JOINED, VIEW

AGE, FIRST, LAST = column("writers", "age"), column("writers", "first_name"), column("writers", "last_name")
WRITER, AUTHOR, COUNTRY = column("writers", "writer_id"), column("books", "author_id"), column("writers", "country")
PAGES, TITLE, BOOK = column("books", "pages"), column("books", "title"), column("books", "book_id")


def found(question: str, sketch: Sketch, rows: int = 1, parts: tuple[Part, ...] = ()) -> set[str]:
    """Names of the features of a sketch that gave so many rows."""
    view, headers, joined = library()
    asked = understood(question, view)
    mentions, entities = link_headers(asked, view, headers), link_entities(asked, view)
    kinds = Shapes(asked, view, mentions, entities, joined).kinds
    senses = Senses(asked, view, mentions, entities, joined, kinds)
    mask = (1 << len(asked.words)) - 1
    return {name for name, _ in senses.features(Draft("", sketch, parts, [], mask), rows)}


@pytest.mark.parametrize(
    ("question", "sketch", "feature"),
    [
        ("What is the average age of writers?", Sketch((Item(AGE),)), "w:avg:unheard"),
        ("What is the average age of writers?", Sketch((Item(AGE, "avg"),)), "w:avg:heard"),
        ("Show the different countries of writers", Sketch((Item(COUNTRY),)), "w:different:unheard"),
        ("Show the different countries of writers", Sketch((Item(COUNTRY),), distinct=True), "w:different:heard"),
        ("How many writers are there?", Sketch((Item(FIRST),)), "w:count:unheard"),
        ("Show the writers", Sketch((Item(ROWS, "count"),)), "w:count:unsaid"),
        ("Show the titles sorted by pages", Sketch((Item(TITLE),)), "w:order:unheard"),
    ],
)
def test_words_that_call_for_something_are_heard_or_not(question: str, sketch: Sketch, feature: str) -> None:
    """An average is asked for, and is among what a reading does, or is not."""
    assert feature in found(question, sketch)


def test_one_superlative_is_not_taken_twice() -> None:
    """The greatest age of those with the greatest number of pages takes two of one "maximum"."""
    question = "What is the maximum age of writers for the different pages?"
    twice = Sketch((Item(AGE, "max"),), ((Condition(PAGES, "=", Sketch((Item(PAGES, "max"),))),),))

    assert "w:extremes:1" in found(question, twice)
    assert "w:extremes:0" in found(question, Sketch((Item(AGE, "max"), Item(PAGES)), group=(PAGES,)))


@pytest.mark.parametrize(
    ("words", "denied"),
    [
        ("books of no less than 100 pages", 0),
        ("age is not higher than 40", 0),
        ("writers without books", 1),
        ("not of france and not of peru", 2),
        ("loans with no", 1),
    ],
)
def test_a_comparison_denies_nothing(words: str, denied: int) -> None:
    """The "no" of "no less than" is none of its own."""
    assert denials(words.split()).bit_count() == denied


def test_a_field_is_of_the_collection_that_stands_beside_it() -> None:
    """Behind it with "of the", before it, and before a list with "'s"."""
    first, title = Sketch((Item(FIRST),)), Sketch((Item(TITLE),))

    assert "w:of:part:after:same" in found("What are the first names of all the writers?", first)  # "names": nearly
    assert "w:of:part:after:other" in found("What are the titles of the writers?", title)
    assert "w:of:before:same" in found("Show the book title", title)
    assert "w:of:before:same" in found("Show each writer's first name, last name and the loans", Sketch((Item(LAST),)))


def test_an_id_is_the_collections_own() -> None:
    """The id of a book is hardly that of its author."""
    question = "What are the ids of the books?"

    assert "w:key:own" in found(question, Sketch((Item(BOOK),)))
    assert "w:key:foreign" in found(question, Sketch((Item(AUTHOR),)))


def test_a_comparison_that_is_read_as_equality_is_unheard() -> None:
    """As in "over 100 pages" read as 100 pages; and a year is no number of pages."""
    question = "Which books have over 1900 pages?"
    place = understood(question, library()[0]).words.index("1900")
    mask = 1 << place
    equal = Part(mask, [], (((Condition(PAGES, "=", 1900.0)),),), PAGES, mask, start=place)
    beyond = Part(mask, [], (((Condition(PAGES, ">", 1900.0)),),), PAGES, mask, start=place)

    assert {"w:comparison:unheard", "w:year:other:unsaid"} <= found(question, Sketch((Item(TITLE),)), 1, (equal,))
    assert "w:comparison:unheard" not in found(question, Sketch((Item(TITLE),)), 1, (beyond,))


def test_what_refers_to_others_orders_nothing() -> None:
    """The greatest reference means nothing; a tie of many is a poor answer to a superlative."""
    names = found("Which book has the most?", Sketch((Item(TITLE),), pick=Pick("max", Item(AUTHOR))), rows=5)

    assert {"w:key:linking", "w:ties:plain:many"} <= names


def test_the_oldest_is_taken_of_an_age() -> None:
    """Where a collection that is read holds what a superlative measures, another order is told apart."""
    question = "Which writer is the oldest?"

    assert "w:measure:same" in found(question, Sketch((Item(FIRST),), pick=Pick("max", Item(AGE))))
    assert "w:measure:same" in found(question, Sketch((Item(AGE, "max"),)))
    assert "w:measure:other" in found(question, Sketch((Item(FIRST),), pick=Pick("max", Item(WRITER))))
    assert "w:measure:other" in found(question, Sketch((Item(FIRST),)))
    inner = Sketch((Item(FIRST),), (((Condition(AGE, "=", Sketch((Item(AGE, "max"),)))),),))
    assert "w:measure:same" in found(question, inner)


def test_what_is_not_read_is_not_measured() -> None:
    """The oldest of books that have no age measures nothing; nor does a word without a measure."""
    names = found("Which book is the oldest?", Sketch((Item(TITLE),), pick=Pick("max", Item(PAGES))))
    names |= found("Which writer has the most?", Sketch((Item(FIRST),), pick=Pick("max", Item(AGE))))

    assert not any(name.startswith("w:measure") for name in names)


def test_the_name_of_a_collection_is_no_key_of_another() -> None:
    """As "each author" names authors, not the number by which a book refers to its author; "author id" does name it."""
    view = View({"authors": {"id": [1, 2], "name": ["Ada", "Bo"]}, "books": {"id": [1, 2, 3], "author_id": [1, 1, 2]}})
    joined = Joined(view, [Edge(3, 0)])

    def names(question: str) -> set[str]:
        asked = understood(question, view)
        mentions, entities = link_headers(asked, view, Headers(view)), link_entities(asked, view)
        senses = Senses(asked, view, mentions, entities, joined, Shapes(asked, view, mentions, entities, joined).kinds)
        grouped = Sketch((Item(3), Item(ROWS, "count")), group=(3,))
        return {name for name, _ in senses.features(Draft("", grouped, (), [], (1 << len(asked.words)) - 1), 2)}

    assert "w:key:meant" in names("How many books has each author?")
    assert "w:key:meant" not in names("How many books has each author id?")


def test_numbers_that_repeat_count() -> None:
    """A code numbers things; a number that many share is a measure."""
    view, _, _ = library()

    assert numbering(view.columns[BOOK])
    assert not numbering(view.columns[PAGES])


def test_the_name_of_a_field_may_stand_between_a_comparison_and_its_number() -> None:
    """As in "above age 40": a condition on the age, whose name is said."""
    parts = reading("Which writers are above age 40?").conditions
    compared = [p for p in parts if p.column == AGE and p.clauses == (((Condition(AGE, ">", 40.0)),),)]

    assert any(part.head for part in compared)


WORDS = st.sampled_from(
    """show what is the average different number of books writers first name age no not or most oldest above 40 2 each
    by id""".split()
)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12))
def test_features_are_finite_and_carry_no_word_of_the_data(words: list[str]) -> None:
    """Whatever is asked: kinds of things only, so that what is learned of some collections holds for others."""
    view, headers, joined = library()
    data = {"books", "writers", "pages", "title", "age", "france", "moss"}

    for candidate in read(" ".join(words), view, headers, Model({**PRIOR, **RELATED_PRIOR}), joined, tried_max=10):
        for name, value in candidate.all_features().items():
            if name.startswith("w:"):
                assert not data & set(name.split(":"))
                assert abs(value) < 100


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What are the names and ages of the singers above age 30?", [("Ann", 31), ("Cid", 47)]),
        ("How many different countries do the singers have?", [(2,)]),
        ("List the title and sales of each song.", [("Air", 9), ("Bee", 4), ("Cod", 7)]),
    ],
)
def test_the_likeliest_reading_makes_sense(question: str, answer: list[tuple[object, ...]]) -> None:
    """As shipped; columns may stand in another order."""
    rows = by_outcome(read(question, VIEW, HEADERS, shipped_model().over(2), JOINED))[0].readings[0].answer

    assert sorted(tuple(sorted(row, key=str)) for row in rows) == sorted(tuple(sorted(row, key=str)) for row in answer)
