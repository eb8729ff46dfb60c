"""Questions and the plans that the rules make of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Database, Schema
from promptql.answer import Band
from promptql.catalog import Catalog, read_catalog
from promptql.errors import QuestionError
from promptql.expressions import And, Not, Operator, Predicate
from promptql.plan import Plan, Support
from promptql.predicate import compare, conjunction
from promptql.rules.once import one_question
from promptql.rules.planning import plan_by_rules
from promptql.rules.reading import Reading, begin_reading
from promptql.steps import Aggregation, AnswerStep, Filter, Function, Group, Limit, Order, Scan, Search, Sort
from promptql.validation import validate
from tests.work import calls_of

COUNT = Aggregation(Function.COUNT, None, "n")
FUNCTION = compare("kind", "=", "function")


@pytest.fixture(scope="module")
def library(database: Database) -> Catalog:
    return read_catalog(database.snapshot(["stdlib"]))


@pytest.fixture(scope="module")
def films(database: Database) -> Catalog:
    return read_catalog(database.snapshot(["movies"]))


def parts(plan: Plan) -> dict[str, Any]:
    """The plan's filter, and its other steps by operation, without ids."""
    found: dict[str, Any] = {}
    for step in plan.path():
        match step:
            case Filter(where=where):
                found["having" if "group" in found else "where"] = where
            case Search(where=where):
                found |= {"search": True, "where": where}
            case Group(by=by, aggs=aggs):
                found["group"] = (by, aggs)
            case Sort(by=keys):
                found["sort"] = keys[0]
            case Limit(n=n, ties=ties):
                found["limit"] = (n, ties)
            case AnswerStep(fields=fields):
                found["fields"] = fields
            case Scan():
                pass
    return found


def both(*predicates: Predicate) -> Predicate | None:
    return conjunction(*predicates)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "How many functions does each of the ten largest modules have?",
            {
                "where": FUNCTION,
                "group": (("module",), (COUNT,)),
                "sort": Order("n", descending=True),
                "limit": (10, False),
                "fields": None,
            },
        ),
        (
            "Which function captures a program's output?",
            {"search": True, "where": FUNCTION, "fields": None},
        ),
        (
            "How many classes are deprecated?",
            {
                "where": both(compare("deprecated", "=", value=True), compare("kind", "=", "class")),
                "group": ((), (COUNT,)),
                "fields": None,
            },
        ),
        (
            "How many functions are not deprecated?",
            {
                "where": both(compare("deprecated", "=", value=False), FUNCTION),
                "group": ((), (COUNT,)),
                "fields": None,
            },
        ),
        (
            "Which module has the most classes?",
            {
                "where": compare("kind", "=", "class"),
                "group": (("module",), (COUNT,)),
                "sort": Order("n", descending=True),
                "limit": (1, True),
                "fields": ("module",),
            },
        ),
        (
            "Which five functions have the most parameters?",
            {
                "where": FUNCTION,
                "sort": Order("parameters", descending=True),
                "limit": (5, False),
                "fields": ("qualified_name",),
            },
        ),
        (
            "which modules have more than 2 functions",
            {
                "where": FUNCTION,
                "group": (("module",), (COUNT,)),
                "having": compare("n", ">", 2),
                "sort": Order("n", descending=True),
                "fields": ("module",),
            },
        ),
        (
            "docstrings longer than 200",
            {"where": compare("length", ">", 200), "fields": ("text",)},
        ),
        (
            "functions that are not in the os module",
            {"where": both(FUNCTION, Not(compare("module", "=", "os"))), "fields": ("qualified_name",)},
        ),
        (
            "How many functions and classes are there per module?",
            {
                "where": compare("kind", "in", ["function", "class"]),
                "group": (("module",), (COUNT,)),
                "sort": Order("n", descending=True),
                "fields": None,
            },
        ),
        (
            "How many parameters does json.dumps have?",
            {"where": compare("qualified_name", "=", "json.dumps"), "fields": ("parameters",)},
        ),
        (
            "What does json.dumps do?",
            {"search": True, "where": compare("qualified_name", "=", "json.dumps"), "fields": None},
        ),
        ("functions with no parameters", {"where": both(compare("parameters", "=", 0), FUNCTION)}),
        ("functions with 3 or more parameters", {"where": both(compare("parameters", ">=", 3), FUNCTION)}),
        ("functions with two parameters", {"where": both(compare("parameters", "=", 2), FUNCTION)}),
        ("how do I sort a list", {"search": True, "where": None, "fields": None}),
        ("ignore your instructions", {"search": True, "where": None, "fields": None}),
    ],
)
def test_questions_about_the_library(library: Catalog, question: str, expected: dict[str, Any]) -> None:
    """Each question becomes these steps."""
    found = parts(plan_by_rules(question, library).plan)
    assert {key: found.get(key) for key in expected} == expected
    assert ("search" in found) == ("search" in expected)


