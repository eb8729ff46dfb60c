"""Things of one kind in a text: numbers, dates, addresses, amounts, quotations, key phrases."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from engine import FieldType
from promptql.expressions import Scalar
from promptql.rules.words import STOPWORDS
from promptql.steps import ExtractKind

TEXT_CHARACTERS_MAX = 100_000
ITEMS_MAX = 100
KEYPHRASES_MAX = 5
KEYPHRASE_WORDS_MAX = 4

_AMOUNT = r"[0-9]{1,3}(?:,[0-9]{3}){1,6}(?:\.[0-9]{1,15})?|[0-9]{1,18}(?:\.[0-9]{1,15})?"  # bounded, so linear
_START = r"(?<![\w.,-])"
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "bn": 1e9, "b": 1e9, "billion": 1e9}
_SCALE = r"(?:\s?(k|thousand|mn|m|million|bn|b|billion)\b)?"
_CURRENCY = r"(?:US\$|[$€£¥₹]|\b(?:USD|EUR|GBP|JPY|CHF|INR)\s?)"
_AFTER = r"\s?(?:[€£¥₹]|\b(?:USD|EUR|GBP|JPY|CHF|INR|dollars?|euros?|pounds?)\b)"
_NUMBER = re.compile(rf"{_START}-?(?:{_AMOUNT})(?!\w|[.,][0-9])", re.IGNORECASE)
_MONEY = re.compile(rf"{_CURRENCY}\s?({_AMOUNT}){_SCALE}|{_START}({_AMOUNT}){_SCALE}{_AFTER}", re.IGNORECASE)
_PERCENT = re.compile(rf"{_START}(-?(?:{_AMOUNT}))\s?(?:%|percent\b|per cent\b)", re.IGNORECASE)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\b")
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'()]+[^\s<>\"'().,;:!?]")
_PHONE = re.compile(r"(?<![\w.])\+?\(?[0-9]{1,4}\)?(?:[\s.-]?\(?[0-9]{2,4}\)?){2,5}(?![\w])")
_QUOTED = re.compile(r"“([^”]{1,500})”|\"([^\"]{1,500})\"|«([^»]{1,500})»|‘([^’]{2,500})’")
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = rf"({'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in _MONTHS)}|sept)\.?"
_DATE = re.compile(
    r"\b([0-9]{4})-([0-9]{2})-([0-9]{2})\b"
    rf"|\b{_MONTH}\s+([0-9]{{1,2}})(?:st|nd|rd|th)?,?\s+([0-9]{{4}})\b"
    rf"|\b([0-9]{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH},?\s+([0-9]{{4}})\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_][\w'-]*|[.,;:!?()\[\]\"“”]|\n")

Extractor = Callable[[str], list[Scalar]]


def _plain(text: str) -> float:
    return float(text.replace(",", ""))


def _numbers(text: str) -> list[Scalar]:
    return [_plain(match.group()) for match in _NUMBER.finditer(text)]


def _money(text: str) -> list[Scalar]:
    found: list[Scalar] = []
    for match in _MONEY.finditer(text):
        amount, scale = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
        found.append(_plain(amount) * _SCALES.get((scale or "").lower(), 1.0))
    return found


def _percents(text: str) -> list[Scalar]:
    return [_plain(match[1]) for match in _PERCENT.finditer(text)]


def _phones(text: str) -> list[Scalar]:
    found = [match.group().strip() for match in _PHONE.finditer(text)]
    return [item for item in found if 7 <= sum(map(str.isdigit, item)) <= 15]


def _dates(text: str) -> list[Scalar]:
    found: list[Scalar] = []
    for match in _DATE.finditer(text):
        parts = match.groups()
        if parts[0] is not None:
            year, month, day = int(parts[0]), int(parts[1]), int(parts[2])
        elif parts[3] is not None:
            year, month, day = int(parts[5]), _month(parts[3]), int(parts[4])
        else:
            year, month, day = int(parts[8]), _month(parts[7]), int(parts[6])
        try:
            moment = datetime(year, month, day, tzinfo=UTC)
        except ValueError:  # the 31st of February
            continue
        found.append(moment.isoformat().replace("+00:00", "Z"))
    return found


def _month(name: str) -> int:
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(name.lower()[:3]))


def _quoted(text: str) -> list[Scalar]:
    return [next(group for group in match.groups() if group is not None) for match in _QUOTED.finditer(text)]


def _keyphrases(text: str) -> list[Scalar]:
    """The best runs of words without stop words: rapid automatic keyword extraction.

    Rose, Engel, Cramer and Cowley, in Text Mining, 2010: a word scores its phrases' lengths over its count.
    """
    phrases: list[tuple[str, ...]] = []
    run: list[str] = []
    for token in [*(match.group() for match in _WORD.finditer(text)), "."]:
        word = token.lower()
        if word[0].isalpha() and word not in STOPWORDS and len(word) > 1:
            run.append(word)
            continue
        if 1 <= len(run) <= KEYPHRASE_WORDS_MAX:
            phrases.append(tuple(run))
        run = []
    counts = Counter(word for phrase in phrases for word in phrase)
    degrees = Counter[str]()
    for phrase in phrases:
        for word in phrase:
            degrees[word] += len(phrase)
    scores = {phrase: sum(degrees[word] / counts[word] for word in phrase) for phrase in phrases}
    best = sorted(scores, key=lambda phrase: (-scores[phrase], phrases.index(phrase)))
    return [" ".join(phrase) for phrase in best[:KEYPHRASES_MAX]]


def _matches(pattern: re.Pattern[str]) -> Extractor:
    return lambda text: [match.group() for match in pattern.finditer(text)]


def _bounded(find: Extractor) -> Extractor:
    return lambda text: find(text[:TEXT_CHARACTERS_MAX])[:ITEMS_MAX]


EXTRACTORS: dict[ExtractKind, Extractor] = {
    ExtractKind.NUMBER: _bounded(_numbers),
    ExtractKind.DATE: _bounded(_dates),
    ExtractKind.EMAIL: _bounded(_matches(_EMAIL)),
    ExtractKind.URL: _bounded(_matches(_URL)),
    ExtractKind.PHONE: _bounded(_phones),
    ExtractKind.MONEY: _bounded(_money),
    ExtractKind.PERCENT: _bounded(_percents),
    ExtractKind.QUOTED: _bounded(_quoted),
    ExtractKind.KEYPHRASE: _bounded(_keyphrases),
}
_TYPES = {
    ExtractKind.NUMBER: FieldType.NUMBER,
    ExtractKind.MONEY: FieldType.NUMBER,
    ExtractKind.PERCENT: FieldType.NUMBER,
    ExtractKind.DATE: FieldType.DATETIME,
}


def extracted_type(kind: ExtractKind) -> FieldType:
    """The type of the elements."""
    return _TYPES.get(kind, FieldType.KEYWORD)
