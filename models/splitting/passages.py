"""Text to passages that a model can read whole, cut at the best places that its structure has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.embedder import TokenOffsets
from models.splitting.sentences import prose
from models.splitting.structure import Structure

Cuts = npt.NDArray[np.int64]  # ascending token indexes at which a new passage may start; the last is the end


@dataclass(frozen=True, slots=True)
class _Level:
    """`Level`, its places as tokens, those of the better levels included."""

    cuts: Cuts
    least: float
    keeps_whole: bool


@dataclass(frozen=True, slots=True)
class _Cutting:
    """Where a text may be cut: at its structure's levels, between words, between tokens."""

    natural: tuple[_Level, ...]
    barriers: Cuts
    words: Cuts
    tokens: Cuts
    max_tokens: int


def split_passages(
    text: str,
    offsets: TokenOffsets,
    *,
    max_tokens: int,
    overlap_tokens: int = 0,
    structure: Structure | None = None,
) -> list[tuple[int, int]]:
    """Character spans of passages of at most `max_tokens` tokens, in order, covering all that is not space.

    A passage ends at the best place of its structure, else, where there is none in reach, between words, else between
    tokens. Only tokens that share a character (some tokenizers make several of one) are kept together beyond
    `max_tokens`.

    Args:
        text: the text.
        offsets: (tokens, 2) int64 from `Embedder.token_offsets(text)`.
        max_tokens: tokens of one passage at most, as `Embedder.max_tokens` counts them.
        overlap_tokens: tokens at the end of a passage that are repeated at the start of the next, at most; whole
            sentences if any fit, else whole words, else, within a word, tokens. Nothing is repeated over a barrier.
        structure: of the text; by default that of prose.

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
    cutting = _cutting(prose(text) if structure is None else structure, offsets, max_tokens)
    spans = [
        _trimmed(text, _position(offsets, first, 0), _position(offsets, end, len(text)))
        for first, end in _token_ranges(cutting, len(offsets), overlap_tokens)
    ]
    return [span for span in spans if span[0] < span[1]]


def _token_ranges(cutting: _Cutting, tokens: int, overlap: int) -> list[tuple[int, int]]:
    ranges = [(0, _end(cutting, 0, 0))]
    while ranges[-1][1] < tokens:
        first, end = ranges[-1]
        # Never the whole of the passage before: the next one would contain it.
        ranges.append(_next_range(cutting, end, min(overlap, end - first - 1)))
    return ranges


def _next_range(cutting: _Cutting, previous_end: int, overlap: int) -> tuple[int, int]:
    """The passage after one that ended at `previous_end`; overlap is given up where it would break a sentence."""
    start = _overlap_start(cutting, previous_end, overlap)
    for first in (start, previous_end):
        end = _natural_end(cutting, first, previous_end)
        if end is not None:
            return first, end
    end = _end(cutting, start, previous_end)
    return (start if end - start <= cutting.max_tokens else previous_end), end


def _end(cutting: _Cutting, first: int, after: int) -> int:
    """Where a passage that starts at `first` ends; always beyond `after`."""
    natural = _natural_end(cutting, first, after)
    if natural is not None:
        return natural
    for cuts in (cutting.words, cutting.tokens):
        end = _last_cut(cuts, after, first + cutting.max_tokens)
        if end is not None:
            return end
    return int(cutting.tokens[np.searchsorted(cutting.tokens, after, side="right")])


def _natural_end(cutting: _Cutting, first: int, after: int) -> int | None:
    for level in cutting.natural:
        end = _last_cut(level.cuts, after, first + cutting.max_tokens)
        if end is not None and (end > first + int(level.least * cutting.max_tokens) or _spares(level, end, cutting)):
            return end
    return None


def _spares(level: _Level, end: int, cutting: _Cutting) -> bool:
    """Whether ending here keeps whole what comes next and would be torn otherwise."""
    if end == cutting.tokens[-1]:
        return True
    return level.keeps_whole and _first_cut(level.cuts, end) - end <= cutting.max_tokens


def _first_cut(cuts: Cuts, after: int) -> int:
    return int(cuts[np.searchsorted(cuts, after, side="right")])


def _last_cut(cuts: Cuts, after: int, at_most: int) -> int | None:
    """The largest cut in (after, at_most]."""
    index = int(np.searchsorted(cuts, at_most, side="right")) - 1
    return int(cuts[index]) if index >= 0 and cuts[index] > after else None


def _overlap_start(cutting: _Cutting, end: int, overlap: int) -> int:
    barrier = int(np.searchsorted(cutting.barriers, end, side="right")) - 1
    lowest = max(end - overlap, int(cutting.barriers[barrier]) if barrier >= 0 else 0)
    inside_word = cutting.words[np.searchsorted(cutting.words, end)] != end
    levels = [cutting.natural[-1].cuts, cutting.words] if cutting.natural else [cutting.words]
    for cuts in (*levels, *([cutting.tokens] if inside_word else [])):
        start = int(cuts[np.searchsorted(cuts, lowest)])
        if start < end:
            return start
    return end


def _cutting(structure: Structure, offsets: TokenOffsets, max_tokens: int) -> _Cutting:
    starts, ends = offsets[:, 0], offsets[:, 1]
    reached = np.maximum.accumulate(ends)[:-1]
    apart = np.flatnonzero(starts[1:] >= reached) + 1  # no token before reaches into it
    spaced = np.flatnonzero(starts[1:] > reached) + 1

    def tokens_at(positions: list[int]) -> Cuts:
        indexes = np.searchsorted(starts, np.array(sorted(positions), dtype=np.int64))
        return np.intersect1d(indexes, apart)

    natural, places = [], list[int]()
    for level in structure.levels:
        places += level.positions
        natural.append(_Level(_closed(tokens_at(places), len(offsets)), level.least, level.keeps_whole))
    return _Cutting(
        natural=tuple(natural),
        barriers=tokens_at(list(structure.barriers)),
        words=_closed(spaced, len(offsets)),
        tokens=_closed(apart, len(offsets)),
        max_tokens=max_tokens,
    )


def _closed(cuts: Cuts, end: int) -> Cuts:
    return np.append(cuts, end).astype(np.int64)


def _position(offsets: TokenOffsets, token: int, outside: int) -> int:
    """Character at which `token` starts; `outside` for the text's own ends, so that what no token covers is kept."""
    return int(offsets[token, 0]) if 0 < token < len(offsets) else outside


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
