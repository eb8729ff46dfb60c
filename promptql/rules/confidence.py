"""Signs of how far the likeliest answer to a question can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from promptql.rules.asked import Asked
from promptql.rules.model import Features, Model
from promptql.rules.outcome import unheard
from promptql.rules.outcomes import Outcome
from promptql.rules.shape import elements

PROBABILITY_MIN = 1e-4  # nearer to 0 and 1 all probabilities are alike
SURE_LEVELS = (0.5, 0.8, 0.9, 0.97, 0.99)
NOTHING_HEARD_FACTOR = 0.4  # "How many elephants are there?" of a table of orders
SCORE_MAX = 30.0  # of signs; more is as sure
WORDS_MAX = 4  # more left over are like so many
# Cues whose questions are read with differing success.
TELLING = frozenset(
    """howmany howmuch howlong numberof total count average max min first last next previous difference different each
    or not same other than mostoften consecutive only once and order""".split()
)


def signs(asked: Asked, outcomes: Sequence[Outcome], chosen: Outcome) -> Features:
    """How likely the answer is and how far ahead, what of the question it leaves over, and what it is made of."""
    best = chosen.readings[0]
    rivals = [outcome.probability for outcome in outcomes if outcome is not chosen]
    left = asked.content & ~best.mask
    found = [
        ("bias", 1.0),
        ("logit", _logit(chosen.probability)),
        ("ahead", math.log((chosen.probability + 0.01) / (max(rivals, default=0.0) + 0.01))),
        ("rivals", math.log1p(len(rivals))),
        ("readings", math.log1p(len(chosen.readings))),
        (f"left:{min(left.bit_count(), WORDS_MAX)}", 1.0),
        ("left:share", left.bit_count() / max(1, asked.content.bit_count())),
        (f"asks:{asked.asks}", 1.0),
        ("words", len(asked.words) / 10),
        (f"rows:{'none' if not best.answer else 'one' if len(best.answer) == 1 else 'more'}", 1.0),
    ]
    found += [(f"above:{level}", 1.0) for level in SURE_LEVELS if chosen.probability >= level]
    if unheard(asked, best.mask):
        found.append(("unheard", 1.0))
    found += [(f"does:{element}", 1.0) for element in elements(best.sketch)]
    found += [(f"cue:{cue}", 1.0) for cue in asked.cues if cue in TELLING]
    features = best.all_features()
    for kind in ("exact", "part", "spread"):
        found.append((f"value:{kind}", min(2.0, features.get(f"c:{kind}", 0.0))))
    found.append(("value:nohead", min(2.0, features.get("c:nohead", 0.0))))
    if best.wanted is not None and best.wanted.mention is not None:
        found += [("wanted", best.wanted.mention.coverage), ("wanted:literal", float(best.wanted.mention.literal))]
    else:
        found.append(("wanted:unsaid", 1.0))
    return found


def confidence(model: Model, asked: Asked, outcomes: Sequence[Outcome], chosen: Outcome) -> float:
    """How often answers with such signs are right, 0 to 1."""
    mask = chosen.readings[0].mask
    factor = NOTHING_HEARD_FACTOR if asked.content and not asked.content & mask else 1.0
    if not model.trust:
        return chosen.probability * factor
    return factor * logistic(sum(model.trust.get(name, 0.0) * value for name, value in signs(asked, outcomes, chosen)))


def logistic(score: float) -> float:
    """1 / (1 + exp(-score))."""
    return 1 / (1 + math.exp(-max(-SCORE_MAX, min(SCORE_MAX, score))))


def _logit(probability: float) -> float:
    bounded = min(1 - PROBABILITY_MIN, max(PROBABILITY_MIN, probability))
    return math.log(bounded / (1 - bounded))
