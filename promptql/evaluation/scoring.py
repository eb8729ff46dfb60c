"""When an answer is right: each public set by its own official rules, a user's own set by equal values."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

from promptql.rules.columns import key_of, text_of

Values: TypeAlias = Sequence[Any]  # of an answer: scalars of one column, rows of several
Rule: TypeAlias = Callable[[Sequence[Any], Values], bool]
DIGITS = 7  # of numbers that are compared as rows
_UNDATED = -1


def same_values(expected: Sequence[Any], values: Values) -> bool:
    """The same values equally often, in any order; case and punctuation do not count, numbers are numbers.

    This is how the answers of WikiSQL over TabFact's tables are compared, and those of a user's own questions.
    """
    return len(expected) == len(values) and Counter(map(_comparable, expected)) == Counter(map(_comparable, values))


def _comparable(value: Any) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_comparable(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return round(float(value), 4)
    text = text_of(value)
    try:
        return round(float(text.replace(",", "")), 4)
    except ValueError:
        return key_of(text)


def same_denotation(expected: Sequence[Any], values: Values) -> bool:
    """WikiTableQuestions' official rule: as many different values, and each expected one is among them.

    Pasupat and Liang, ACL 2015; evaluator.py of the data set: strings are normalized, numbers equal to 1e-6,
    dates equal in what both say.
    """
    targets = _different([_official(item) for item in expected])
    predicted = _different([_official(item) for item in values])
    return len(targets) == len(predicted) and all(any(_match(one, two) for two in predicted) for one in targets)


_Official: TypeAlias = tuple[str, object, str]


def _different(values: Sequence[_Official]) -> list[_Official]:
    return list(
        {(kind, inner if kind != "text" else text): (kind, inner, text) for kind, inner, text in values}.values()
    )


def _match(one: _Official, two: _Official) -> bool:
    if one[2] == two[2]:
        return True
    if one[0] == two[0] == "number":
        return abs(float(str(one[1])) - float(str(two[1]))) < 1e-6
    return one[0] == two[0] == "date" and one[1] == two[1]


def _official(value: Any) -> _Official:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", float(value), _normalized(text_of(value))
    text = text_of(value)
    try:
        return "number", float(text), _normalized(text)
    except ValueError:
        pass
    date = re.fullmatch(r"(\d{4}|xx+)-(\d{1,2}|xx)-(\d{1,2}|xx)", text.strip().lower())
    if date is not None and not all("x" in part for part in date.groups()):
        parts = tuple(_UNDATED if "x" in part else int(part) for part in date.groups())
        return "date", parts, _normalized(text)
    return "text", None, _normalized(text)


def _normalized(text: str) -> str:
    """The evaluator's normal form: no accents, one kind of quote and dash, no citations or trailing remarks."""
    decomposed = unicodedata.normalize("NFKD", text)
    text = "".join(character for character in decomposed if unicodedata.category(character) != "Mn")
    for kinds, one in (("[‘’´`]", "'"), ("[“”]", '"'), ("[‐‑‒–—−]", "-")):
        text = re.sub(kinds, one, text)
    before = None
    while before != text:
        before = text
        text = re.sub(r"((?<!^)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])*$", "", text.strip())
        text = re.sub(r"(?<!^)( \([^)]*\))*$", "", text.strip())
        text = re.sub(r'^"([^"]*)"$', r"\1", text.strip())
    return re.sub(r"\s+", " ", text.removesuffix(".")).lower().strip()


def same_rows(expected: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]], *, ordered: bool = False) -> bool:
    """Spider's execution match: equal rows, in order where the gold query orders, columns in any order."""
    gold = [tuple(map(_cell, row)) for row in expected]
    found = [tuple(map(_cell, row)) for row in rows]
    if len(gold) != len(found) or not gold:
        return len(gold) == len(found)
    width = len(gold[0])
    if len(found[0]) != width:
        return False
    wanted = [Counter(row[place] for row in gold) for place in range(width)]
    held = [Counter(row[place] for row in found) for place in range(width)]
    places = [[other for other in range(width) if held[other] == counts] for counts in wanted]
    for order in product(*places):
        if len(set(order)) == width:
            turned = [tuple(row[place] for place in order) for row in found]
            if turned == gold if ordered else Counter(turned) == Counter(gold):
                return True
    return False


def _cell(value: Any) -> object:
    if isinstance(value, bool):
        return float(value)
    return float(f"{value:.{DIGITS - 1}e}") if isinstance(value, int | float) else value


RULES: Mapping[str, Rule] = {"values": same_values, "denotation": same_denotation}
