"""How to search one index under a filter: the nearest and then the filter, lists with allowed rows, or all of them.

Comparing exactly with every allowed row costs the same whatever the filter, and is right. A graph is asked, without
the filter, for so many rows that enough of them should be allowed; of inverted lists, so many are searched that enough
allowed rows are looked at. Which is cheapest follows from the exact number of allowed rows, from what a comparison
costs on this machine (`costs`), and from what the index's own searches were measured to cost (`calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.vector.calibration import Level

FETCH_MARGIN = 1.5  # more is asked for than should be needed: filters are not spread evenly
EF_A_FETCH = 1.5  # candidates that a graph keeps for a row asked for: the last ones it returns are the least certain


class Way(StrEnum):
    """How one search is done."""

    EXACT = "exact"
    NEAREST = "nearest, then the filter"
    LISTS = "lists under the filter"


@dataclass(frozen=True, slots=True)
class Costs:
    """In microseconds of one processor.

    Attributes:
        comparison: with one row.
        candidate: of a graph, for each candidate it keeps.
        all_lists: a search of all lists.
    """

    comparison: float
    candidate: float = 0.0
    all_lists: float = 0.0

    def exact(self, allowed: int) -> float:
        """Comparing with every allowed row."""
        return self.comparison * allowed

    def graph(self, ef_search: int) -> float:
        """Walking a graph."""
        return self.candidate * ef_search


def rows_to_fetch(k: int, share: float) -> int:
    """How many rows to ask for so that k of them should be allowed."""
    return math.ceil(FETCH_MARGIN * k / share)


def choose_for_graph(k: int, allowed: int, rows: int, ef_search: int, costs: Costs) -> Way:
    """Whether to walk the graph for rows of which a share is allowed."""
    needed = max(ef_search, EF_A_FETCH * rows_to_fetch(k, allowed / rows))
    return Way.NEAREST if costs.graph(int(needed)) < costs.exact(allowed) else Way.EXACT


def choose_for_lists(allowed: int, costs: Costs) -> Way:
    """Whether to look through lists: at worst all of them, which the filter may make necessary."""
    return Way.LISTS if costs.all_lists < costs.exact(allowed) else Way.EXACT


def cost_a_candidate(levels: Sequence[Level]) -> float:
    """Microseconds for each candidate that a graph keeps."""
    return max((level.microseconds / level.effort.ef_search for level in levels), default=1.0)
