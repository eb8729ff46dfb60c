"""What the words of a question may name: fields by their names, values by the cells that hold them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from promptql.rules.asked import Asked, span_mask, stem
from promptql.rules.columns import View, identifying
from promptql.rules.cues import STOP, SYNONYM_GROUPS, WEAK
from promptql.rules.nationalities import WORDS_MAX, same_place
from promptql.rules.words import singular

NEVER_VALUES = frozenset("not no or and never without".split())  # alone, and as a part of a longer value
PHRASE_WORDS_MAX = 14
WORD_VALUES_MAX = 400  # a word in more distinct values than this finds no cell by itself
SPREAD_WORDS_MIN, SPREAD_SHARE_MIN = 2, 0.6  # of a cell's words, found anywhere in the question
PARTIAL_COLUMNS_MAX = 4
TYPO_CHARACTERS_MIN = 5
CHOICES_MAX = 64  # ways to lay a name over words that are tried
STEMMED, MEANT, BEGUN = 0.9, 0.55, 0.6  # how far a word that is not the same speaks for a field's name


@dataclass(frozen=True, slots=True)
class Mention:
    """Words [start, end) that may name a column; `coverage` is how much of its name they are, 0 to 1."""

    column: int
    mask: int
    start: int
    end: int
    coverage: float
    matched: int
    literal: bool


@dataclass(frozen=True, slots=True)
class ValueLink:
    """Words that may be a value: of kind "exact" (a whole cell), "part" (within cells), "spread" (most of a cell)."""

    column: int
    key: str
    mask: int
    start: int
    end: int
    kind: str
    share: float = 1.0


class Headers:
    """The words of all columns' names, ready to be looked up. Made once a view."""

    def __init__(self, view: View) -> None:
        self.words: dict[str, list[tuple[int, int]]] = {}
        self.stems: dict[str, list[tuple[int, int]]] = {}
        self.groups: dict[int, list[tuple[int, int]]] = {}
        frequency: dict[str, int] = {}
        for column in view.columns:
            for word in set(column.words):
                frequency[word] = frequency.get(word, 0) + 1
        self.weights: list[list[float]] = []
        for number, column in enumerate(view.columns):
            self.weights.append(
                [(0.2 if word in WEAK else 1.0) / (1 + math.log(frequency[word])) for word in column.words]
            )
            for place, word in enumerate(column.words):
                self.words.setdefault(word, []).append((number, place))
                self.stems.setdefault(stem(word), []).append((number, place))
                for group in SYNONYM_GROUPS.get(word, ()):
                    self.groups.setdefault(group, []).append((number, place))
        self.long = [word for word in self.words if len(word) >= 4]

    def matching(self, word: str, stemmed: str) -> list[tuple[int, int, float]]:
        """(column, place in its name, how well) for a word of the question."""
        if word in WEAK:
            return [(c, p, 1.0) for c, p in self.words.get(word, ())]
        found = [(c, p, 1.0) for c, p in self.words.get(word, ())]
        found += [(c, p, STEMMED) for c, p in self.stems.get(stemmed, ())]
        for group in SYNONYM_GROUPS.get(word, ()):
            found += [(c, p, MEANT) for c, p in self.groups.get(group, ())]
        if not found and len(word) >= 4 and word not in STOP:
            for other in self.long:
                if (
                    other.startswith(word[:5]) and abs(len(other) - len(word)) <= 6 and len(word) > 4
                ) or other.startswith(word):
                    found += [(c, p, BEGUN) for c, p in self.words[other]]
        return found


def link_headers(asked: Asked, view: View, headers: Headers) -> dict[int, list[Mention]]:
    """Column → its mentions, the fullest first."""
    hits: dict[int, list[tuple[int, int, float]]] = {}
    for index, word in enumerate(asked.words):
        for column, place, quality in headers.matching(word, asked.stems[index]):
            hits.setdefault(column, []).append((index, place, quality))
    found: dict[int, list[Mention]] = {}
    for column, marks in hits.items():
        weights = headers.weights[column]
        strong = [
            mark
            for mark in marks
            if view.columns[column].words[mark[1]] not in WEAK or asked.words[mark[0]] not in STOP
        ]
        if not strong:
            continue
        kept = list(_mentions(column, marks, weights, view))
        kept.sort(key=lambda m: (-m.coverage * m.matched, m.start))
        if kept:
            found[column] = kept[:3]
    return found


