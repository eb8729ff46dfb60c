"""Runs in the environment that has VectorDBBench: its own runners drive our client over local data.

`python -m benchmarks.vectordbbench.runner ADDRESS FOLDER` prints one line of JSON for each setting. Its command line
would fetch data sets from the network, and keeps a list of the clients it knows; the runners are what it measures with.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from vectordb_bench.backend.clients.api import MetricType
from vectordb_bench.backend.filter import IntFilter
from vectordb_bench.backend.runner.mp_runner import MultiProcessingSearchRunner
from vectordb_bench.backend.runner.serial_runner import SerialSearchRunner

from benchmarks.vectordbbench.client import LumaClient
from benchmarks.vectordbbench.config import LumaConfig, LumaIndexConfig

K = 10
INSERTED_AT_A_TIME = 1_000
CONCURRENCIES = (1, 4)
SECONDS = 8
SETTINGS: tuple[dict[str, Any], ...] = (
    {"ef_search": 10}, {"ef_search": 20}, {"ef_search": 40}, {"ef_search": 80}, {"ef_search": 160}
)  # fmt: skip
INDEX: dict[str, Any] = {"index": "hnsw", "m": 16, "ef_construction": 200}
METRICS = {"euclidean": MetricType.L2, "angular": MetricType.COSINE}


def main(address: str, folder: Path) -> None:
    """Load once, then search at every setting, and under filters."""
    base, queries, near = (np.load(folder / f"{name}.npy") for name in ("base", "queries", "neighbors"))
    metric = METRICS[(folder / "metric").read_text()]
    config, made = LumaConfig(uri=address).to_dict(), {"metric_type": metric, **INDEX}
    client = LumaClient(base.shape[1], config, LumaIndexConfig(**made), drop_old=True)
    for row in (_loaded(client, base), *_curve(config, made, base.shape[1], queries, near)):
        print(json.dumps(row), flush=True)
    for share in (0.01, 0.99):
        print(json.dumps(_filtered(client, base, queries, share, metric)), flush=True)


def _loaded(client: LumaClient, base: Any) -> dict[str, Any]:
    started = time.perf_counter()
    with client.init():
        for begin in range(0, len(base), INSERTED_AT_A_TIME):
            numbers = list(range(begin, min(begin + INSERTED_AT_A_TIME, len(base))))
            count, error = client.insert_embeddings(base[begin : begin + INSERTED_AT_A_TIME].tolist(), numbers)
            if error is not None or count != len(numbers):
                raise RuntimeError(f"insert stopped: expected={len(numbers)} got={count}: {error}")
        inserted = time.perf_counter() - started
        client.optimize(len(base))
    return {"what": "load", "insert_seconds": inserted, "load_seconds": time.perf_counter() - started}


def _curve(config: dict[str, Any], made: dict[str, Any], dim: int, queries: Any, near: Any) -> Iterator[dict[str, Any]]:
    for setting in SETTINGS:
        client = LumaClient(dim, config, LumaIndexConfig(**made, **setting))
        recall, ndcg, p99, p95, p50, _ = SerialSearchRunner(client, list(queries), near.tolist(), k=K).search(
            (queries.tolist(), near.tolist())
        )
        rates = {}
        for count in CONCURRENCIES:
            runner = MultiProcessingSearchRunner(client, queries.tolist(), k=K, concurrencies=[count], duration=SECONDS)
            rates[str(count)] = runner.run()[0]
        figures = {"recall": recall, "ndcg": ndcg, "p99": p99, "p95": p95, "p50": p50, "rates": rates}
        yield {"what": "search", "setting": setting, **figures}


def _filtered(client: LumaClient, base: Any, queries: Any, share: float, metric: MetricType) -> dict[str, Any]:
    """Its filter: the last rows by number; `share` of all are left out."""
    first = int(share * len(base))
    rest = base[first:]
    few = queries[:200]
    if metric == MetricType.COSINE:
        scores = few @ (rest / np.linalg.norm(rest, axis=1, keepdims=True)).T
    else:
        scores = 2 * few @ rest.T - (rest * rest).sum(1)
    near = np.argsort(-scores, axis=1)[:, :K] + first
    filters = IntFilter(filter_rate=share, int_value=first)
    runner = SerialSearchRunner(client, list(few), near.tolist(), k=K, filters=filters)
    recall, _, p99, _, p50, _ = runner.search((few.tolist(), near.tolist()))
    return {"what": "filter", "left_out": share, "recall": recall, "p99": p99, "p50": p50}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main(sys.argv[1], Path(sys.argv[2]))
