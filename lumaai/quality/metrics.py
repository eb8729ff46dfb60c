"""Retrieval quality: nDCG, recall and reciprocal rank of one ranking, and their means.

Definitions as in trec_eval (https://github.com/usnistgov/trec_eval), which BEIR reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

Grades = Mapping[str, int]  # document id -> grade; documents not listed have grade 0


def ndcg(ranking: Sequence[str], grades: Grades, k: int = 10) -> float:
    """Discounted cumulative gain of the first `k`, relative to the best possible; gain = grade, ÷ log2(rank + 1).

    Järvelin and Kekäläinen, TOIS 2002, https://doi.org/10.1145/582415.582418
    """
    ideal = _discounted(sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k])
    return _discounted([max(grades.get(document, 0), 0) for document in ranking[:k]]) / ideal if ideal else 0.0


def recall(ranking: Sequence[str], grades: Grades, k: int = 10) -> float:
    """Share of the relevant documents (grade above 0) among the first `k`."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranking[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], grades: Grades, k: int = 10) -> float:
    """1 ÷ rank of the first relevant document among the first `k`; 0 if there is none."""
    ranks = (rank for rank, document in enumerate(ranking[:k], start=1) if grades.get(document, 0) > 0)
    return 1.0 / next(ranks, math.inf)


def mean_over_queries(
    metric: Callable[[Sequence[str], Grades, int], float],
    rankings: Mapping[str, Sequence[str]],
    judgements: Mapping[str, Grades],
    k: int = 10,
) -> float:
    """Mean of `metric` over every judged query; a query without a ranking counts as an empty one.

    Raises:
        ValueError: nothing is judged.
    """
    if not judgements:
        raise ValueError("no query is judged")
    return sum(metric(rankings.get(query, ()), grades, k) for query, grades in judgements.items()) / len(judgements)


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
