"""benchmarks.ann_benchmarks: the module does what ann-benchmarks asks of one, with each of its configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.ann_benchmarks.driver import GROUPS, RawGraph, recall_of
from benchmarks.ann_benchmarks.module import LumaDB
from benchmarks.data import clustered
from benchmarks.plots import Curve, Point, plot_curves

VECTORS, QUERIES, K = clustered(2_000, 24), clustered(20, 24, seed=1), 10
CONFIG = Path(__file__).parent.parent.parent / "benchmarks" / "ann_benchmarks" / "config.yml"


def nearest(metric: str) -> Any:
    vectors = VECTORS * 3 + 1
    if metric == "angular":
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.argsort(-(QUERIES @ unit.T), axis=1)[:, :K]
    return np.argsort(((QUERIES[:, None] - vectors[None]) ** 2).sum(2), axis=1)[:, :K]


@pytest.mark.parametrize("metric", ["angular", "euclidean"])
def test_the_protocol(metric: str) -> None:
    """fit, set_query_arguments, query and batch_query give numbers of rows; exact search gives the nearest."""
    algorithm = LumaDB(metric, {"index": "hnsw", "m": 8})
    algorithm.fit(VECTORS * 3 + 1)
    algorithm.set_query_arguments({"exact": True})

    found = [algorithm.query(query, K) for query in QUERIES]
    algorithm.batch_query(QUERIES, K)

    assert recall_of(found, nearest(metric)) == 1.0
    assert recall_of(algorithm.get_batch_results(), nearest(metric)) == 1.0
    assert str(algorithm) == "LumaDB(index=hnsw m=8 exact=True)"
    assert algorithm.get_memory_usage() > VECTORS.nbytes / 1024
    directory = Path(algorithm._directory)
    algorithm.done()
    assert not directory.exists()


def test_every_configuration_can_be_run() -> None:
    """Whatever config.yml combines is accepted, and finds something near."""
    definition = yaml.safe_load(CONFIG.read_text())["float"]["any"][0]

    assert definition["constructor"] == "LumaDB"
    for group in definition["run_groups"].values():
        for parameters in group["args"][0]:
            algorithm = LumaDB("euclidean", {**parameters, "ef_construction": 40} if "m" in parameters else parameters)
            algorithm.fit(VECTORS * 3 + 1)
            for arguments in group["query_args"][0]:
                algorithm.set_query_arguments(arguments)
                assert recall_of([algorithm.query(query, K) for query in QUERIES], nearest("euclidean")) > 0.2
            algorithm.done()


def test_the_driver_asks_what_the_configuration_says() -> None:
    """The driver's groups are those of config.yml, but for the larger graph."""
    groups = yaml.safe_load(CONFIG.read_text())["float"]["any"][0]["run_groups"]

    expected = {(str(group["args"][0][0]), str(group["query_args"][0])) for group in groups.values()}
    assert {(str(parameters), str(list(arguments))) for _, parameters, arguments in GROUPS} == expected


@pytest.mark.parametrize("metric", ["angular", "euclidean"])
def test_the_reference_is_asked_the_same(metric: str) -> None:
    """Raw FAISS finds the nearest too, so the curves can be compared."""
    reference = RawGraph(metric)
    reference.fit(VECTORS * 3 + 1)
    reference.set_query_arguments({"ef_search": 400})

    assert recall_of([reference.query(query, K) for query in QUERIES], nearest(metric)) > 0.99


def test_recall_counts_the_true_ones() -> None:
    """Two of four, and all of four: three quarters."""
    assert recall_of([[1, 2, 9, 8], [4, 3, 2, 1]], [[1, 2, 3, 4], [1, 2, 3, 4]]) == 0.75


def test_curves_become_a_picture(tmp_path: Path) -> None:
    """A PNG of some size."""
    pytest.importorskip("matplotlib")
    kept = plot_curves(tmp_path / "a" / "curve.png", "title", [Curve("ours", [Point(0.9, 100.0), Point(0.99, 10.0)])])

    assert kept.read_bytes().startswith(b"\x89PNG")
