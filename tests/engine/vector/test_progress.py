"""engine.vector.progress: how far a build has come, as others see it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.build import build_vectors
from engine.vector.progress import Jobs, report
from tests.engine.vector.data import clustered


def test_a_build_reports_its_stages_in_order() -> None:
    """Centroids, rows (of codes, then of the exact vectors), calibration; shares grow within each."""
    jobs, seen = Jobs(), []
    spec = VectorField(64, Metric.L2, IndexKind.IVF_PQ, quantization=Quantization.PQ4)
    with jobs.run("merge", 20_000) as job:

        def watch() -> bool:
            seen.append((job.stage, job.share))
            return False

        build_vectors(clustered(20_000, 64), spec, 1, watch)
    stages = [stage for stage, _ in seen]
    assert list(dict.fromkeys(stages)) == ["gathering", "centroids", "rows", "calibration"]
    centroids = [share for stage, share in seen if stage == "centroids"]
    assert centroids == sorted(centroids)
    assert 0 < centroids[-1] < 1
    assert jobs.describe() == []


def test_jobs_of_several_threads_are_told_apart() -> None:
    """Each thread reports to its own, the innermost one; one that fails is gone as well."""
    jobs, inside, leave = Jobs(), threading.Event(), threading.Event()

    def other() -> None:
        with jobs.run("seal", 5):
            report("rows", 0.25)
            inside.set()
            assert leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    with jobs.run("merge", 7):
        report("files", 0.0)
        described = [(job["kind"], job["documents"], job["stage"], job["share"]) for job in jobs.describe()]
        assert described == [("seal", 5, "rows", 0.25), ("merge", 7, "files", 0.0)]
        assert all(job["seconds"] >= 0 for job in jobs.describe())
    leave.set()
    thread.join()
    with pytest.raises(ZeroDivisionError), jobs.run("seal", 1):
        np.array(1 // 0)
    report("rows", 1.0)  # nobody watches
    assert jobs.describe() == []
