"""From a document to the passages that are embedded: which text, and which characters of which field it shows.

A document whose source fields fit into the model's window together is one passage. A longer one is split: its
short fields (a title, an author) are put in front of every passage as a lead, so that a passage in the middle of a
text is still found by what the text is about, and each long field is cut where its splitter finds the best places: at
the ends of sentences, before headings, between functions. A passage within a section or a class is told in its text
which one that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import Passage
from models import Embedder, Splitter, Structure, split_passages, structure_of

# [CLS] and [SEP], or their like: they count towards a model's window and are not in `token_offsets`.
SPECIAL_TOKENS = 2
# About one sentence, so that what is said across a cut is whole in one of the two passages.
OVERLAP_TOKENS = 32
# The lead may take this part of the window, so that most of it is left for the passage itself.
LEAD_SHARE = 4
# And the titles of the sections around a passage this part of what is left.
CONTEXT_SHARE = 8
# Under this name readers of files put where a document is from: its suffix decides how `auto` splits.
PATH = "path"


@dataclass(frozen=True, slots=True)
class Piece:
    """A text to embed and what it shows.

    Attributes:
        text: what the model reads: the lead, then the passage.
        passage: the passage's characters in its field; None where the text comes from lists alone.
    """

    text: str
    passage: Passage | None


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """A field's text, its tokens, and whether the field holds it as one string (and so can have a span)."""

    field: str
    text: str
    offsets: NDArray[np.int64]
    whole: bool

    @property
    def tokens(self) -> int:
        return len(self.offsets)


def pieces_of(
    document: Mapping[str, Any], fields: Sequence[str], embedder: Embedder, splitter: str = Splitter.AUTO
) -> list[Piece]:
    """The texts to embed for one document, in the order of its fields.

    Args:
        document: as it will be stored. Strings are taken as they are, lists of strings joined by commas; other
            values and blank strings are passed over.
        fields: the source fields, in the order in which they are to be read.
        embedder: whose tokens and window count.
        splitter: how long text is cut; "auto" goes by the suffix of the document's `path`. With "none" all text is
            one piece, and the model reads the beginning of it.

    Returns:
        No piece where the document has no text in these fields.
    """
    texts = texts_of(document, fields)
    if not texts:
        return []
    window = max(embedder.max_tokens - SPECIAL_TOKENS, 1)
    joined = "\n".join(text for _, text in texts)
    # No tokenizer makes more tokens than there are bytes, and bytes are counted in no time.
    fits = len(joined.encode("utf-8", "surrogatepass")) <= window or splitter == Splitter.NONE
    if fits or len(embedder.token_offsets(joined)) <= window:
        return [Piece(joined, _whole_of_longest(document, texts))]
    sources = [
        _Source(name, text, embedder.token_offsets(text), isinstance(document[name], str)) for name, text in texts
    ]
    path = document.get(PATH)
    return _split(sources, window, embedder, Splitter(splitter), path if isinstance(path, str) else "")


def texts_of(document: Mapping[str, Any], fields: Sequence[str]) -> list[tuple[str, str]]:
    """The text of each field that has any: documents of which this is equal have equal passages."""
    return [(name, text) for name in fields if (text := _text_of(document.get(name)))]


def text_characters(document: Mapping[str, Any], fields: Sequence[str]) -> int:
    """How long the text is that `pieces_of` makes passages from, without making them."""
    return sum(len(_text_of(document.get(name))) for name in fields)


def _text_of(value: object) -> str:
    if isinstance(value, str):
        return value if value.strip() else ""
    if isinstance(value, list | tuple):
        return ", ".join(item for item in value if isinstance(item, str) and item.strip())
    return ""


def _whole_of_longest(document: Mapping[str, Any], texts: Sequence[tuple[str, str]]) -> Passage | None:
    strings = [(name, text) for name, text in texts if isinstance(document[name], str)]
    if not strings:
        return None
    name, text = max(strings, key=lambda item: len(item[1]))
    return Passage(name, 0, len(text))


def _split(sources: Sequence[_Source], window: int, embedder: Embedder, splitter: Splitter, path: str) -> list[Piece]:
    """Passages of the long fields, each behind the lead of the short ones."""
    longest = max(sources, key=lambda source: source.tokens)
    lead, lead_tokens = _lead([source for source in sources if source is not longest], window // LEAD_SHARE)
    prefix = "".join(f"{source.text}\n" for source in lead)
    pieces = []
    for source in sources:
        if source in lead:
            continue
        structure = structure_of(source.text, splitter, path)
        context_tokens = (window - lead_tokens) // CONTEXT_SHARE if structure.scopes else 0
        room = window - lead_tokens - context_tokens
        overlap = min(OVERLAP_TOKENS, room // LEAD_SHARE)
        contexts = _Contexts(structure, embedder, context_tokens, known={other.text for other in lead})
        spans = split_passages(
            source.text, source.offsets, max_tokens=room, overlap_tokens=overlap, structure=structure
        )
        for start, end in spans:
            passage = Passage(source.field, start, end) if source.whole else None
            pieces.append(Piece(prefix + contexts.at(start) + source.text[start:end], passage))
    return pieces


class _Contexts:
    """What stands in front of a passage: the titles of the sections, classes or functions that it is in.

    Args:
        structure: of the text.
        embedder: whose tokens count.
        budget: tokens at most; outer titles are left out first.
        known: titles that the lead has already.
    """

    def __init__(self, structure: Structure, embedder: Embedder, budget: int, known: set[str]) -> None:
        self._structure, self._embedder, self._budget, self._known = structure, embedder, budget, known
        self._made: dict[tuple[str, ...], str] = {}

    def at(self, position: int) -> str:
        """The line for a passage that begins here; empty where there is nothing to say."""
        titles = tuple(title for title in self._structure.titles_at(position) if title and title not in self._known)
        if titles not in self._made:
            self._made[titles] = self._fitting(titles)
        return self._made[titles]

    def _fitting(self, titles: tuple[str, ...]) -> str:
        for first in range(len(titles)):
            line = " > ".join(titles[first:])
            if len(self._embedder.token_offsets(line)) <= self._budget:
                return f"{line}\n"
        return ""


def _lead(sources: Sequence[_Source], budget: int) -> tuple[list[_Source], int]:
    """The fields that fit into the budget together, in their order, and the tokens they take."""
    lead, used = [], 0
    for source in sources:
        if used + source.tokens <= budget:
            lead.append(source)
            used += source.tokens
    return lead, used
