"""Retrieval quality on judged queries: how good keyword, semantic, hybrid and reranked searches are on a set."""

from __future__ import annotations

from lumaai.quality.evaluation import SYSTEMS, FolderQuality, SystemQuality, evaluate
from lumaai.quality.folders import JudgedFolder, read_folder
from lumaai.quality.metrics import mean_over_queries, ndcg, recall, reciprocal_rank

__all__ = [
    "SYSTEMS",
    "FolderQuality",
    "JudgedFolder",
    "SystemQuality",
    "evaluate",
    "mean_over_queries",
    "ndcg",
    "read_folder",
    "recall",
    "reciprocal_rank",
]