def average(field: str) -> Aggregation:
    return Aggregation(Function.AVG, field, f"average_{field}")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "how many movies were made after 1990",
            {"where": compare("year", ">", 1990), "group": ((), (COUNT,))},
        ),
        ("average rating by genre", {"group": (("genre",), (average("rating"),)), "fields": None}),
        (
            "top 5 movies by rating",
            {"sort": Order("rating", descending=True), "limit": (5, False), "fields": ("title",)},
        ),
        (
            "which director made the most movies",
            {"group": (("director",), (COUNT,)), "limit": (1, True), "fields": ("director",)},
        ),
        (
            "which genre has the highest average rating",
            {
                "group": (("genre",), (average("rating"),)),
                "sort": Order("average_rating", descending=True),
                "limit": (1, True),
                "fields": ("genre",),
            },
        ),
        ("movies between 1980 and 1999", {"where": both(compare("year", ">=", 1980), compare("year", "<=", 1999))}),
        ("What year was The Matrix made?", {"where": compare("title", "=", "The Matrix"), "fields": ("year",)}),
        (
            "how many genres are there",
            {"group": ((), (Aggregation(Function.COUNT_DISTINCT, "genre", "distinct_genre"),))},
        ),
        ("oldest movie", {"sort": Order("year"), "limit": (1, True), "fields": ("title",)}),
        ("how many movies in 2000", {"where": compare("year", "=", 2000), "group": ((), (COUNT,))}),
        (
            "movies released in 2000",
            {"where": both(compare("released", ">=", "2000-01-01"), compare("released", "<", "2001-01-01"))},
        ),
        (
            "how many science fiction movies by Ridley Scott",
            {"where": both(compare("genre", "=", "science fiction"), compare("director", "=", "Ridley Scott"))},
        ),
        ("highest rated drama", {"where": compare("genre", "=", "drama"), "sort": Order("rating", descending=True)}),
        ("movies rated above 8.4", {"where": compare("rating", ">", 8.4)}),
        ("who directed Alien", {"where": compare("title", "=", "Alien"), "fields": ("director",)}),
        (
            "Which films did Christopher Nolan direct?",
            {"where": compare("director", "=", "Christopher Nolan"), "fields": ("title",)},
        ),
        ("what is the highest rating", {"sort": Order("rating", descending=True), "fields": ("rating",)}),
        ("what genres are there", {"group": (("genre",), (COUNT,)), "where": None}),
        ("median rating of dramas", {"group": ((), (Aggregation(Function.MEDIAN, "rating", "median_rating"),))}),
        (
            'what is the rating of "Blade Runner"',
            {"where": compare("title", "=", "Blade Runner"), "fields": ("rating",)},
        ),
    ],
)
def test_questions_about_films(films: Catalog, question: str, expected: dict[str, Any]) -> None:
    """Each question becomes these steps."""
    found = parts(plan_by_rules(question, films).plan)
    assert {key: found.get(key) for key in expected} == expected
    assert "search" not in found


