"""Which words of a question name collections: "singers" the collection singer, "cars" the collection cars_data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptql.rules.asked import Asked, stem
from promptql.rules.columns import View, spaced, words_of
from promptql.rules.cues import STOP, WEAK, related
from promptql.rules.events import recorded_in

if TYPE_CHECKING:
    from promptql.rules.joins import Joined

# Words of collections' names that say nothing about what their documents are.
NEVER_MEANT = frozenset("home name title number place".split())  # by words that stand for each other
PART_CHARACTERS_MIN = 4  # of each part of a name that is two
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
    headed = {word for column in view.columns for word in column.words}
    forms = [(table, title) for table, title in enumerate(view.titles)]
    forms += [(table, name) for table, name in enumerate(view.names) if name != view.titles[table]]
    words = [[word for word in words_of(spaced(form)) if word not in WEAK] for _, form in forms]
    called = {_singular(word) for name in words for word in name}
    for (table, _), name in zip(forms, words, strict=True):
        parted = _parted(name, words)
        telling = [word for word in parted if word not in FILLERS] or parted
        if telling:
            found += _runs(table, _hits(asked, telling, called, headed), len(telling))
    if len(view.names) == 1:
        nouns = recorded_in(tuple(column.name for column in view.columns))
        said = (i for i, word in enumerate(asked.words) if _singular(word) in nouns)
        found += (EntityMention(0, 1 << i, i, i + 1, 1.0) for i in said)
    found = list({(mention.table, mention.mask): mention for mention in sorted(found, key=_covered)}.values())
    found.sort(key=lambda mention: (mention.start, -mention.coverage))
    return [
        m
        for m in found
        if not any(o.mask & m.mask == m.mask and o.mask != m.mask and o.coverage >= m.coverage for o in found)
    ]


def _covered(mention: EntityMention) -> float:
    return mention.coverage


def _hits(asked: Asked, telling: Sequence[str], called: set[str], headed: set[str]) -> dict[int, int]:
    """Word of the question → the word of a collection's name that it is, or stands for."""
    singles = [_singular(word) for word in telling]
    stems = [stem(word) for word in singles]
    hits: dict[int, int] = {}
    for index, word in enumerate(asked.words):
        if word in STOP:
            continue
        one = _singular(word)
        root = stem(one)
        for place, other in enumerate(stems):
            same = root == other and (one == singles[place] or one not in called)
            meant = related(word, telling[place]) or related(one, singles[place])
            if same or (meant and word not in headed and one not in NEVER_MEANT):
                hits[index] = place
                break
    return hits


def _parted(name: list[str], titles: Sequence[Sequence[str]]) -> list[str]:
    """The words of a name, those that begin with another collection's name in two: "countrylanguage"."""
    parted: list[str] = []
    for word in name:
        begins = [
            other[0]
            for other in titles
            if len(other) == 1 and len(other[0]) >= PART_CHARACTERS_MIN and word.startswith(other[0])
        ]
        first = max((other for other in begins if len(word) - len(other) >= PART_CHARACTERS_MIN), key=len, default="")
        parted += [first, word[len(first) :]] if first else [word]
    return parted


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


KEY_WORDS = frozenset({"id", "ids", "code", "number", "key", "no"})


def key_column(view: View, table: int, joined: Joined | None) -> int | None:
    """The column that tells a collection's documents apart, one that others refer to first; None where none does."""
    referred = {key for _, key, _ in joined.edges.get(table, ())} if joined is not None else set()
    best: tuple[float, int] | None = None
    for number in view.of_table(table):
        column = view.columns[number]
        if column.distinct_share < 1.0 or not column.cells:
            continue
        named = bool(column.words) and column.words[-1] in KEY_WORDS
        score = 2.0 * (number in referred) + named + 0.5 * (column.place == 0)
        if score >= 1.0 and (best is None or score > best[0]):
            best = (score, number)
    return None if best is None else best[1]
