"""Which words of a question name collections: "singers" the collection singer, "cars" the collection cars_data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptql.rules.asked import Asked, stem
from promptql.rules.columns import View, spaced, words_of
from promptql.rules.cues import WEAK, related

# Words of collections' names that say nothing about what their documents are.
FILLERS = frozenset("data info information details list names table record records ref all my the".split())


@dataclass(frozen=True, slots=True)
class EntityMention:
    """Words [start, end) that name a collection; `coverage` is how much of its name they are."""

    table: int
    mask: int
    start: int
    end: int
    coverage: float


def link_entities(asked: Asked, view: View) -> list[EntityMention]:
    """Mentions of collections in the order of the question."""
    found = []
    for table, title in enumerate(view.titles):
        name = [word for word in words_of(spaced(title)) if word not in WEAK]
        telling = [word for word in name if word not in FILLERS] or name
        stems = [stem(_singular(word)) for word in telling]
        hits: dict[int, int] = {}
        for index, word in enumerate(asked.words):
            root = stem(_singular(word))
            for place, other in enumerate(stems):
                if root == other or (
                    related(word, telling[place]) and word not in ("home", "name", "title", "number", "place")
                ):
                    hits[index] = place
                    break
        found += _runs(table, hits, len(telling))
    found.sort(key=lambda mention: (mention.start, -mention.coverage))
    return [
        m
        for m in found
        if not any(o.mask & m.mask == m.mask and o.mask != m.mask and o.coverage >= m.coverage for o in found)
    ]


def _runs(table: int, hits: dict[int, int], size: int) -> list[EntityMention]:
    mentions: list[EntityMention] = []
    run: list[int] = []
    for index in [*sorted(hits), 10_000]:
        if (run and index - run[-1] > 1) or (run and index < 10_000 and hits[index] in {hits[i] for i in run}):
            mask = sum(1 << i for i in run)
            mentions.append(EntityMention(table, mask, run[0], run[-1] + 1, len({hits[i] for i in run}) / size))
            run = []
        run.append(index)
    return mentions


def _singular(word: str) -> str:
    from promptql.rules.words import singular

    return singular(word)


def label_columns(view: View, table: int) -> list[int]:
    """The columns that name a collection's documents to a reader, the likeliest first."""
    ranked: list[tuple[float, int]] = []
    title = {stem(word) for word in words_of(spaced(view.titles[table]))}
    for number in view.of_table(table):
        column = view.columns[number]
        words = column.words
        score = 0.0
        if words and words[-1] in ("name", "title"):
            score += 3 - 0.5 * max(0, len(words) - 1) + (0.5 if {stem(w) for w in words} & title else 0)
        elif {stem(word) for word in words} == title:
            score += 2.5
        if column.kind == "text":
            score += 0.5 * column.distinct_share
        if words and words[-1] in ("id", "code", "number"):
            score -= 1
        ranked.append((-score, number))
    return [number for _, number in sorted(ranked)[:2]]


def nearest(mentions: Sequence[EntityMention], table: int, start: int, end: int) -> int | None:
    """How many words lie between a span and the nearest mention of a collection; None where it is not mentioned."""
    gaps = [max(0, start - m.end, m.start - end) for m in mentions if m.table == table]
    return min(gaps) if gaps else None
