"""Retrieval quality: the metrics of `lumaai bench quality`."""

from __future__ import annotations

from lumaai.quality.metrics import Grades, mean_over_queries, ndcg, recall, reciprocal_rank

__all__ = ["Grades", "mean_over_queries", "ndcg", "recall", "reciprocal_rank"]
