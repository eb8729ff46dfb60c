"""What a phrase measures: how many of something, or the total or average of a field; and the question that asks it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptql.plan import Assumption, Support
from promptql.rules.linking import mentions_collection, without_unit
from promptql.rules.measures import is_intensive
from promptql.rules.money import in_words_of_the_data
from promptql.rules.words import forms, name_words, tokenize
from promptql.steps import Function

if TYPE_CHECKING:
    from promptql.catalog import Catalog

_ARTICLES = frozenset("the a an our my their its all of any each".split())
_COUNTS = re.compile(
    r"^(?:the\s+)?(?:total\s+)?(?:number|count|amount|quantity|tally)s?\s+of\s+|^how\s+many\s+", re.IGNORECASE
)
_PLACED = re.compile(r"\s(?:from|in|with|by|for|to|of|on|after|before|since|during|between)\s", re.IGNORECASE)
_GREATEST = re.compile(r"\b(?:highest|largest|biggest|greatest|maximal|top)\b", re.IGNORECASE)
_LEAST = re.compile(r"\b(?:lowest|smallest|least|minimal)\b", re.IGNORECASE)
_FIGURES = frozenset("average mean avg median total sum combined minimum min maximum max".split())


@dataclass(frozen=True, slots=True)
class Phrase:
    """What is measured.

    Attributes:
        text: the documents that are counted, or the figure that is computed ("total revenue").
        counted: whether documents are counted.
        assumptions: how words of it were read.
        fn: the figure of a field, where it was not said which.
    """

    text: str
    counted: bool
    assumptions: tuple[Assumption, ...] = ()
    fn: Function | None = None

    def question(self, rest: str) -> str:
        """The question for it, of what `rest` says: "from France", "in 2024"."""
        return f"How many {self.text} are {rest}?" if self.counted else f"What is the {self.text} {rest}?"

    def column(self) -> str:
        """What a column with it is called: "orders", "total_revenue"."""
        words = list(dict.fromkeys(token.folded for token in tokenize(self.text.replace("sum of ", "total "))))
        return "_".join(words) or "figure"

    def whole(self) -> str:
        """The question for it, of all."""
        return f"How many {self.text} are there?" if self.counted else f"What is the {self.text}?"


def phrase_of(text: str, catalog: Catalog) -> Phrase | None:
    """What a phrase measures; None where it names neither documents nor a number.

    "Number of orders" and "orders" count, "average price" says what it is; "revenue" is a total, and "price" an
    average, as prices do not add up.
    """
    phrase = _trimmed(text)
    counts = _COUNTS.match(phrase)
    if counts is not None:
        rest = _trimmed(phrase[counts.end() :])
        named = _field_named(rest, catalog)
        many = re.match(r"^(?:the\s+)?(?:total\s+)?(?:number|count|how)", phrase, re.IGNORECASE)
        if many is not None or named is None:
            return Phrase(rest, counted=True) if rest else None
        phrase = rest
    if not phrase:
        return None
    phrase = with_figures(phrase)
    phrase, said = in_words_of_the_data(phrase, catalog)
    words = [token.folded for token in tokenize(phrase)]
    if _FIGURES & set(words) and len([word for word in words if word not in _ARTICLES]) > 1:
        return Phrase(phrase, counted=False, assumptions=said)
    if not said and _names_documents(phrase, catalog):
        return Phrase(phrase, counted=True)
    field = _field_named(phrase, catalog)
    if field is None:
        return None
    figure = "average" if is_intensive(field) else "total"
    if figure == "average":
        said = (*said, Assumption(f"'{field}' of several = their average", Support.FUZZY))
    fn = Function.AVG if figure == "average" else Function.SUM
    doubled = figure == "total" and tokenize(phrase)[0].folded in _FIGURES  # the total of a "total"
    return Phrase(f"{'sum of' if doubled else figure} {phrase}", counted=False, assumptions=said, fn=fn)


def with_figures(text: str) -> str:
    """Superlatives as the figures that they are of one thing: "the highest price" is the maximum."""
    return _LEAST.sub("minimum", _GREATEST.sub("maximum", text))


def is_number(text: str, catalog: Catalog) -> bool:
    """Whether a phrase ends with the name of a field of numbers."""
    return _field_named(_trimmed(text), catalog) is not None


def _trimmed(text: str) -> str:
    words = text.strip(" ,.?!:;").split()
    while words and words[0].lower() in _ARTICLES:
        words = words[1:]
    return " ".join(words)


def _names_documents(phrase: str, catalog: Catalog) -> bool:
    """Whether it ends with what the documents of a collection are called."""
    words = tokenize(_PLACED.split(phrase, maxsplit=1)[0])  # "orders in 2024"
    return bool(words) and any(mentions_collection(words[-1], info) for info in catalog.collections.values())


def _field_named(phrase: str, catalog: Catalog) -> str | None:
    """The field of numbers whose name the phrase has."""
    words = [token.folded for token in tokenize(phrase)]
    infos = catalog.collections.values()
    numbers = [field for info in infos for field in info.fields.values() if field.numeric and not field.identifier]
    for called in (name_words, _core_words):  # "honey" of a field "honey_kg", unless another is called so
        for field in numbers:
            name = called(field.name)
            if name and _holds(words, name):
                return field.name
    return None


def _core_words(name: str) -> tuple[str, ...]:
    return without_unit(name_words(name))


def _holds(words: list[str], name: tuple[str, ...]) -> bool:
    ends = range(len(words) - len(name) + 1)
    return any(all(forms(w) & forms(n) for w, n in zip(words[at:], name, strict=False)) for at in ends)
