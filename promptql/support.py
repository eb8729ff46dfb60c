"""Whether cited evidence bears a sentence out: its marks, figures, names, negations and words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from promptql.rules.mentions import find_numbers
from promptql.rules.words import NEGATIONS, STOPWORDS, Token, tokenize
from promptql.sentences import sentence_spans

SHARED_MIN = 0.5  # of a sentence's content words that the evidence or the question must have
NEW_SHARED_MIN = 0.4  # of those that the question has not, that the evidence must have
SHORT_WORDS = 3  # a piece of fewer content words (an abbreviation's end) is judged with the others only
MARK = r"\[(?P<mark>\d{1,3}|a\d+\[\d+\](?:\.[^\[\]\n]{1,80})?)\]"
_MARK = re.compile(MARK)
_UNIT = re.compile(rf"(?P<text>.+?)(?P<marks>(?:\s*{MARK.replace('?P<mark>', '')})+)(?P<end>[.!?]?)", re.DOTALL)


def row_of(mark: str) -> str:
    """The row that a cell is in: ``a1[0].n`` → ``a1[0]``; any other mark as it is."""
    row, dot, _ = mark.partition("].")
    return f"{row}]" if dot else mark


@dataclass(frozen=True)
class Evidence:
    """A piece of evidence: what a mark stands for.

    Attributes:
        text: all that it says, with the name of the document that says it.
    """

    mark: str
    text: str

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """Its words."""
        return tokenize(self.text)

    @cached_property
    def roots(self) -> frozenset[str]:
        """The roots of its words."""
        return frozenset(token.root for token in self.tokens)

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The numbers in it."""
        return tuple(float(number.value) for number in find_numbers(self.text, self.tokens))


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of text up to its marks; `marks` are empty at the end of a text that has no more of them."""

    text: str
    marks: tuple[str, ...]
    end: str = ""


def unit_at(text: str, *, ended: bool) -> tuple[Unit, int] | None:
    """The first unit of a text, and where it ends; None where it may still go on.

    Args:
        text: what has come so far.
        ended: nothing more comes.
    """
    match = _UNIT.match(text)
    if match is not None and (ended or re.match(r"\s+[^\s\[]", text[match.end() :])):
        marks = tuple(found["mark"] for found in _MARK.finditer(match["marks"]))
        return Unit(match["text"], marks, match["end"]), match.end()
    if ended and text.strip():
        return Unit(text, ()), len(text)
    return None


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks units of a text.

    Attributes:
        evidence: by mark.
        question: its words need no evidence; its figures do.
        given: numbers that are true of all evidence, since the plan asked for them.
    """

    evidence: Mapping[str, Evidence]
    question: str
    given: Collection[float] = ()

    def fault(self, unit: Unit) -> str | None:
        """Why a unit is not borne out; None where it is."""
        if not unit.marks:
            return "it has no mark"
        found = [self.evidence.get(mark) or self.evidence.get(row_of(mark)) for mark in dict.fromkeys(unit.marks)]
        cited = [item for item in found if item is not None]
        if len(cited) < len(found):
            return "there is no such evidence"
        text = unit.text + unit.end
        faults = (self._fault(text[start:end], cited) for start, end in sentence_spans(text) or [(0, len(text))])
        return next((fault for fault in faults if fault is not None), None)

    def _fault(self, sentence: str, cited: list[Evidence]) -> str | None:
        tokens = tokenize(sentence)
        wrong = self._unknown_number(sentence, tokens, cited)
        if wrong is not None:
            return f"no evidence has the figure {wrong:g}"
        held = frozenset().union(*(item.roots for item in cited))
        asked = frozenset(token.root for token in tokenize(self.question))
        if _denies(tokens) and not any(_denies(item.tokens) for item in cited):
            return "it denies what no evidence denies"
        names = [token for token in tokens[1:] if _is_name(sentence, token)]
        strange = next((name for name in names if name.root not in held | asked), None)
        if strange is not None:
            return "it names what no evidence names"
        return _thin([token for token in tokens if _is_content(token)], held, asked)

    def _unknown_number(self, sentence: str, tokens: tuple[Token, ...], cited: list[Evidence]) -> float | None:
        known = {*self.given, *(number for item in cited for number in item.numbers)}
        for number in find_numbers(sentence, tokens):
            written = tokens[number.start].folded
            spelled = not written[:1].isdigit()
            digits = 0 if spelled else len(written.partition(".")[2])
            value, slack = float(number.value), 0.5 * number.scale * 10.0**-digits
            if spelled and value <= len(cited):  # "both", "two of them": as many as there is evidence
                continue
            near = (_is_near(value, other, slack, rounded=number.scale > 1) for other in known)
            if not any(near):
                return value
        return None


def _is_near(said: float, known: float, slack: float, *, rounded: bool) -> bool:
    """Whether a figure is the known one, or that one rounded; whole ones are rounded to millions and the like only."""
    return abs(said - known) <= (slack if rounded or known != int(known) else 1e-9)


def _thin(words: list[Token], held: frozenset[str], asked: frozenset[str]) -> str | None:
    """Why too few of the words are anywhere; None where they are not, or are too few to tell."""
    if len(words) < SHORT_WORDS:
        return None
    roots = {token.root for token in words}
    new = roots - asked
    if len(roots & (held | asked)) < SHARED_MIN * len(roots) or len(new & held) < NEW_SHARED_MIN * len(new):
        return "the evidence says something else"
    return None


def _is_content(token: Token) -> bool:
    return token.folded not in STOPWORDS and not token.folded[:1].isdigit()


def _is_name(sentence: str, token: Token) -> bool:
    """Whether a word is written like a name within its sentence."""
    return sentence[token.start].isupper() and token.folded not in STOPWORDS and len(token.folded) > 1


def _denies(tokens: tuple[Token, ...]) -> bool:
    return any(token.folded in NEGATIONS for token in tokens)
