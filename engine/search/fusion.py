"""One ranking out of several.

| method     | score of a document: the sum over the rankings that have it, times their weights, of |
|------------|--------------------------------------------------------------------------------------|
| `rrf`      | 1 / (rank_constant + rank), ranks from 1                                             |
| `weighted` | its score on a scale where the ranking's best is 1 and its worst is 0                |
| `dbsf`     | its score on a scale where the ranking's mean ± 3 standard deviations are 1 and 0    |

RRF: Cormack, Clarke and Büttcher, SIGIR 2009, https://doi.org/10.1145/1571941.1572114. Weighted: the convex combination
of Bruch, Gai and Ingber, TOIS 2023, https://doi.org/10.1145/3596512. Distribution-based: Mazzeschi 2023, as in Qdrant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.search.ranking import NOTHING, Ranking, ordered
from engine.search.request import Fusion, FusionMethod

Shares = npt.NDArray[np.float64]  # (n,) what one ranking adds to the score of each of its documents

DEVIATIONS = 3.0
DIGITS = 12  # of scores: sums that are equal but for rounding are ties, in the order of ordinals


def fuse(rankings: Sequence[Ranking], fusion: Fusion) -> Ranking:
    """One ranking of all documents in `rankings`: best first, equal scores by ordinal.

    A ranking that is empty, or whose weight is 0, changes nothing in the order of the others.
    """
    weights = fusion.weights or (1.0,) * len(rankings)
    counted = [(each, weight) for each, weight in zip(rankings, weights, strict=True) if weight and len(each)]
    whole = all(each.whole for each, weight in zip(rankings, weights, strict=True) if weight)
    if not counted:
        return Ranking(NOTHING.ordinals, NOTHING.scores, [], whole)
    if len(counted) == 1:  # in its own order, though scaling may make unequal scores equal
        ((alone, weight),) = counted
        return Ranking(alone.ordinals, weight * _shares(alone, fusion), alone.passages, whole)
    ordinals = np.concatenate([each.ordinals for each, _ in counted])
    shares = np.concatenate([weight * _shares(each, fusion) for each, weight in counted])
    distinct, first, places = np.unique(ordinals, return_index=True, return_inverse=True)
    scores = np.bincount(places, weights=shares, minlength=len(distinct)).round(DIGITS)
    order = ordered(distinct, scores)
    return Ranking(distinct[order], scores[order], _passages(counted, places, first, order), whole)


def _shares(ranking: Ranking, fusion: Fusion) -> Shares:
    match fusion.method:
        case FusionMethod.RRF:
            return 1.0 / (fusion.rank_constant + np.arange(1.0, len(ranking) + 1))
        case FusionMethod.WEIGHTED:
            return scaled_by_range(ranking.scores)
        case FusionMethod.DBSF:
            return scaled_by_distribution(ranking.scores)


def scaled_by_range(scores: npt.NDArray[Any]) -> Shares:
    """(n,) from 1 (the best) to 0 (the worst); all 1 where they are equal."""
    values = scores.astype(np.float64)
    least, most = float(values.min()), float(values.max())
    if least == most:
        return np.ones(len(values))
    return np.asarray((values - least) / (most - least))


def scaled_by_distribution(scores: npt.NDArray[Any]) -> Shares:
    """(n,), mean plus and minus 3 standard deviations of the sample at 1 and 0; all 0.5 where they are equal."""
    values = scores.astype(np.float64)
    if len(values) < 2 or values[0] == values[-1]:  # best first
        return np.full(len(values), 0.5)
    values -= values.sum() / len(values)
    deviation = math.sqrt(float(values @ values) / (len(values) - 1))
    if deviation == 0:
        return np.full(len(values), 0.5)
    return values / (2 * DEVIATIONS * deviation) + 0.5


def _passages(counted: Sequence[tuple[Ranking, float]], places: Any, first: Any, order: Any) -> list[Any]:
    """For each document in order the passage of the first ranking that has one."""
    every = [passage for ranking, _ in counted for passage in ranking.passages]
    if every.count(None) == len(every):
        return [None] * len(order)
    chosen = [every[place] for place in first.tolist()]
    for place, passage in zip(places.tolist(), every, strict=True):
        if chosen[place] is None:
            chosen[place] = passage
    return [chosen[place] for place in order.tolist()]
