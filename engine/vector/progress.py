"""How far a build has come: who builds is watched in its thread, so that no kind need be handed anybody to tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_thread = threading.local()


class Job:
    """Something that is being built. Written by one thread, read by any.

    Attributes:
        kind: seal or merge.
        documents: that go into it.
        stage: what it is at: gathering, centroids, rows, calibration or files.
        share: of that stage, from 0 to 1.
    """

    def __init__(self, kind: str, documents: int) -> None:
        self.kind = kind
        self.documents = documents
        self.stage = "gathering"
        self.share = 0.0
        self._started = time.monotonic()

    def describe(self) -> dict[str, Any]:
        """As of now."""
        seconds = round(time.monotonic() - self._started, 3)
        share = round(self.share, 3)
        return {
            "kind": self.kind, "documents": self.documents, "stage": self.stage, "share": share, "seconds": seconds,
        }  # fmt: skip


class Jobs:
    """What runs. Safe for many threads: `_lock` guards the list."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Job] = []

    @contextmanager
    def run(self, kind: str, documents: int) -> Generator[Job, None, None]:
        """A job of this thread, for as long as this lasts."""
        job, before = Job(kind, documents), getattr(_thread, "job", None)
        with self._lock:
            self._running.append(job)
        _thread.job = job
        try:
            yield job
        finally:
            _thread.job = before
            with self._lock:
                self._running.remove(job)

    def describe(self) -> list[dict[str, Any]]:
        """All that runs, the oldest first."""
        with self._lock:
            return [job.describe() for job in self._running]


def report(stage: str, share: float) -> None:
    """Tell whoever watches this thread what it is at."""
    job: Job | None = getattr(_thread, "job", None)
    if job is not None:
        job.stage, job.share = stage, share
