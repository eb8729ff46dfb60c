"""Weights fitted to questions of which only the right answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from promptql.evaluation.fitting import Example, Examples, fit, minimize


def question(right: str, *wrong: str) -> Example:
    """A question with one right reading and some wrong ones, each with a feature of its own."""
    return Example([{right: 1.0}, *({name: 1.0} for name in wrong)], [True, *(False for _ in wrong)])


def test_features_of_right_readings_gain_weight() -> None:
    """What right readings have weighs more than what wrong ones have."""
    weights = fit([question("good", "bad") for _ in range(20)], {}, seen_min=1)

    assert weights["good"] > 0.5
    assert weights["bad"] < 0


def test_the_optimum_is_that_of_the_penalised_likelihood() -> None:
    """One feature, n questions of two readings: n / (1 + exp(w)) = l2 w at the optimum."""
    examples = [Example([{"a": 1.0}, {}], [True, False]) for _ in range(10)]

    weight = fit(examples, {}, l2=1.0, seen_min=1)["a"]

    assert 10 / (1 + np.exp(weight)) == pytest.approx(weight, abs=0.02)


def test_any_right_reading_may_take_the_credit() -> None:
    """Of two right readings the one whose feature serves elsewhere, too, is believed: the likelihood is marginal."""
    both = Example([{"lucky": 1.0}, {"good": 1.0}, {"bad": 1.0}], [True, True, False])

    weights = fit([both, question("good", "lucky", "bad")] * 20, {}, seen_min=1)

    assert weights["good"] > weights.get("lucky", 0.0)


def test_rare_features_keep_their_prior() -> None:
    """A feature that too few questions have is not fitted."""
    weights = fit([question("good", "rare"), *(question("good", "bad") for _ in range(9))], {"rare": 0.3}, seen_min=2)

    assert weights["rare"] == pytest.approx(0.3, abs=1e-3)


def test_what_few_parts_have_keeps_its_prior() -> None:
    """A feature of many questions of one database alone is not fitted; one that two databases have is."""
    readings = [{"good": 1.0, "habit": 1.0}, {"bad": 1.0}], [{"good": 1.0}, {"bad": 1.0}]
    examples = [Example(pair, [True, False], part=part) for pair, part in zip(readings, "xy", strict=True)] * 5

    weights = fit(examples, {"habit": 0.3}, seen_min=2, parts_min=2)

    assert weights["habit"] == 0.3
    assert weights["good"] > 0.3
    assert fit(examples, {"habit": 0.3}, seen_min=2)["habit"] > 0.3


def test_what_is_not_fitted_is_still_heard() -> None:
    """A prior that separates the readings already leaves less to learn to the features that are fitted."""
    examples = [Example([{"known": 1.0, "good": 1.0}, {"bad": 1.0}], [True, False], part=str(n)) for n in range(4)]
    lone = [Example([{"good": 1.0}, {"bad": 1.0}], [True, False], part=str(n)) for n in range(4)]

    held, alone = fit(examples, {"known": 5.0}, l2=lambda name: 0.1, seen_min=9), fit(lone, {}, l2=0.1, seen_min=1)
    fitted = fit([*examples, *lone[:1]], {"known": 5.0}, l2=0.1, seen_min=5)

    assert held == {"known": 5.0}
    assert 0 < fitted["good"] < alone["good"]


def test_chosen_examples_keep_their_parts() -> None:
    """Leaving the questions of one database out leaves its features with their prior."""
    packed = Examples([Example([{"a": 1.0}, {"b": 1.0}], [True, False], part=part) for part in "xxyyz"])

    assert packed.packed().seen_in_parts().tolist() == [3, 3]
    assert packed.packed([0, 1, 4]).seen_in_parts().tolist() == [2, 2]
    assert packed.packed([2, 3]).seen().tolist() == [2, 2]


def test_weights_of_features_that_do_not_occur_are_kept() -> None:
    """What is known of them stays known."""
    assert fit([question("good", "bad")], {"elsewhere": 1.5}, seen_min=1)["elsewhere"] == 1.5


def test_chosen_examples_train_as_if_they_were_alone() -> None:
    """Leaving examples out of the packed ones is the same as never having had them."""
    first, second = [question("a", "b", "c")] * 6, [Example([{"b": 2.0}, {"a": 1.0, "c": 1.0}], [True, False])] * 6
    packed = Examples([*first, *second])

    chosen = fit(packed.packed(range(6, 12)), {}, seen_min=1)

    alone = fit(second, {}, seen_min=1)
    assert {name: chosen.get(name) for name in alone} == pytest.approx(alone, abs=1e-6)


def test_without_anything_to_learn_the_prior_stays() -> None:
    """Questions whose readings are all right or all wrong teach nothing."""
    assert fit([Example([{"a": 1.0}], [True]), Example([{"a": 1.0}], [False])], {"a": 0.2}) == {"a": 0.2}


def test_the_minimum_of_a_narrow_valley_is_found() -> None:
    """Rosenbrock's function, whose minimum is at (1, 1)."""

    def function(at: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = at
        return (
            float((1 - x) ** 2 + 100 * (y - x * x) ** 2),
            np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]),
        )

    assert minimize(function, np.array([-1.0, 1.0]), 200) == pytest.approx([1.0, 1.0], abs=0.05)
