"""The thread that owns a device: it loads segments, joins the searches that wait into batches, and gives up with grace.

Nothing waits for the device that the processor can do: a segment is searched there until it has arrived, when more
searches wait than the device should be kept busy with, and for good when the device fails.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from engine.arrays import Vectors
from engine.vector.allowed import Allowed
from engine.vector.device.backend import (
    Backend,
    DeviceBrokenError,
    DeviceFullError,
    Nearest,
    Resident,
)
from engine.vector.device.choice import lists_are_cheaper
from engine.vector.device.source import source_of
from engine.vector.device.training import Card
from engine.vector.parameters import SearchParameters
from engine.vector.sealed import Answer, SealedVectors

log = logging.getLogger(__name__)

BYTES_MIN = 4 * 1024 * 1024  # of vectors: fewer are compared with on the processor in less time than it takes to ask
BATCH_QUERIES = 1_024
WAITING_MAX = 4_096  # searches; the processor answers what comes on top
WAIT_SECONDS_MAX = 30.0
CENTROIDS_SECONDS_MAX = 600.0


@dataclass(slots=True, eq=False)
class _Job:
    """One search that waits; `done` is set when `found` is there, or will not come."""

    index: SealedVectors
    resident: Resident
    queries: Vectors
    k: int
    allowed: Allowed | None
    nprobe: int | None
    done: threading.Event = field(default_factory=threading.Event)
    found: Nearest | None = None

    def joins(self, other: _Job) -> bool:
        """Whether both can be one batch."""
        same = self.resident is other.resident and self.allowed is other.allowed
        return same and self.nprobe == other.nprobe


@dataclass(slots=True, eq=False)
class _Training:
    """k-means that waits."""

    sample: Vectors
    count: int
    rounds: int
    done: threading.Event = field(default_factory=threading.Event)
    found: Vectors | None = None


class SearchDevice:
    """Searches segments on a device, as long as it can. Safe for many threads.

    `_wake` guards the tables and queues; the backend belongs to the thread that is started here.

    Args:
        find: makes the backend, or says that there is none; called in the thread, for torch takes seconds to import.
        bytes_min: of the vectors of a segment; smaller ones are left to the processor.
    """

    def __init__(self, find: Callable[[], Backend | None], *, bytes_min: int = BYTES_MIN) -> None:
        self.name = "cuda"
        self._find = find
        self._backend: Backend
        self._bytes_min = bytes_min
        self._wake = threading.Condition()
        self._residents: WeakKeyDictionary[SealedVectors, Resident] = WeakKeyDictionary()
        self._used: WeakKeyDictionary[SealedVectors, int] = WeakKeyDictionary()
        self._refused: WeakSet[SealedVectors] = WeakSet()
        self._loads: deque[tuple[SealedVectors, Generator[None, None, Resident]]] = deque()
        self._waiting: deque[_Job] = deque()
        self._trainings: deque[_Training] = deque()
        self._warned = False
        self._usable = True
        self._card: Card | None = None
        self._found = threading.Event()  # or not: set when it is known
        self.batches = self.searches = self.queries = self.trainings = self.fallbacks = 0
        self._thread = threading.Thread(target=self._run, name="lumaai-device", daemon=True)
        self._thread.start()

    def search(
        self, index: SealedVectors, queries: Vectors, k: int, *, allowed: Allowed | None, parameters: SearchParameters
    ) -> Answer | None:
        """As `SealedVectors.search`; None where the processor should."""
        if not self._usable or len(index) * queries.shape[1] * 4 < self._bytes_min:
            return None
        job = self._enqueue(index, queries, k, allowed, parameters)
        if job is None:
            return None
        if not job.done.wait(WAIT_SECONDS_MAX):
            self._give_up(DeviceBrokenError(f"no answer within {WAIT_SECONDS_MAX:.0f} s"))
        return None if job.found is None else _answer(job.found, index, queries, k, allowed)

    def centroids(self, sample: Vectors, count: int, rounds: int) -> Vectors | None:
        """k-means: (count, dim) centroids of (n, dim) vectors; None where the processor should."""
        training = _Training(sample, count, rounds)
        with self._wake:
            if not self._usable:
                return None
            self._trainings.append(training)
            self._wake.notify()
        training.done.wait(CENTROIDS_SECONDS_MAX)
        return training.found

    def card(self) -> Card | None:
        """What it is called and how much it holds; None where it cannot be used, or does not know."""
        self._found.wait(WAIT_SECONDS_MAX)
        return self._card if self._usable else None

    def load(self, index: SealedVectors, timeout_seconds: float = 600.0) -> bool:
        """Have a segment loaded, and wait for it; whether it is there."""
        with self._wake:
            self._want(index)
            self._wake.wait_for(lambda: not self._usable or not self._is_loading(index), timeout_seconds)
            return index in self._residents

    def stats(self) -> dict[str, Any]:
        """What lies on the device and what it has done."""
        with self._wake:
            residents = list(self._residents.values())
            return {
                "device": self.name,
                "usable": self._usable,
                "segments": len(residents),
                "bytes": sum(resident.bytes for resident in residents),
                "searches": self.searches,
                "batches": self.batches,
                "queries": self.queries,
                "trainings": self.trainings,
                "fallbacks": self.fallbacks,
            }

    def close(self) -> None:
        """Let go of everything; what still waits is left to the processor."""
        self._stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(WAIT_SECONDS_MAX)

    def _enqueue(
        self, index: SealedVectors, queries: Vectors, k: int, allowed: Allowed | None, parameters: SearchParameters
    ) -> _Job | None:
        with self._wake:
            resident = self._residents.get(index)
            if resident is None:
                self._want(index)
                return None
            if len(self._waiting) >= WAITING_MAX or not self._usable:
                return None
            nprobe = _nprobe(index, resident, len(queries), allowed, parameters)
            job = _Job(index, resident, queries, k, allowed, nprobe)
            self._waiting.append(job)
            self._wake.notify_all()
            return job

    def _want(self, index: SealedVectors) -> None:
        """Have it loaded, unless that is under way or has been found impossible."""
        if self._usable and index not in self._residents and index not in self._refused and not self._is_loading(index):
            self._loads.append((index, self._steps(index)))
            self._wake.notify_all()

    def _steps(self, index: SealedVectors) -> Generator[None, None, Resident]:
        """Loading, all of which is done by the thread."""
        return (yield from self._backend.load(source_of(index)))

    def _is_loading(self, index: SealedVectors) -> bool:
        return any(each is index for each, _ in self._loads)

    def _run(self) -> None:
        """Answer what waits; between, load a piece."""
        try:
            found = self._find()
            size = None if found is None else found.memory_bytes()
        except Exception as error:  # noqa: BLE001  (torch's libraries may not load)
            self._give_up(error)
            return
        if found is None:
            self._stop()
            return
        self._backend, self.name = found, found.name
        self._card = None if size is None else Card(found.name, size)
        self._found.set()
        while self._usable:
            with self._wake:
                self._wake.wait_for(lambda: not self._usable or self._waiting or self._trainings or self._loads)
                batch = self._take_batch()
                training = self._trainings.popleft() if self._trainings and not batch else None
                loading = self._loads[0] if self._loads else None
            try:
                if batch:
                    self._search_batch(batch)
                if training is not None:
                    self._train(training)
                if loading is not None:
                    self._load_step(*loading)
            except DeviceBrokenError as error:
                self._give_up(error)
            except Exception as error:  # noqa: BLE001  (whatever it is, the processor can go on)
                self._give_up(DeviceBrokenError(f"{type(error).__name__}: {error}"))
            finally:
                for each in (*batch, *([training] if training else ())):
                    each.done.set()
            del batch, training, loading  # and with them the segments that they hold

    def _take_batch(self) -> list[_Job]:
        """The job that has waited longest, and others that can be answered with it."""
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        batch, rest, count = [first], deque[_Job](), len(first.queries)
        for job in self._waiting:
            if job.joins(first) and count + len(job.queries) <= BATCH_QUERIES:
                batch.append(job)
                count += len(job.queries)
            else:
                rest.append(job)
        self._waiting = rest
        return batch

    def _search_batch(self, batch: list[_Job]) -> None:
        first, k = batch[0], max(job.k for job in batch)
        queries = first.queries if len(batch) == 1 else np.concatenate([job.queries for job in batch])
        try:
            found = self._patiently(first, queries, k)
        except DeviceFullError as error:
            self._fall_back(error, first.index)
            return
        self.batches += 1
        self.searches += len(batch)
        self.queries += len(queries)
        self._used[first.index] = self.batches
        if found is None:
            return
        begin = 0
        for job in batch:
            rows = slice(begin, begin + len(job.queries))
            how = found.how if len(batch) == 1 else f"{found.how}, batch of {len(queries)}"
            job.found = Nearest(found.scores[rows, : job.k], found.rows[rows, : job.k], found.sure[rows], how)
            begin += len(job.queries)

    def _patiently(self, job: _Job, queries: Vectors, k: int) -> Nearest | None:
        """Search; where the memory is full, with less else there, and then with less at a time.

        Raises:
            DeviceFullError: even so.
        """
        while True:
            try:
                return job.resident.search(queries, k, job.allowed, job.nprobe)
            except DeviceFullError:
                if not (self._evict(job.index) or self._narrower()):
                    raise

    def _load_step(self, index: SealedVectors, steps: Generator[None, None, Resident]) -> None:
        try:
            next(steps)
            return
        except StopIteration as finished:
            with self._wake:
                self._residents[index] = finished.value
                self._used[index] = self.batches
                self._loads.popleft()
                self._wake.notify_all()
            return
        except DeviceFullError as error:
            full = error
        steps.close()
        evicted = self._evict(index)
        with self._wake:
            self._loads.popleft()
            if evicted:
                self._loads.appendleft((index, self._steps(index)))
        if not evicted:
            self._fall_back(full, index)

    def _train(self, training: _Training) -> None:
        try:
            training.found = self._backend.centroids(training.sample, training.count, training.rounds)
            self.trainings += 1
        except DeviceFullError as error:
            self._fall_back(error, None)

    def _evict(self, but: SealedVectors) -> bool:
        """Forget the segment that has not been searched for longest; whether there was another."""
        with self._wake:
            others = [index for index in self._residents if index is not but]
            if not others:
                return False
            oldest = min(others, key=lambda index: self._used.get(index, 0))
            del self._residents[oldest]
            self._refused.add(oldest)  # not both, in turn
        del others, oldest
        return True

    def _narrower(self) -> bool:
        narrower = getattr(self._backend, "narrower", None)
        return bool(narrower is not None and narrower())

    def _fall_back(self, error: Exception, index: SealedVectors | None) -> None:
        """From now on without this segment."""
        with self._wake:
            self.fallbacks += 1
            if index is not None:
                self._residents.pop(index, None)
                self._refused.add(index)
            self._wake.notify_all()
        self._warn(error)

    def _give_up(self, error: Exception) -> None:
        """From now on without the device."""
        with self._wake:
            self.fallbacks += 1
        self._warn(error)
        self._stop()

    def _stop(self) -> None:
        with self._wake:
            self._usable = False
            waiting = [job.done for job in self._waiting] + [training.done for training in self._trainings]
            self._waiting.clear()
            self._trainings.clear()
            self._loads.clear()
            self._residents.clear()
            self._wake.notify_all()
        self._found.set()
        for done in waiting:
            done.set()

    def _warn(self, error: Exception) -> None:
        """Once, however often it happens."""
        if not self._warned:
            self._warned = True
            log.warning("device.fallback", extra={"device": self.name, "reason": str(error)})


def _nprobe(
    index: SealedVectors, resident: Resident, queries: int, allowed: Allowed | None, parameters: SearchParameters
) -> int | None:
    """Lists to look through; None for comparing with all rows, as under a filter, where lists may hold none."""
    effort = index.effort(parameters)
    if effort is None or allowed is not None or not resident.lists:
        return None
    if parameters.nprobe is not None:
        return parameters.nprobe
    dim = index.exact.dim
    return effort.nprobe if lists_are_cheaper(queries, len(index), dim, effort.nprobe, resident.lists) else None


def _answer(found: Nearest, index: SealedVectors, queries: Vectors, k: int, allowed: Allowed | None) -> Answer:
    """What was found; exactly by the processor, where it is not sure."""
    if found.sure.all():
        return Answer(found.scores, found.rows, found.how)
    scores, rows = found.scores.copy(), found.rows.copy()
    unsure = ~found.sure
    again = np.ascontiguousarray(queries[unsure])
    scores[unsure], rows[unsure] = index.exact.search(again, k, allowed=allowed, threads=1)
    return Answer(scores, rows, f"{found.how}, then exact on the processor")
