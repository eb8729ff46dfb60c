"""From a document to the passages that are embedded: which text, and which characters of which field it shows.

A document whose source fields fit into the model's window together is one passage. A longer one is split: its
short fields (a title, an author) are put in front of every passage as a lead, so that a passage in the middle of a
text is still found by what the text is about, and each long field is cut at the ends of sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import Passage
from models import Embedder, split_passages

# [CLS] and [SEP], or their like: they count towards a model's window and are not in `token_offsets`.
SPECIAL_TOKENS = 2
# About one sentence, so that what is said across a cut is whole in one of the two passages.
OVERLAP_TOKENS = 32
# The lead may take this part of the window, so that most of it is left for the passage itself.
LEAD_SHARE = 4


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


def pieces_of(document: Mapping[str, Any], fields: Sequence[str], embedder: Embedder) -> list[Piece]:
    """The texts to embed for one document, in the order of its fields.

    Args:
        document: as it will be stored. Strings are taken as they are, lists of strings joined by commas; other
            values and blank strings are passed over.
        fields: the source fields, in the order in which they are to be read.
        embedder: whose tokens and window count.

    Returns:
        No piece where the document has no text in these fields.
    """
    texts = texts_of(document, fields)
    if not texts:
        return []
    window = embedder.max_tokens - SPECIAL_TOKENS
    joined = "\n".join(text for _, text in texts)
    # No tokenizer makes more tokens than there are bytes, and counting bytes is a hundred times quicker.
    if len(joined.encode("utf-8", "surrogatepass")) <= window or len(embedder.token_offsets(joined)) <= window:
        return [Piece(joined, _whole_of_longest(document, texts))]
    sources = [
        _Source(name, text, embedder.token_offsets(text), isinstance(document[name], str)) for name, text in texts
    ]
    return _split(sources, window)


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


def _split(sources: Sequence[_Source], window: int) -> list[Piece]:
    """Passages of the long fields, each behind the lead of the short ones."""
    longest = max(sources, key=lambda source: source.tokens)
    lead, lead_tokens = _lead([source for source in sources if source is not longest], window // LEAD_SHARE)
    prefix = "".join(f"{source.text}\n" for source in lead)
    room = window - lead_tokens
    overlap = min(OVERLAP_TOKENS, room // LEAD_SHARE)
    pieces = []
    for source in sources:
        if source in lead:
            continue
        spans = split_passages(source.text, source.offsets, max_tokens=room, overlap_tokens=overlap)
        for start, end in spans:
            passage = Passage(source.field, start, end) if source.whole else None
            pieces.append(Piece(prefix + source.text[start:end], passage))
    return pieces


def _lead(sources: Sequence[_Source], budget: int) -> tuple[list[_Source], int]:
    """The fields that fit into the budget together, in their order, and the tokens they take."""
    lead, used = [], 0
    for source in sources:
        if used + source.tokens <= budget:
            lead.append(source)
            used += source.tokens
    return lead, used