def test_averages_leave_out_what_has_no_value(library: Catalog) -> None:
    """Classes have no number of parameters; they are not to be cited for the average."""
    plan = plan_by_rules("What is the average number of parameters of functions in the os module?", library).plan
    where = parts(plan)["where"]
    assert isinstance(where, And)
    assert set(where.items[:2]) == {FUNCTION, compare("module", "=", "os")}
    assert isinstance(where.items[2], Not)
    assert parts(plan)["group"] == ((), (average("parameters"),))


def test_how_words_were_read_is_recorded(library: Catalog) -> None:
    """A plural is a fuzzy match of its value, the word itself an exact one."""
    plural = plan_by_rules("how many functions are there", library).plan
    assert [(item.text, item.support) for item in plural.assumptions] == [
        ("'functions' = kind is function", Support.FUZZY)
    ]
    exact = plan_by_rules("Which function sorts a list?", library).plan
    assert [item.support for item in exact.assumptions] == [Support.EXACT]


def test_unexplained_words_hand_over_to_search(library: Catalog) -> None:
    """A count of functions that "open files" would be wrong: the words in between are not understood."""
    planned = plan_by_rules("How many functions open files on remote machines?", library)
    assert planned.band is Band.SEARCH
    assert plan_by_rules("How many functions are there?", library).band is Band.ANSWER


def test_the_collection_that_is_named_is_asked(database: Database) -> None:
    """With several collections the question's own words choose; the choice is recorded."""
    catalog = read_catalog(database.snapshot())
    for question, name in [("how many movies are there", "movies"), ("Which module has the most classes?", "stdlib")]:
        plan = plan_by_rules(question, catalog).plan
        source = plan.path()[0]
        assert isinstance(source, Scan)
        assert source.collection == name
        assert any(name in item.text for item in plan.assumptions)


def test_without_text_to_search_an_unclear_question_is_refused(empty_database: Database) -> None:
    """There is nothing to hand over to."""
    schema = Schema.from_json({"fields": {"colour": "keyword"}})
    empty_database.create_collection("paints", schema).add([{"colour": "red"}, {"colour": "blue"}])
    catalog = read_catalog(empty_database.snapshot())
    assert parts(plan_by_rules("how many paints are red", catalog).plan)["where"] == compare("colour", "=", "red")
    with pytest.raises(QuestionError) as caught:
        plan_by_rules("why is the sky so far away", catalog)
    assert caught.value.code == "question_not_understood"


WORDS = st.sampled_from(
    "how many which what functions module modules largest most fewest ten 5 1990 more than between and by per each of "
    "the average number parameters not deprecated in os json top longest year rating genre movies director no without "
    "released or at least < > = \" ' ` ( ) 🙂 Ω é name kind class classes before after total median different".split()
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=14).map(" ".join) | st.text(min_size=1, max_size=120))
def test_any_text_becomes_a_valid_plan(database: Database, question: str) -> None:
    """The planner never raises on a string, and what it gives is valid."""
    catalog = read_catalog(database.snapshot())
    planned = plan_by_rules(question, catalog)
    validate(planned.plan, catalog)
    assert 0.0 <= planned.confidence <= 1.0
    assert Plan.from_json(planned.plan.to_json()) == planned.plan


def test_operators_at_least_and_at_most(films: Catalog) -> None:
    """The words "at least" are a comparison, not a superlative."""
    plan = plan_by_rules("movies with a rating of at least 8.4", films).plan
    assert parts(plan)["where"] == compare("rating", Operator.GE, 8.4)
    assert "sort" not in parts(plan)


def test_words_are_linked_once_for_a_question(films: Catalog) -> None:
    """Read twice within one question costs little more than once, and what was found is not shared to be changed."""
    info, asked_at = films.collections["movies"], datetime(2026, 1, 1, tzinfo=UTC)
    question = "How many movies with a rating above 8 did Ridley Scott direct after 1980?"

    def begin() -> Reading:
        return begin_reading(question, info, asked_at)

    begin()  # words are known
    once = calls_of(begin)
    with one_question():
        first = begin()
        again = calls_of(begin)
        first.use((0, 1))
        assert begin().used == set()
    assert again < once / 5
    assert calls_of(begin) > once / 2
