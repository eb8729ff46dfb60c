from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given, settings

from engine import Database, parse_filter
from promptql.errors import PlanError
from promptql.expression_json import predicate_from_json, predicate_to_json
from promptql.expressions import And, Compare, FieldRef, Not, Operator, Or, Param, Predicate, Value, fields_of
from promptql.predicate import compare, conjunction, conjuncts, describe, engine_filter, missing
from tests.promptql.conftest import film_documents
from tests.promptql.strategies import predicates


def holds(predicate: Predicate, document: dict[str, Any]) -> bool:
    """The predicate in plain Python, for documents where every field has a value."""
    match predicate:
        case And(items):
            return all(holds(item, document) for item in items)
        case Or(items):
            return any(holds(item, document) for item in items)
        case Not(item):
            return not holds(item, document)
        case Compare(Operator.IS_NULL, FieldRef(field), _):
            return document.get(field) is None
        case Compare(op, FieldRef(field), Value(value)):
            stored = document[field]
            values = stored if isinstance(stored, list) else [stored]
            if op is Operator.NE:
                return value not in values
            return any(_compare(op, each, value) for each in values)
    raise AssertionError(predicate)


def _compare(op: Operator, left: Any, right: Any) -> bool:
    match op:
        case Operator.EQ:
            return bool(left == right)
        case Operator.IN:
            return left in right
        case _:
            order = {
                Operator.LT: operator.lt,
                Operator.LE: operator.le,
                Operator.GT: operator.gt,
                Operator.GE: operator.ge,
            }
            return bool(order[op](left, right))


@settings(max_examples=80, deadline=None)
@given(predicate=predicates)
def test_the_engine_agrees_with_plain_python(database: Database, predicate: Predicate) -> None:
    """A predicate selects the same films as the same test written in Python."""
    snapshot = database.snapshot(["movies"])["movies"]
    where = parse_filter(engine_filter(predicate, {}), snapshot.schema)
    found = {row["id"] for row in snapshot.relation([], where).rows()}
    assert found == {film["id"] for film in film_documents() if holds(predicate, film)}


@settings(max_examples=60, deadline=None)
@given(predicates)
def test_reading_what_was_written_gives_the_same_predicate(predicate: Predicate) -> None:
    """predicate_from_json is the inverse of predicate_to_json."""
    assert predicate_from_json(predicate_to_json(predicate)) == predicate


def test_conjunctions_are_flat() -> None:
    """None is left out, nested ands are one, a single part stays itself."""
    a, b, c = (compare("x", "=", value) for value in (1, 2, 3))
    assert conjunction(None, a, And((b, c))) == And((a, b, c))
    assert conjunction(a) == a
    assert conjunction() is None
    assert conjuncts(And((a, And((b, c))))) == (a, b, c)
    assert fields_of(Or((a, Not(compare("y", "=", 1))))) == {"x", "y"}


def test_parameters_take_their_values_and_nothing_else() -> None:
    """A parameter becomes its value; one without a value is an error that names it."""
    predicate = Compare(Operator.GE, FieldRef("year"), Param("since"))
    assert engine_filter(predicate, {"since": 1990}) == {"year": {"$gte": 1990}}
    with pytest.raises(PlanError, match="since"):
        engine_filter(predicate, {"since": None})


def test_predicates_read_as_words() -> None:
    """What a reader is told."""
    both = And((compare("kind", "=", "function"), compare("n", ">", 3)))
    assert describe(both) == "kind is function and n > 3"
    assert describe(Not(missing("n"))) == "n is known"
    assert describe(compare("deprecated", "=", value=True)) == "deprecated is true"
    assert describe(compare("genre", "in", ["a", "b"])) == "genre is one of a, b"
