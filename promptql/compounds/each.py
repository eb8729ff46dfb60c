"""A figure of each of several things that are named: "how many orders has each of A and B", "price of A and of B"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from promptql.compounds.comparisons import beside
from promptql.compounds.phrases import with_figures
from promptql.compounds.spans import Named, runs

if TYPE_CHECKING:
    from promptql.catalog import FieldInfo
    from promptql.compounds.planning import Asking
    from promptql.planned import Planned

_CUE = re.compile(r"\b(?:each|respectively|every\s+one)\b|(?:\band|,)\s+(?:of|in|for|from|by|at|to)\b", re.IGNORECASE)
_BEFORE = re.compile(r"\b(?:each|every\s+one)\s+of\s+(?:the\s+)?$|\b(?P<both>both)\s+$", re.IGNORECASE)
_AFTER = re.compile(r"^\s*,?\s*(?P<verb>(?:\w+\s+){0,2}?)(?:each|respectively)\b", re.IGNORECASE)
_AGAIN = re.compile(r"^\s*,?\s*(?:and\s+|,\s*)(?P<word>of|in|for|from|by|at|to)\s+(?:the\s+)?$", re.IGNORECASE)


def plan_each(asking: Asking) -> Planned | None:
    """A row for each of the things, also for one of which there is nothing; None where not each is asked for."""
    if not _CUE.search(asking.question):
        return None
    for run in runs(asking):
        listed = any(field.many for field in _fields(asking, run))
        for before, after in _around(asking.question, run, listed=listed):
            questions = [f"{before}{asking.question[item.start : item.end]}{after}" for item in run]
            figures = asking.alike([(with_figures(question), None) for question in questions])
            if figures is not None:
                return beside(asking, run, figures, figures[0].column, ())
    return None


def _fields(asking: Asking, run: Sequence[Named]) -> list[FieldInfo]:
    """The fields that the things are values of."""
    infos = asking.catalog.collections.values()
    return [info.fields[run[0].key] for info in infos if run[0].key in info.fields]


def _around(question: str, run: Sequence[Named], *, listed: bool) -> Iterator[tuple[str, str]]:
    """What is said before and after one of the things, without the words that say that each is meant.

    "In A and in B" may be what has both, where they are `listed` in one field.
    """
    left, right = question[: run[0].start], question[run[-1].end :]
    before, after = _BEFORE.search(left), _AFTER.match(right)
    if before is not None and not before["both"]:
        yield left[: before.start()], right
    if after is not None:
        plain = left if before is None else left[: before.start()]
        yield plain, f" {after['verb'].strip()} {right[after.end() :]}".replace("  ", " ")
    word = re.search(r"\b(\w+)\s+(?:the\s+)?$", left)
    between = [_AGAIN.match(question[one.end : other.start]) for one, other in pairwise(run)]
    again = {match["word"].lower() if match is not None else "" for match in between[-1:]}
    if not listed and word is not None and again == {word[1].lower()}:
        yield left, right