def _mentions(column: int, marks: list[tuple[int, int, float]], weights: list[float], view: View) -> Iterator[Mention]:
    """One of each cluster of words, and one of those that are left of it: "document ids, document names"."""
    for group in _clusters(marks):
        first = _mention(column, group, weights, view)
        if first is None:
            continue
        yield first
        left = [mark for mark in group if not first.mask >> mark[0] & 1]
        if left and len(left) > 1:
            for rest in _clusters(left):
                second = _mention(column, rest, weights, view) if len(rest) > 1 else None
                if second is not None:
                    yield second


def _clusters(marks: list[tuple[int, int, float]]) -> list[list[tuple[int, int, float]]]:
    groups: list[list[tuple[int, int, float]]] = []
    for mark in sorted(marks):
        if groups and mark[0] - groups[-1][-1][0] <= 2:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _mention(column: int, marks: list[tuple[int, int, float]], weights: list[float], view: View) -> Mention | None:
    best = _tightest(marks)
    words = view.columns[column].words
    if all(words[place] in WEAK for place in best) and len(words) > len(best):
        return None
    gained = sum(quality * weights[place] for place, (quality, _) in best.items())
    indexes = [index for _, index in best.values()]
    mask = 0
    for index in indexes:
        mask |= 1 << index
    literal = len(best) == len(words) and all(quality == 1.0 for quality, _ in best.values())
    return Mention(
        column, mask, min(indexes), max(indexes) + 1, gained / (sum(weights) or 1.0), len(set(indexes)), literal
    )


def _tightest(marks: list[tuple[int, int, float]]) -> dict[int, tuple[float, int]]:
    """Place in the name → (how well, word): the best word each, of equals those nearest together and in order."""
    options: dict[int, list[tuple[float, int]]] = {}
    for index, place, quality in marks:
        options.setdefault(place, []).append((quality, index))
    for place, found in options.items():
        top = max(quality for quality, _ in found)
        options[place] = [item for item in found if item[0] == top]
    places = sorted(options)
    choices = math.prod(len(options[place]) for place in places)
    if choices == 1 or choices > CHOICES_MAX:
        return {place: options[place][0] for place in places}
    chosen = min(product(*(options[place] for place in places)), key=_looseness)
    return dict(zip(places, chosen, strict=True))


def _looseness(chosen: Sequence[tuple[float, int]]) -> tuple[int, int]:
    indexes = [index for _, index in chosen]
    turned = sum(one > two for one, two in pairwise(indexes))
    return (max(indexes) - min(indexes) + 2 * turned + 3 * (len(indexes) - len(set(indexes))), indexes[0])


def link_values(asked: Asked, view: View) -> list[ValueLink]:
    """Longest spans first in importance: whole cells, then words within cells, then cells whose words are spread."""
    exact = _exact(asked, view)
    several = len(view.names) > 1  # where "2024" may be the number of a row of any of them, and is a year all the same
    spans = {(x.start, x.end) for x in exact if not several or not identifying(view.columns[x.column].words)}
    parts = [link for link in _parts(asked, view) if (link.start, link.end) not in spans]
    parts = [link for link in parts if not any(s <= link.start and link.end <= e for s, e in spans)]
    covered = 0
    for link in exact + parts:
        if link.end - link.start > 1 or link.kind == "exact":
            covered |= link.mask
    spread = _spread(asked, view, exact + parts)
    return exact + parts + spread


def _exact(asked: Asked, view: View) -> list[ValueLink]:
    words = asked.words
    spans: list[tuple[int, int, str]] = []
    for start in range(len(words)):
        for end in range(min(len(words), start + PHRASE_WORDS_MAX), start, -1):
            key = " ".join(words[start:end])
            if key in view.exact and not _empty(words[start:end], asked, start):
                spans.append((start, end, key))
    spans += _other_forms(asked, view, spans)
    kept = [
        (s, e, key) for s, e, key in spans if not any(s2 <= s and e <= e2 and e2 - s2 > e - s for s2, e2, _ in spans)
    ]
    return [
        ValueLink(column, key, span_mask(start, end), start, end, "exact")
        for start, end, key in kept
        for column in view.exact[key]
    ]


