"""Signs of how far the likeliest answer to a question can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from promptql.rules.asked import Asked
from promptql.rules.columns import View, text_of
from promptql.rules.generate import Candidate
from promptql.rules.model import Features, Model
from promptql.rules.outcome import kind_of, unheard
from promptql.rules.outcomes import Outcome
from promptql.rules.shape import elements

PROBABILITY_MIN = 1e-4  # nearer to 0 and 1 all probabilities are alike
SURE_LEVELS = (0.5, 0.8, 0.9, 0.97, 0.99)
NOTHING_HEARD_FACTOR = 0.4  # "How many elephants are there?" of a table of orders
# "Which rug" of one that is called "Wool Rug": of WikiTableQuestions' training questions read so, 2 of 25 are right.
PART_OF_NAME_FACTOR = 0.1
SCORE_MAX = 30.0  # of signs; more is as sure
WORDS_MAX = 4  # more left over are like so many
LENGTH_UNIT, LENGTH_MAX = 20, 3.0  # characters of an answer; so many units and more are alike
# Cues whose questions are read with differing success.
TELLING = frozenset(
    """howmany howmuch howlong numberof total count average max min first last next previous difference different each
    or not same other than mostoften consecutive only once and order""".split()
)


def signs(asked: Asked, view: View, outcomes: Sequence[Outcome], chosen: Outcome) -> Features:
    """How likely the answer is and how far ahead, what of the question it leaves over, what it is made of, and of what.

    Features: name and value of each sign; a name that the model does not weigh says nothing.
    """
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
    return [*found, *_cues(asked, best.mask), *_form(asked, best, chosen.probability), *_answer(asked, view, best)]


def _cues(asked: Asked, mask: int) -> Features:
    """Words that call for something, and whether the reading made anything of them: "previous", "the difference"."""
    for cue, words in asked.cues.items():
        yield f"{'heard' if words & mask else 'deaf'}:{cue}", 1.0


def _form(asked: Asked, best: Candidate, probability: float) -> Features:
    """All that the reading does together, which some questions call for rather than others."""
    form = "+".join(elements(best.sketch))
    yield f"form:{form}", 1.0
    yield f"likely:{form}", _logit(probability) / 5
    yield f"form:{asked.asks}:{form}", 1.0


def _answer(asked: Asked, view: View, best: Candidate) -> Features:
    """What is found, and how large the tables are that it was found in."""
    yield "table:rows", math.log1p(sum(view.rows))
    yield "table:fields", math.log1p(len(view.columns))
    if not best.answer:
        return
    first = best.answer[0][0]
    text = text_of(first)
    yield f"gives:{asked.asks}:{kind_of(first)}", 1.0
    yield "gives:length", min(LENGTH_MAX, len(text) / LENGTH_UNIT)
    if "\n" in text:
        yield "gives:lines", 1.0
    if len(best.answer) > 1:
        yield f"gives:{asked.asks}:several", 1.0
        yield "gives:rows", math.log(len(best.answer))


def confidence(model: Model, asked: Asked, view: View, outcomes: Sequence[Outcome], chosen: Outcome) -> float:
    """How often answers with such signs are right, 0 to 1."""
    mask = chosen.readings[0].mask
    factor = NOTHING_HEARD_FACTOR if asked.content and not asked.content & mask else 1.0
    if _takes_noun_for_part_of_name(asked, chosen.readings[0]):
        factor *= PART_OF_NAME_FACTOR
    if not model.trust:
        return chosen.probability * factor
    weighed = (model.trust.get(name, 0.0) * value for name, value in signs(asked, view, outcomes, chosen))
    return factor * logistic(sum(weighed))


def _takes_noun_for_part_of_name(asked: Asked, best: Candidate) -> bool:
    """Whether the noun that is asked for was taken for a word among others of a value."""
    among = (part for part in best.parts if any(name in ("c:part", "c:spread") for name, _ in part.features))
    return asked.head >= 0 and any(part.value >> asked.head & 1 for part in among)


def logistic(score: float) -> float:
    """1 / (1 + exp(-score))."""
    return 1 / (1 + math.exp(-max(-SCORE_MAX, min(SCORE_MAX, score))))


def _logit(probability: float) -> float:
    bounded = min(1 - PROBABILITY_MIN, max(PROBABILITY_MIN, probability))
    return math.log(bounded / (1 - bounded))
