"""Which of several expensive filters over the same rows runs first."""

from __future__ import annotations

from collections.abc import Sequence


def order_filters(costs: Sequence[float], selectivities: Sequence[float]) -> list[int]:
    """The places of filters in the order that costs least on average: by ascending cost / (1 − selectivity).

    Hellerstein and Stonebraker, "Predicate migration", SIGMOD 1993: a filter should be cheap, and let little through.
    It is the best order where filters are independent of each other.

    Args:
        costs: of judging one row, in any unit, each at least 0.
        selectivities: the share of rows that each lets through, 0 to 1; one that lets all through comes last.
    """
    ranks = [
        (cost / (1 - share) if share < 1 else float("inf"), cost)
        for cost, share in zip(costs, selectivities, strict=True)
    ]
    return sorted(range(len(ranks)), key=ranks.__getitem__)
