"""Exact and inverted-list search on a CUDA card, beside what the card's memory and matrix units allow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.data import Array
from benchmarks.report import Report
from engine.schema import Metric
from engine.vector.device.backend import Resident, Source
from engine.vector.device.choice import DeviceChoice, find_backend

DIM, K = 384, 10
ROWS = (1_000_000, 10_000_000)
BATCHES = (1, 64, 1_024)
LISTS = {1_000_000: 1_024, 10_000_000: 4_096}
ROUNDS_OF_KMEANS = 8
ROWS_A_CENTROID = 48
RECALL = 0.95
TRUTH_QUERIES = 256
REPEATS = 15
PIECE_ROWS = 500_000
MATRIX = 8_192  # rows and columns of the product that measures the matrix units
COPY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Card:
    """What was measured of it: bytes a second that memory gives, and half-precision operations a second."""

    name: str
    bandwidth: float
    rate: float

    def least_seconds(self, rows: float, products: float) -> tuple[float, str]:
        """The least time for reading so many half-precision rows and making so many products; and what limits it."""
        memory, matrix = 2 * rows * DIM / self.bandwidth, 2 * products * DIM / self.rate
        return max(memory, matrix), "memory allows" if memory > matrix else "matrix units allow"


def run(report: Report) -> None:
    """On the first card; nothing without one."""
    from engine.vector.device.tensors import TorchBackend

    backend = find_backend(DeviceChoice.AUTO)
    if backend is None:
        report.add("GPU", "not measured", "no CUDA card, or neither FAISS-GPU nor torch")
        return
    torch_backend = TorchBackend("cuda")
    card = _measure_card(torch_backend)
    beside = f"{card.bandwidth / 1e12:.2f} TB/s and {card.rate / 1e12:.0f} TFLOP/s of float16 measured"
    report.add(card.name, backend.name, beside)
    for rows in ROWS:
        measure(report, torch_backend, card, rows, LISTS[rows])


def measure(report: Report, backend: Any, card: Card, rows: int, lists: int) -> None:
    """Exact search and inverted lists over so many vectors."""
    vectors, queries = _vectors(backend, rows)
    plain = _loaded(report, backend, Source(vectors, Metric.COSINE), f"exact, {rows:,} × {DIM}")
    for count in BATCHES:
        elapsed = _search_seconds(backend, plain, queries[:count], None)
        _add(report, card, f"exact, {rows:,} × {DIM}, batch {count}", elapsed, count, (rows, rows * count), "")
    truth = plain.search(queries[:TRUTH_QUERIES], K, None, None)
    assert truth is not None
    assert truth.sure.all()
    del plain
    backend.give_back()
    source = _with_lists(report, backend, vectors, lists)
    listed = _loaded(report, backend, source, f"ivf, {rows:,} × {DIM}, {lists} lists")
    nprobe, recall = _nprobe(listed, queries[:TRUTH_QUERIES], truth.rows)
    for count in BATCHES:
        elapsed = _search_seconds(backend, listed, queries[:count], nprobe)
        what, products = (
            f"ivf, {rows:,} × {DIM}, nprobe {nprobe} of {lists}, batch {count}",
            rows * nprobe / lists * count,
        )
        _add(report, card, what, elapsed, count, (min(rows, products), products), f"recall@10 {recall:.3f}, ")


def _add(
    report: Report, card: Card, what: str, elapsed: float, count: int, work: tuple[float, float], more: str
) -> None:
    least, limit = card.least_seconds(*work)
    figures = f"{more}{1000 * elapsed:.2f} ms, {count / elapsed:,.0f} QPS"
    report.add(what, figures, f"{100 * least / elapsed:.0f} % of what the {limit} ({1000 * least:.3f} ms)")


def _search_seconds(backend: Any, resident: Resident, queries: Array, nprobe: int | None) -> float:
    return _median_seconds(backend, lambda: resident.search(queries, K, None, nprobe))


def _vectors(backend: Any, rows: int) -> tuple[Array, Array]:
    """Unit vectors near a 32-dimensional subspace, made on the device, as `benchmarks.data.clustered` makes them."""
    import torch

    generator = torch.Generator(device=backend.device).manual_seed(0)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator, device=backend.device)

    basis, centers = normal(32, DIM), normal(64, 32)
    found = np.empty((rows + max(BATCHES), DIM), dtype=np.float32)
    for begin in range(0, len(found), PIECE_ROWS):
        count = min(PIECE_ROWS, len(found) - begin)
        chosen = torch.randint(64, (count,), generator=generator, device=backend.device)
        piece = (centers[chosen] + 0.7 * normal(count, 32)) @ basis + 0.3 * normal(count, DIM)
        found[begin : begin + count] = torch.nn.functional.normalize(piece, dim=1).cpu().numpy()
    return found[:rows], found[rows:]


def _loaded(report: Report, backend: Any, source: Source, what: str) -> Resident:
    started = time.perf_counter()
    steps = backend.load(source)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            resident: Resident = finished.value
            elapsed = time.perf_counter() - started
            report.add(f"load, {what}", f"{elapsed:.1f} s", f"{resident.bytes / 2**30:.1f} GiB on the device")
            return resident


def _with_lists(report: Report, backend: Any, vectors: Array, lists: int) -> Source:
    """Centroids by k-means on a sample, and the nearest of each vector, both on the device."""
    import torch

    from engine.vector.device.kmeans import assign

    random = np.random.default_rng(0)
    sample = vectors[np.sort(random.choice(len(vectors), min(len(vectors), ROWS_A_CENTROID * lists), replace=False))]
    started = time.perf_counter()
    centroids = backend.centroids(sample, lists, ROUNDS_OF_KMEANS)
    learnt = time.perf_counter() - started
    there = backend.upload(centroids)
    with torch.inference_mode():
        pieces = [
            assign(backend, backend.upload(vectors[begin : begin + PIECE_ROWS]), there).cpu().numpy()
            for begin in range(0, len(vectors), PIECE_ROWS)
        ]
    assigned = time.perf_counter() - started - learnt
    what = f"k-means, {len(sample):,} × {DIM}, {lists} centroids, {ROUNDS_OF_KMEANS} rounds"
    report.add(what, f"{learnt:.2f} s", f"{len(vectors):,} assigned in {assigned:.2f} s")
    return Source(vectors, Metric.COSINE, centroids, np.concatenate(pieces))


def _nprobe(resident: Resident, queries: Array, truth: Any) -> tuple[int, float]:
    """The fewest lists that reach the recall."""
    for nprobe in _doubling(resident.lists):
        found = resident.search(queries, K, None, nprobe)
        assert found is not None
        pairs = zip(found.rows.tolist(), truth.tolist(), strict=True)
        recall = float(np.mean([len({*rows} & {*near}) / K for rows, near in pairs]))
        if recall >= RECALL:
            return nprobe, recall
    return resident.lists, recall


def _doubling(most: int) -> Iterator[int]:
    count = 1
    while count < most:
        yield count
        count *= 2
    yield most


def _median_seconds(backend: Any, work: Callable[[], object]) -> float:
    """Of one call, answers on the host included."""
    times = []
    for _ in range(REPEATS + 2):
        started = time.perf_counter()
        work()
        _wait_for(backend)
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


def _wait_for(backend: Any) -> None:
    import torch

    if backend.device.type == "cuda":
        torch.cuda.synchronize()


def _measure_card(backend: Any) -> Card:
    """A copy within its memory, and a large product."""
    import torch

    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device=backend.device)
    target = torch.empty_like(source)
    bandwidth = 2 * COPY_BYTES / _median_seconds(backend, lambda: target.copy_(source))
    matrix = torch.randn(MATRIX, MATRIX, device=backend.device, dtype=torch.float16)
    rate = 2 * MATRIX**3 / _median_seconds(backend, lambda: matrix @ matrix)
    return Card(torch.cuda.get_device_name(backend.device), bandwidth, rate)
