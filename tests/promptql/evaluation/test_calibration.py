"""How sure answers are: signs are weighed, and a threshold found that keeps each set's answers precise."""

from __future__ import annotations

from typing import Any

import pytest

from promptql.evaluation.calibration import Trusted, calibrate_trust, fit_trust, threshold
from promptql.rules.confidence import logistic


def test_the_threshold_is_the_least_that_is_precise_enough() -> None:
    """Of 0.1 … 0.9, those from 0.5 on are right but for 0.6: 80 % of the five, 100 % of the three above."""
    outcomes = [(number / 10, number >= 5 and number != 6) for number in range(1, 10)]

    assert threshold(outcomes, 0.8) == 0.5
    assert threshold(outcomes, 1.0) == 0.7


def test_where_nothing_is_precise_enough_the_threshold_is_one() -> None:
    """No answer is given without reserve then."""
    assert threshold([(0.2, False), (0.9, False)], 0.5) == 1.0


def test_signs_of_wrong_answers_weigh_against_them() -> None:
    """Answers that leave words over are wrong, the others are right: the weights say so."""
    answers = [Trusted({"bias": 1.0, "left": float(left)}, not left) for left in (0, 1) for _ in range(50)]

    trust = fit_trust(answers)

    assert trust["left"] < -2
    assert trust["bias"] > 1


def test_each_set_is_precise_above_the_threshold() -> None:
    """One set is right where the sign is above 0.3, another above 0.7: the threshold serves the stricter one."""

    def answers(bound: float) -> list[Trusted]:
        return [Trusted({"bias": 1.0, "sign": n % 100 / 100}, n % 100 / 100 > bound) for n in range(400)]

    easy = calibrate_trust({"easy": answers(0.3)}, {"easy": 0.95})
    both = calibrate_trust({"easy": answers(0.3), "hard": answers(0.7)}, {"easy": 0.95, "hard": 0.95})

    def sure(found: dict[str, Any]) -> list[float]:
        values = [n / 100 for n in range(100)]
        return [v for v in values if _confidence(found["trust"], v) >= found["answer_confidence_min"]]

    assert sum(value > 0.3 for value in sure(easy)) >= 0.95 * len(sure(easy)) > 60
    assert sum(value > 0.7 for value in sure(both)) >= 0.8 * len(sure(both)) > 20


def test_questions_without_an_answer_teach_nothing() -> None:
    """They have no signs: only those that were answered count."""
    answered = [Trusted({"bias": 1.0}, True)] * 10

    alone = calibrate_trust({"one": answered}, {"one": 0.9})
    assert calibrate_trust({"one": [*answered, Trusted({}, False)]}, {"one": 0.9})["trust"] == alone["trust"]


def _confidence(trust: dict[str, float], sign: float) -> float:
    return logistic(trust.get("bias", 0.0) + trust.get("sign", 0.0) * sign)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_confidence_is_the_share_of_right_answers(share: float) -> None:
    """With the bias as the only sign, confidence is how many are right, drawn to the middle by the prior."""
    answers = [Trusted({"bias": 1.0}, n < 400 * share) for n in range(400)]

    assert _confidence({**fit_trust(answers)}, 0.0) == pytest.approx(share, abs=0.02)
