"""Text to passages that a model can read whole: cut at paragraphs and sentences where possible."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.embedder import TokenOffsets

Cuts = npt.NDArray[np.int64]  # ascending token indexes at which a new passage may start; the last is the end

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
# Sentence marks with closing quotes or brackets, then space; or the CJK marks, which no space follows.
_SENTENCE = re.compile(r"""(?<=[.!?…])["'”’»)\]]*\s+|(?<=[。！？])["'”’»）」』]*\s*""")
# A line that starts in lower case continues the sentence of a hard-wrapped text.
_LINE = re.compile(r"\n\s*(?![a-zà-öø-ÿ])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|al|approx|cf|dr|eq|eqs|etc|fig|figs|jr|mr|mrs|ms|no|nos|"
    r"pp|prof|ref|sec|sr|st|vol|vs)\.$",
    re.IGNORECASE,
)
_LONGEST_ABBREVIATION = 12


@dataclass(frozen=True, slots=True)
class _CutLevels:
    """Where the text may be cut, best level first; each holds every cut of the levels before it."""

    paragraphs: Cuts
    sentences: Cuts
    words: Cuts
    tokens: Cuts


def split_passages(
    text: str, offsets: TokenOffsets, *, max_tokens: int, overlap_tokens: int = 0
) -> list[tuple[int, int]]:
    """Character spans of passages of at most `max_tokens` tokens, in order, covering all that is not space.

    A passage ends at the last paragraph break in its second half, else at the last sentence end, else, where
    one sentence is longer than a passage, between words, else between tokens. Only tokens that share a
    character (some tokenizers make several of one) are kept together beyond `max_tokens`.

    Args:
        text: the text.
        offsets: (tokens, 2) int64 from `Embedder.token_offsets(text)`.
        max_tokens: tokens of one passage at most, as `Embedder.max_tokens` counts them.
        overlap_tokens: tokens at the end of a passage that are repeated at the start of the next, at most; whole
            sentences if any fit, else whole words, else, within a word, tokens.

    Raises:
        ValueError: not 0 ≤ overlap_tokens < max_tokens.
    """
    if not 0 <= overlap_tokens < max_tokens:
        raise ValueError(
            f"overlap must be at least 0 and less than max_tokens: max_tokens={max_tokens} overlap={overlap_tokens}"
        )
    if not text.strip():
        return []
    if len(offsets) <= max_tokens:
        return [_trimmed(text, 0, len(text))]
    levels = _cut_levels(text, offsets)
    return [
        _trimmed(text, _position(offsets, first, 0), _position(offsets, end, len(text)))
        for first, end in _token_ranges(levels, len(offsets), max_tokens, overlap_tokens)
    ]


def _token_ranges(levels: _CutLevels, tokens: int, max_tokens: int, overlap: int) -> list[tuple[int, int]]:
    ranges = [(0, _end(levels, 0, 0, max_tokens))]
    while ranges[-1][1] < tokens:
        first, end = ranges[-1]
        # Never the whole of the passage before: the next one would contain it.
        ranges.append(_next_range(levels, end, max_tokens, min(overlap, end - first - 1)))
    return ranges


def _next_range(levels: _CutLevels, previous_end: int, max_tokens: int, overlap: int) -> tuple[int, int]:
    """The passage after one that ended at `previous_end`; overlap is given up where it would break a sentence."""
    start = _overlap_start(levels, previous_end, overlap)
    for first in (start, previous_end):
        end = _natural_end(levels, first, previous_end, max_tokens)
        if end is not None:
            return first, end
    end = _end(levels, start, previous_end, max_tokens)
    return (start if end - start <= max_tokens else previous_end), end


def _end(levels: _CutLevels, first: int, after: int, max_tokens: int) -> int:
    """Where a passage that starts at `first` ends; always beyond `after`."""
    natural = _natural_end(levels, first, after, max_tokens)
    if natural is not None:
        return natural
    for cuts in (levels.words, levels.tokens):
        end = _last_cut(cuts, after, first + max_tokens)
        if end is not None:
            return end
    return int(levels.tokens[np.searchsorted(levels.tokens, after, side="right")])


def _natural_end(levels: _CutLevels, first: int, after: int, max_tokens: int) -> int | None:
    half = max(after, first + max_tokens // 2)
    end = _last_cut(levels.paragraphs, half, first + max_tokens)
    return end if end is not None else _last_cut(levels.sentences, after, first + max_tokens)


def _last_cut(cuts: Cuts, after: int, at_most: int) -> int | None:
    """The largest cut in (after, at_most]."""
    index = int(np.searchsorted(cuts, at_most, side="right")) - 1
    return int(cuts[index]) if index >= 0 and cuts[index] > after else None


def _overlap_start(levels: _CutLevels, end: int, overlap: int) -> int:
    inside_word = levels.words[np.searchsorted(levels.words, end)] != end
    for cuts in (levels.sentences, levels.words, *([levels.tokens] if inside_word else [])):
        start = int(cuts[np.searchsorted(cuts, end - overlap)])
        if start < end:
            return start
    return end


def _cut_levels(text: str, offsets: TokenOffsets) -> _CutLevels:
    starts, ends = offsets[:, 0], offsets[:, 1]
    reached = np.maximum.accumulate(ends)[:-1]
    apart = np.flatnonzero(starts[1:] >= reached) + 1  # no token before reaches into it
    spaced = np.flatnonzero(starts[1:] > reached) + 1
    paragraphs = [match.end() for match in _PARAGRAPH.finditer(text)]
    lines = [match.end() for match in _LINE.finditer(text)]
    sentences = [match.end() for match in _SENTENCE.finditer(text) if _ends_sentence(text, match)]

    def cuts(positions: list[int]) -> Cuts:
        indexes = np.searchsorted(starts, np.array(sorted(positions), dtype=np.int64))
        return _closed(np.intersect1d(indexes, apart), len(offsets))

    return _CutLevels(
        paragraphs=cuts(paragraphs),
        sentences=cuts(paragraphs + lines + sentences),
        words=_closed(spaced, len(offsets)),
        tokens=_closed(apart, len(offsets)),
    )


def _closed(cuts: Cuts, end: int) -> Cuts:
    return np.append(cuts, end).astype(np.int64)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Not after an abbreviation or an initial, and not before a word in lower case."""
    following = text[match.end() : match.end() + 1]
    if following.islower():
        return False
    return not _ABBREVIATION.search(text[max(0, match.start() - _LONGEST_ABBREVIATION) : match.start()])


def _position(offsets: TokenOffsets, token: int, outside: int) -> int:
    """Character at which `token` starts; `outside` for the text's own ends, so that what no token covers is kept."""
    return int(offsets[token, 0]) if 0 < token < len(offsets) else outside


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