def _other_forms(asked: Asked, view: View, known: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Cells that are called otherwise: "cats" for cat, "French" for France."""
    words, taken = asked.words, {(start, end) for start, end, _ in known}
    found = []
    for start in range(len(words)):
        for end in range(min(len(words), start + WORDS_MAX), start, -1):
            if _empty(words[start:end], asked, start):
                continue
            phrase = " ".join(words[start:end])
            if (start, end) in taken:
                continue
            one = singular(phrase)
            names = [*([one] if one != phrase else []), *same_place(phrase)]
            found += [(start, end, name) for name in names if name in view.exact]
    return found


def _empty(words: list[str], asked: Asked, start: int) -> bool:
    """Whether the words are too common to be a value by themselves."""
    if len(words) > 1:
        return all(word in WEAK for word in words)
    return (
        words[0] in STOP and not asked.quoted >> start & 1 and not (asked.capital >> start & 1 and words[0] not in WEAK)
    )


def _parts(asked: Asked, view: View) -> list[ValueLink]:
    words, postings = asked.words, view.postings
    found: list[tuple[int, int, dict[int, list[str]]]] = []
    for start, word in enumerate(words):
        cells: Iterable[tuple[int, str]] = postings.get(word, ())
        if (
            word in NEVER_VALUES
            or (word in STOP and not asked.capital >> start & 1)
            or not cells
            or len(postings[word]) > WORD_VALUES_MAX
        ):
            continue
        end, held = start + 1, set(cells)
        while end < len(words) and end - start < PHRASE_WORDS_MAX:
            run = f" {' '.join(words[start : end + 1])} "
            more = {(column, key) for column, key in held if run in f" {key} "}
            if not more:
                break
            held, end = more, end + 1
        while end > start + 1 and words[end - 1] in WEAK:
            end -= 1
        run = f" {' '.join(words[start:end])} "
        by_column: dict[int, list[str]] = {}
        for column, key in cells:
            if run in f" {key} ":
                by_column.setdefault(column, []).append(key)
        found.append((start, end, by_column))
    kept = [f for f in found if not any(o[0] <= f[0] and f[1] <= o[1] and o[1] - o[0] > f[1] - f[0] for o in found)]
    links = []
    for start, end, by_column in kept:
        ranked = sorted(by_column.items(), key=lambda item: len(item[1]))[:PARTIAL_COLUMNS_MAX]
        key = " ".join(words[start:end])
        for column, keys in ranked:
            share = (end - start) / (min(k.count(" ") for k in keys) + 1)
            links.append(ValueLink(column, key, span_mask(start, end), start, end, "part", share))
    return links


def _spread(asked: Asked, view: View, known: list[ValueLink]) -> list[ValueLink]:
    places: dict[str, int] = {}
    for index, word in enumerate(asked.words):
        if word not in WEAK and word not in places:
            places[word] = index
    counts = _shared_words(view, places)
    best: list[tuple[float, int, str, int]] = []
    for (column, key), count in counts.items():
        if count < SPREAD_WORDS_MIN:
            continue
        cell = key.split(" ")
        strong = [word for word in cell if word not in WEAK]
        share = sum(word in places for word in strong) / max(1, len(strong))
        if share >= SPREAD_SHARE_MIN:
            mask = 0
            for word in strong:
                if word in places:
                    mask |= 1 << places[word]
            best.append((share, column, key, mask))
    best.sort(key=lambda item: (-item[0] * item[3].bit_count(), item[1]))
    links = []
    for share, column, key, mask in best[:4]:
        if any(link.column == column and mask & ~link.mask == 0 for link in known):
            continue
        links.append(ValueLink(column, key, mask, (mask & -mask).bit_length() - 1, mask.bit_length(), "spread", share))
    return links


def _shared_words(view: View, words: Iterable[str]) -> dict[tuple[int, str], int]:
    """How many of the words each cell has that has any of them; words that are everywhere do not count."""
    counts: dict[tuple[int, str], int] = {}
    for word in words:
        cells = view.postings.get(word, ())
        if len(cells) <= WORD_VALUES_MAX:
            for cell in cells:
                counts[cell] = counts.get(cell, 0) + 1
    return counts
