"""How far an answer can be trusted."""

from __future__ import annotations

import math

import pytest

from promptql.rules.asked import Asked
from promptql.rules.columns import View
from promptql.rules.confidence import confidence, logistic, signs
from promptql.rules.generate import Candidate, read, understood
from promptql.rules.links import Headers
from promptql.rules.model import Model, shipped_model
from promptql.rules.outcomes import Outcome, by_outcome
from promptql.rules.sketch import Item, Sketch

VIEW = View({"films": {"title": ["Alien", "Brazil", "Casablanca"], "year": [1979, 1985, 1942]}})
HEADERS = Headers(VIEW)


def outcomes_of(question: str) -> tuple[Asked, list[Outcome]]:
    """The question taken apart, and its answers, the likeliest first."""
    return understood(question, VIEW), by_outcome(read(question, VIEW, HEADERS, shipped_model()))


def test_answers_that_are_equal_are_put_together() -> None:
    """No two outcomes hold the same answer, and their probabilities sum to one."""
    _, outcomes = outcomes_of("What year is Alien?")

    answers = [str(outcome.readings[0].answer) for outcome in outcomes]
    assert len(set(answers)) == len(answers)
    assert sum(outcome.probability for outcome in outcomes) == pytest.approx(1.0)
    assert outcomes == sorted(outcomes, key=lambda outcome: -outcome.probability)


def test_the_order_of_columns_makes_no_other_answer() -> None:
    """A title with its year is the year with its title; the title with another's year is not."""
    answers = [("Alien", 1979), ("Brazil", 1985)], [(1979.0, "alien"), (1985, "Brazil")], [("Alien", 1985)]
    sketch = Sketch((Item(0), Item(1)))
    readings = [Candidate(sketch, list(rows), [], 0.0, 0, probability=0.25) for rows in answers]

    outcomes = by_outcome(readings)

    assert [(len(outcome.readings), outcome.probability) for outcome in outcomes] == [(2, 0.5), (1, 0.25)]
    assert outcomes[0].readings[0] is readings[0]


def test_words_left_over_are_a_sign() -> None:
    """Of a question that is read whole nothing is left over, of one with more words something is."""
    asked, outcomes = outcomes_of("What year is Alien?")
    whole = dict(signs(asked, VIEW, outcomes, outcomes[0]))
    asked, outcomes = outcomes_of("What year is Alien said by Zanzibar critics?")
    partial = dict(signs(asked, VIEW, outcomes, outcomes[0]))

    assert whole["left:share"] == 0.0
    assert partial["left:share"] > 0.0
    assert "unheard" in partial
    assert "unheard" not in whole


def test_words_that_call_for_something_are_heard_or_not() -> None:
    """The reading that takes the last film hears "last"; the one that takes the year of Brazil does not."""
    asked, outcomes = outcomes_of("What was the last film before Brazil?")
    heard = {
        name
        for outcome in outcomes
        for name, _ in signs(asked, VIEW, outcomes, outcome)
        if name in ("heard:last", "deaf:last")
    }
    one = dict(signs(asked, VIEW, outcomes, outcomes[0]))

    assert heard == {"heard:last", "deaf:last"}
    assert ("heard:last" in one) != ("deaf:last" in one)


def test_what_is_found_and_where_are_signs() -> None:
    """A year, as one value, of a table of three rows and two fields."""
    asked, outcomes = outcomes_of("What year is Alien?")

    found = dict(signs(asked, VIEW, outcomes, outcomes[0]))

    assert found["gives:what:number"] == 1.0
    assert "gives:rows" not in found
    assert found["table:rows"] == pytest.approx(math.log(4))
    assert found["table:fields"] == pytest.approx(math.log(3))


def test_without_weights_confidence_is_the_probability() -> None:
    """A model that nothing was calibrated for says what it believes."""
    asked, outcomes = outcomes_of("What year is Alien?")

    assert confidence(Model({}), asked, VIEW, outcomes, outcomes[0]) == outcomes[0].probability


def test_weights_of_signs_decide() -> None:
    """The logistic of the weighed signs, here of the bias alone."""
    asked, outcomes = outcomes_of("What year is Alien?")

    sure = confidence(Model({}, trust={"bias": 2.0}), asked, VIEW, outcomes, outcomes[0])
    assert sure == pytest.approx(logistic(2.0))


def test_a_reading_that_heard_nothing_is_not_trusted() -> None:
    """Where no word that carries meaning was made anything of, little confidence is left."""
    asked, outcomes = outcomes_of("How many elephants?")
    unheard = [outcome for outcome in outcomes if not asked.content & outcome.readings[0].mask]

    assert unheard
    assert confidence(Model({}, trust={"bias": 9.0}), asked, VIEW, outcomes, unheard[0]) < 0.5


BAKED = View(
    {
        "bakery": {
            "bread": ["rye loaf", "sesame ring", "walnut stick"],
            "origin": ["Graz", "Linz", "Wels"],
            "price": [4, 2, 3],
        }
    }
)


def test_the_noun_that_is_asked_for_is_hardly_a_part_of_a_name() -> None:
    """Of breads of which one alone is called a loaf, "which loaf" may well mean any."""
    asked = understood("Which loaf is the cheapest?", BAKED)
    outcomes = by_outcome(read("Which loaf is the cheapest?", BAKED, Headers(BAKED), shipped_model()))
    trusting = Model({}, trust={"bias": 3.0})

    narrow = [o for o in outcomes if any(part.value >> asked.head & 1 for part in o.readings[0].parts)]
    wide = [o for o in outcomes if not any(part.value for part in o.readings[0].parts)]

    assert confidence(trusting, asked, BAKED, outcomes, narrow[0]) < 0.2
    assert confidence(trusting, asked, BAKED, outcomes, wide[0]) > 0.3
