"""ONNX Runtime sessions over cached graphs, on CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from models.embedders.graph_cache import cached_graph
from models.errors import ModelError

MAX_DEFAULT_THREADS = 16

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def default_threads() -> int:
    """Cores that this process may use, at most 16: beyond that one text gains nothing."""
    return min(len(os.sched_getaffinity(0)), MAX_DEFAULT_THREADS)


def load_session(path: Path, build: Callable[[], bytes], threads: int) -> ort.InferenceSession:
    """A session over the graph in `path`, which `build` makes where it is absent or damaged, or does not load.

    Raises:
        ModelError: the cache directory cannot be used, or ONNX Runtime does not load what was built.
    """
    graph = cached_graph(path, build)
    try:
        return open_session(graph, threads)
    except LOAD_ERRORS:
        graph = cached_graph(path, build, rebuild=True)
    try:
        return open_session(graph, threads)
    except LOAD_ERRORS as error:
        raise ModelError(f"model graph does not load: file={path} reason={error}", file=str(path)) from error


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A session over a graph as it is; raises `LOAD_ERRORS` where it does not load."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads sleep instead of spinning: a query takes 3.6 ms instead of 2.7 ms (2 cores), and the cores
    # are free for the rest of the service between queries.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Batches have many shapes; the arena keeps the largest of each for ever and was no faster.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return ort.InferenceSession(
        str(path),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion"],  # would undo what the builder chose by measurement
    )
