"""Words that compare with a number, and those that deny them: "at least", "longer than", "no more than", "nor over"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine import FieldType
from promptql.expressions import Operator
from promptql.rules.concepts import AFTER_MOST, COMPARATIVES, TIME
from promptql.rules.reading import Reading
from promptql.rules.words import tokenize

AGED = frozenset({"older", "younger"})
YEARS = (1000, 2200)  # a bare whole number in this range may be a year
DENIED_AFTER_MAX = 2  # words between "not" and the comparison that it denies
DENIALS = frozenset({"not", "no", "never", "neither", "nor"})
EXCEPTIONS = frozenset({("other", "than"), ("apart", "from"), ("different", "from")})
_EXCEPTING = (*EXCEPTIONS, ("except",), ("excluding",), ("not",), ("neither",), ("nor",))
_ALL = frozenset("all any each every everyone everybody everything nobody nothing none anything anyone".split())
_AS_EXTREMES = frozenset({("maximum", "of"), ("minimum", "of"), ("up", "to")})
ONWARDS = frozenset({"on", "onward", "onwards", "upwards"})
_TIME_WORDS = frozenset({"after", "since", "before", "until"})
_PARTING = frozenset({"and", "or", "but"})
_BOUNDS = frozenset("over under above below after before since until than between least most".split())
OPPOSITES = {
    Operator.GT: Operator.LE,
    Operator.GE: Operator.LT,
    Operator.LT: Operator.GE,
    Operator.LE: Operator.GT,
    Operator.EQ: Operator.NE,
}

_COMPARATORS: tuple[tuple[tuple[str, ...], Operator], ...] = (
    (("more", "than"), Operator.GT),
    (("greater", "than"), Operator.GT),
    (("at", "least"), Operator.GE),
    (("at", "most"), Operator.LE),
    (("less", "than"), Operator.LT),
    (("fewer", "than"), Operator.LT),
    (("up", "to"), Operator.LE),
    (("maximum", "of"), Operator.LE),
    (("minimum", "of"), Operator.GE),
    (("equal", "to"), Operator.EQ),
    (("exactly",), Operator.EQ),
    (("equals",), Operator.EQ),
    (("over",), Operator.GT),
    (("above",), Operator.GT),
    (("exceeding",), Operator.GT),
    (("under",), Operator.LT),
    (("below",), Operator.LT),
    (("after",), Operator.GT),
    (("since",), Operator.GE),
    (("before",), Operator.LT),
    (("until",), Operator.LE),
    ((">=",), Operator.GE),
    (("<=",), Operator.LE),
    ((">",), Operator.GT),
    (("<",), Operator.LT),
    (("=",), Operator.EQ),
)
_BY_FIRST: dict[str, list[tuple[tuple[str, ...], Operator]]] = {}
for _words, _op in _COMPARATORS:
    _BY_FIRST.setdefault(_words[0], []).append((_words, _op))


@dataclass(frozen=True, slots=True)
class Comparator:
    """Tokens [start, after) compare with what follows; `measures` are what they hint at."""

    op: Operator
    measures: tuple[str, ...]
    start: int
    after: int


def comparator_at(reading: Reading, start: int) -> Comparator | None:
    """The comparison that begins there, its operator turned round where it is denied."""
    if reading.word(start) not in DENIALS:
        return _plain_at(reading, start)
    near = 1 if reading.word(start) == "no" else 1 + DENIED_AFTER_MAX  # "no" may be a number, as in "tie no"
    for place in range(start + 1, start + 1 + near):
        found = _plain_at(reading, place)
        if found is not None:
            return replace(found, op=OPPOSITES[found.op])
        if _stands_alone(reading, place):
            return None
    return None


def denial_of_between(reading: Reading, start: int) -> int | None:
    """The place of the word that denies the "between" at `start`: "not between", "not priced between"."""
    for place in range(start - 1, start - 2 - DENIED_AFTER_MAX, -1):
        if reading.word(place) in DENIALS:
            return place
        if _stands_alone(reading, place):
            return None
    return None


def exception_at(reading: Reading, start: int) -> int | None:
    """Where what is left out begins, behind "other than", "except" or "not" there; None where none stands there."""
    if is_all_but(reading, start):
        return start + 1
    for words in _EXCEPTING:
        if all(reading.word(start + offset) == word for offset, word in enumerate(words)):
            return start + len(words)
    return None


def is_all_but(reading: Reading, place: int) -> bool:
    """Whether "but" there leaves something out: "all members but Ada", "any fee but 30"."""
    return reading.word(place) == "but" and any(reading.word(i) in _ALL for i in range(place))


def use_all_but(reading: Reading, place: int) -> None:
    """Mark "anything" and the like as explained, where "but" at `place` leaves something out of it."""
    if reading.word(place) == "but":
        reading.use(i for i in range(place) if reading.word(i) in _ALL)


def speaks_of_denied_bounds(question: str) -> bool:
    """Whether a comparison is denied, or something left out: "not older than 30", "other than", "all but Ada".

    So are bounds that sound like extremes: "a maximum of 4", "from 2005 on".
    """
    words = [token.folded for token in tokenize(question)]
    if "outside" in words:
        return True
    for index, word in enumerate(words):
        behind = words[index + 1 : index + 2 + DENIED_AFTER_MAX + 1]
        if _is_denied(word, behind):
            return True
        if (word, *behind[:1]) in EXCEPTIONS or (word == "but" and _ALL & set(words[:index])):
            return True
        if (word, *behind[:1]) in _AS_EXTREMES and any(item.isdigit() for item in behind[1:2]):
            return True
        if word in {"not", "never"} and _dated(behind[1:]):
            return True
        if word == "from" and any(item in ONWARDS for item in behind[1:2]):
            return True
    return False


def _is_denied(word: str, behind: list[str]) -> bool:
    """Whether the words behind a denial are a bound; "no" may be a number, and denies what stands right behind it."""
    if word == "no":
        return behind[1:2] == ["than"] or (behind[:1] in (["more"], ["less"]) and behind[2:3] == ["than"])
    return word in DENIALS and (not _BOUNDS.isdisjoint(behind) or any(item.isdigit() for item in behind[:1]))


def _dated(behind: list[str]) -> bool:
    """As in "not sold in 2024": a verb may stand before."""
    return behind[:1] == ["in"] and any(item.isdigit() and len(item) == len("2024") for item in behind[1:2])


def _plain_at(reading: Reading, start: int) -> Comparator | None:
    word = reading.word(start)
    for words, op in _BY_FIRST.get(word, ()):
        if all(reading.word(start + offset) == word for offset, word in enumerate(words)):
            return Comparator(op, TIME if words[0] in _TIME_WORDS else (), start, start + len(words))
    adjective = COMPARATIVES.get(word)
    if adjective is not None and reading.word(start + 1) == "than":
        number = reading.number_at(start + 2)
        older = word == "older" and number is not None and is_age(word, number.value)
        more = adjective.descending or older
        return Comparator(Operator.GT if more else Operator.LT, adjective.measures, start, start + 2)
    measures = AFTER_MOST.get(reading.word(start + 1)) if word in {"more", "less"} else None
    if measures is not None and reading.word(start + 2) == "than":  # "more expensive than 55"
        return Comparator(Operator.GT if word == "more" else Operator.LT, measures, start, start + 3)
    return None


def is_age(word: str, value: float) -> bool:
    """Whether "older" than so much is meant of an age, as it is no year."""
    return word in AGED and not YEARS[0] <= value <= YEARS[1]


def _stands_alone(reading: Reading, place: int) -> bool:
    """Whether a denial before the word there is of that word, and not of a comparison behind it."""
    link = reading.field_at(place)
    flag = link is not None and link.field.type is FieldType.BOOLEAN
    named = reading.value_at(place) is not None or reading.number_at(place) is not None
    return flag or named or reading.word(place) in _PARTING or reading.names_collection(place)
