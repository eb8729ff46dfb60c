"""Words that name nothing in the data, but mean what a field or a category of it is called: "wage" of a salary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from promptql.catalog import Catalog, CollectionInfo, FieldInfo
from promptql.meanings import Meanings
from promptql.rules.concepts import COMPARATIVES
from promptql.rules.planning import read_question
from promptql.rules.units import UNITS
from promptql.rules.words import name_words, tokenize

# Of MiniLM's cosines: "client" and "customer" 0.61, "wage" and "salary" 0.72, "spent" and "total" 0.53; of words that
# have little to do with each other up to 0.45 (2026-11-30, 30 words by 20 names).
LIKENESS_MIN = 0.5
MARGIN_MIN = 0.08  # before the next name
WORDS_MAX = 4
NAMES_MAX = 2_000
CHARACTERS_MIN = 3


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """A word of a question, and what the data calls it.

    Attributes:
        said: the word as it was asked.
        name: the field's name in words, or a value of it.
        field: that it is or belongs to.
        likeness: cosine.
    """

    said: str
    name: str
    field: str
    likeness: float

    def explained(self) -> str:
        """How the word was read."""
        of = "" if self.name.replace(" ", "_") == self.field.lower() else f" ({self.field})"
        return f"'{self.said}' = {self.name}{of}, the nearest in meaning"

    def within(self, question: str) -> str:
        """The question with the data's word."""
        for token in tokenize(question):
            if token.text == self.said:
                return question[: token.start] + self.name + question[token.end :]
        return question


def paraphrases(
    question: str, catalog: Catalog, meanings: Meanings, asked_at: datetime | None = None
) -> list[Paraphrase]:
    """What the words that name nothing could mean, the likeliest first; each word at most once.

    Raises:
        ModelError: there is no model to tell.
    """
    infos = [info for info in catalog.collections.values() if info.rows]
    words = _unheard(question, infos, asked_at)
    names = _names(infos)
    if not words or not names or len(names) > NAMES_MAX:
        return []
    likeness = meanings.likeness(words, list(names))
    found = []
    for word, row in zip(words, likeness, strict=True):
        order = np.argsort(-row)
        best, rest = float(row[order[0]]), float(row[order[1]]) if len(order) > 1 else 0.0
        name = list(names)[int(order[0])]
        other_unit = word.lower() in UNITS and bool(UNITS.keys() & set(name.split()))  # an hour is no minute
        if best >= LIKENESS_MIN and best - rest >= MARGIN_MIN and not other_unit:
            found.append(Paraphrase(word, name, names[name].name, best))
    return sorted(found, key=lambda item: -item.likeness)


def _unheard(question: str, infos: list[CollectionInfo], asked_at: datetime | None) -> list[str]:
    """Words that no collection makes anything of."""
    left: list[set[int]] = []
    for info in infos:
        reading = read_question(question, info, asked_at)
        left.append(reading.content() - reading.used)
    if not left:
        return []
    tokens = tokenize(question)
    heard = sorted(set.intersection(*left))
    words = [tokens[index].text for index in heard if tokens[index].folded not in COMPARATIVES]  # "older" compares
    return [word for word in words if word.isalpha() and len(word) >= CHARACTERS_MIN][:WORDS_MAX]


def _names(infos: list[CollectionInfo]) -> Mapping[str, FieldInfo]:
    """What fields, and the values of small categories, are called; of fields with one name the first."""
    names: dict[str, FieldInfo] = {}
    for info in infos:
        for field in info.fields.values():
            names.setdefault(" ".join(name_words(field.name)), field)
            if field.small:
                for value, _ in field.values:
                    if isinstance(value, str) and value.replace(" ", "").isalpha():
                        names.setdefault(value, field)
    names.pop("", None)
    return names
