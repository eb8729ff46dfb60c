"""Expected values are worked out by hand; 1 / log2(3) = 0.630930, 1 / log2(4) = 0.5."""

from __future__ import annotations

import pytest

from lumaai.quality import mean_over_queries, ndcg, recall, reciprocal_rank

GRADES = {"a": 2, "b": 1, "z": 0}


def test_best_ranking_has_ndcg_one() -> None:
    """The documents in order of their grades give 1."""
    assert ndcg(["a", "b", "x"], GRADES) == pytest.approx(1.0)


def test_ndcg_discounts_by_rank() -> None:
    """b, x, a: (1/1 + 2 · 0.5) ÷ (2/1 + 1 · 0.630930) = 2 ÷ 2.630930."""
    assert ndcg(["b", "x", "a"], GRADES) == pytest.approx(2 / 2.630930, abs=1e-6)


def test_ndcg_ignores_what_is_beyond_k() -> None:
    """With k = 1 only the first counts: 1 ÷ 2."""
    assert ndcg(["b", "a"], GRADES, k=1) == pytest.approx(0.5)


def test_ndcg_without_relevant_documents_is_zero() -> None:
    """Nothing to find is 0, not an error."""
    assert ndcg(["a"], {"a": 0}) == 0.0


def test_recall_counts_relevant_documents_among_the_first_k() -> None:
    """One of two relevant ones is among the first two; grade 0 is not relevant."""
    assert recall(["z", "a", "b"], GRADES, k=2) == pytest.approx(0.5)


def test_reciprocal_rank_is_that_of_the_first_relevant_document() -> None:
    """The first relevant document is third."""
    assert reciprocal_rank(["x", "z", "b", "a"], GRADES) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x", "y"], GRADES) == 0.0


def test_mean_counts_queries_without_a_ranking_as_empty() -> None:
    """One query found at rank 2, one not ranked: (0.5 + 0) ÷ 2."""
    judgements = {"q1": {"a": 1}, "q2": {"a": 1}}
    assert mean_over_queries(reciprocal_rank, {"q1": ["x", "a"]}, judgements) == pytest.approx(0.25)


def test_mean_over_no_queries_is_an_error() -> None:
    """There is no mean of nothing."""
    with pytest.raises(ValueError, match="no query is judged"):
        mean_over_queries(ndcg, {}, {})
