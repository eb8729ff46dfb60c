"""Training on a few questions of the public sets: the way that `make eval-train` goes, in one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.data import SHARED_DATA
from benchmarks.training import (
    Chosen,
    answers,
    choose,
    examples,
    is_sure,
    learn,
    left_out,
    questions_of,
    share,
    shipped,
    train,
)
from promptql.evaluation.fitting import Example, Examples
from promptql.rules.priors import PRIOR

pytestmark = pytest.mark.skipif(
    not (SHARED_DATA / "wikisql-tabfact").is_dir(), reason="the public data is not beside the repository"
)


def test_samples_hold_admitted_parts_only_and_are_always_the_same() -> None:
    """Chosen by a seed of their own, in the order of tables."""
    chosen = choose("wikitablequestions", lambda part: part == "held", 30)

    assert len(chosen.numbers) == 30
    assert {question.part for question in chosen.questions()} == {"held"}
    assert chosen == choose("wikitablequestions", lambda part: part == "held", 30)
    assert list(chosen.numbers) == sorted(chosen.numbers)


def test_parts_of_a_choice_are_the_choice() -> None:
    """Each number in one task."""
    chosen = Chosen("spider", tuple(range(95)))

    assert [number for part in chosen.split() for number in part.numbers] == list(range(95))


def test_halves_of_a_choice_share_no_table() -> None:
    """Together they are the choice, and neither is empty."""
    chosen = choose("wikisql", "2".__eq__, 200)

    tables = [{question.table for question in half.questions()} for half in chosen.halves()]

    assert sorted(number for half in chosen.halves() for number in half.numbers) == list(chosen.numbers)
    assert all(tables)
    assert not tables[0] & tables[1]


def test_confidence_is_learned_of_answers_whose_tables_no_weight_knows() -> None:
    """Weights, signs and the threshold come from the training questions alone; the threshold decides."""
    known = [choose("wikisql", "2".__eq__, 60), choose("wikitablequestions", "train".__eq__, 40)]
    held = choose("wikisql", "3".__eq__, 40)

    with ThreadPoolExecutor(1) as pool:
        learned = learn(pool, known, rounds=1)
        answered = answers(pool, learned["weights"], held)

    assert 0 < learned["answer_confidence_min"] <= 1
    assert {"bias", "logit"} <= set(learned["trust"])
    assert not is_sure({**learned, "answer_confidence_min": 1.01}, answered[0])
    assert is_sure({**learned, "answer_confidence_min": 0.0}, answered[0])


def test_only_weights_that_matter_are_shipped() -> None:
    """Rounded, in the order of their names."""
    assert shipped({"b": -0.5123, "a": 0.25, "c": 0.01}) == {"a": 0.25, "b": -0.512}


def test_each_database_is_left_out_once_and_teaches_nothing_then() -> None:
    """What four databases have in common is learned, unless one of the four is left out."""
    databases = sorted({question.part for question in questions_of("spider")})
    owner = [database for database in databases[:4] for _ in range(5)]
    packed = Examples([Example([{"good": 1.0}, {"bad": 1.0}], [True, False], part=database) for database in owner])

    found = list(left_out({}, packed, owner))

    assert sorted(database for left, _ in found for database in left) == databases
    assert {database for left, weights in found for database in left if "good" in weights} == set(databases[4:])


def test_training_raises_what_is_held_out() -> None:
    """Weights of 60 questions do no worse on 40 others than the prior, and mark right readings by their answers."""
    known = choose("wikisql", lambda fold: fold == "2", 60)
    held = choose("wikisql", lambda fold: fold == "3", 40)

    with ThreadPoolExecutor(1) as pool:
        weights = train(pool, [known], rounds=1)
        trained, untrained = (share(answers(pool, w, held)) for w in (weights, PRIOR))

    assert trained >= untrained - 0.05
    assert trained > 0.5
    assert weights != shipped(PRIOR)
    found = examples(weights, Chosen("wikisql", known.numbers[:5]))
    assert any(any(example.right) for example in found)
    assert len(questions_of("wikisql")) > 30_000
