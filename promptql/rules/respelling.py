"""Names that a question spells wrongly: what the data has that is written almost alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from promptql.catalog import Catalog, FieldInfo
from promptql.rules.words import STOPWORDS, Token, fold, tokenize

WORDS_MAX = 3  # of a name
CHARACTERS_MIN = 4  # shorter words are within an edit of too many
NEAR_CUTOFF = 0.8  # of difflib: one edit in five characters, two in ten
VALUES_MAX = 20_000  # looked through, of all fields together
LENGTHS_APART_MAX = 2
FOUND_MAX = 3


@dataclass(frozen=True, slots=True)
class Respelling:
    """A question in which words stand as the data spells them.

    Attributes:
        said: the words as they were asked.
        value: what they were replaced by; of the field.
        question: the whole.
    """

    said: str
    field: str
    value: str
    question: str


def respellings(
    question: str, catalog: Catalog, *, among: frozenset[str] | None = None, values_max: int = VALUES_MAX
) -> list[Respelling]:
    """The question with a name put right, most alike first; empty where nothing is written almost alike.

    Args:
        question: as it was asked.
        catalog: of what may be meant.
        among: the only words, folded, that may be put right; None: any.
        values_max: of more values than these none is looked at.
    """
    fields = [field for info in catalog.collections.values() for field in info.fields.values() if field.index]
    if sum(len(field.index) for field in fields) > values_max:
        return []
    found: list[tuple[float, Respelling]] = []
    tokens = tokenize(question)
    for start in range(len(tokens)):
        for end in range(start + 1, min(len(tokens), start + WORDS_MAX) + 1):
            if among is None or all(token.folded in among for token in tokens[start:end]):
                found += _near(question, tokens[start:end], fields)
    found.sort(key=lambda item: -item[0])
    return [item for _, item in found[:FOUND_MAX]]


def _near(question: str, tokens: tuple[Token, ...], fields: Iterable[FieldInfo]) -> list[tuple[float, Respelling]]:
    begin, end = tokens[0].start, tokens[-1].end
    said = question[begin:end]
    word = fold(said)
    if len(word) < CHARACTERS_MIN or all(token.folded in STOPWORDS for token in tokens):
        return []
    found = []
    for field in fields:
        alike = [key for key in field.index if abs(len(key) - len(word)) <= LENGTHS_APART_MAX]
        for key in difflib.get_close_matches(word, alike, 1, NEAR_CUTOFF):
            if key != word:
                value = str(field.index[key][0])
                likeness = difflib.SequenceMatcher(None, word, key).ratio()
                found.append((likeness, Respelling(said, field.name, value, question[:begin] + value + question[end:])))
    return found
