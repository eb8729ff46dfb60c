"""VectorDBBench's figures of ours: its runners in an environment of their own, the service in ours."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann_benchmarks.driver import Dataset, K, datasets
from benchmarks.environments import EnvironmentFailedError, environment_python
from benchmarks.plots import Curve, Point, plot_curves
from benchmarks.report import RESULTS, Report
from benchmarks.service import served
from benchmarks.timing import load_average

REQUIREMENTS = (
    "vectordb-bench==2.0.0",
    "faiss-cpu==1.15.1",  # from here on what our client imports
    "httptools==0.9.0",
    "msgspec==0.22.0",
    "pathspec==1.1.1",
    "pyroaring==1.2.0",
    "sqlglot==30.30.0",
    "tantivy==0.27.0",
)
SMALL_ROWS, SMALL_QUERIES, SMALL_DIM = 5_000, 200, 64
ROOT = Path(__file__).parent.parent.parent


def run(report: Report) -> None:
    """Each data set that is there."""
    try:
        python = environment_python("vectordbbench", REQUIREMENTS)
    except EnvironmentFailedError as error:
        report.add("VectorDBBench", "not measured", str(error))
        return
    for dataset in datasets():
        rows = _driven(python, dataset)
        for row in rows:
            _add(report, dataset, row)
        searches = [row for row in rows if row["what"] == "search"]
        curves = [
            Curve(f"hnsw over HTTP, {count} at a time", [Point(row["recall"], row["rates"][count]) for row in searches])
            for count in searches[0]["rates"]
        ]
        kept = plot_curves(RESULTS / f"vectordbbench-{dataset.name}.png", f"VectorDBBench, {dataset.name}", curves)
        report.add(f"{dataset.name}, recall and QPS", f"[picture]({kept.name})")


def run_small(report: Report) -> None:
    """A data set that is made here: whether its runners and our client work together, in about two minutes."""
    try:
        python = environment_python("vectordbbench", REQUIREMENTS)
    except EnvironmentFailedError as error:
        report.add("VectorDBBench", "not measured", str(error))
        return
    dataset = _small()
    for row in _driven(python, dataset):
        _add(report, dataset, row)


def _small() -> Dataset:
    """Clustered vectors of unit length, with their exact neighbours."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(50, SMALL_DIM))
    rows = centres[random.integers(0, 50, SMALL_ROWS + SMALL_QUERIES)]
    rows = rows + 0.5 * random.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    base, queries = rows[:SMALL_ROWS].astype(np.float32), rows[SMALL_ROWS:].astype(np.float32)
    neighbors = np.argsort(-(queries @ base.T), axis=1)[:, :K].astype(np.int32)
    return Dataset("made-64-angular", "angular", base, queries, neighbors)


def _driven(python: Path, dataset: Dataset) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"base": dataset.base, "queries": dataset.queries, "neighbors": dataset.neighbors}
        for name, array in arrays.items():
            np.save(Path(folder) / f"{name}.npy", array)
        (Path(folder) / "metric").write_text(dataset.metric)
        with served(str(Path(folder) / "database")) as (port, _):
            command = [str(python), "-m", "benchmarks.vectordbbench.runner", f"http://127.0.0.1:{port}", folder]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"VectorDBBench stopped: {finished.stderr[-2000:]}")
    return [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]


def _add(report: Report, dataset: Dataset, row: dict[str, Any]) -> None:
    name, load = f"{dataset.name}, {len(dataset.base):,} × {dataset.base.shape[1]}", f"load {load_average()}"
    if row["what"] == "load":
        rate = len(dataset.base) / row["insert_seconds"]
        report.add(f"{name}: insert over HTTP", f"{rate:,.0f}/s", f"load duration {row['load_seconds']:.1f} s; {load}")
        return
    latency = f"p50 {1000 * row['p50']:.1f} ms, p99 {1000 * row['p99']:.1f} ms"
    if row["what"] == "filter":
        what = f"{name}: filter that leaves {100 * (1 - row['left_out']):.0f} %"
        report.add(what, f"recall@10 {row['recall']:.4f}", f"serial: {latency}; {load}")
        return
    setting = " ".join(f"{key} {value}" for key, value in row["setting"].items())
    rates = ", ".join(f"{rate:,.0f} QPS with {count}" for count, rate in row["rates"].items())
    report.add(f"{name}: hnsw {setting}", f"recall@10 {row['recall']:.4f}, {rates}", f"serial: {latency}; {load}")
