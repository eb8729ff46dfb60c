"""engine.vector.device.searcher: one thread, batches, and the processor when the device fails."""

from __future__ import annotations

import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from engine.schema import IndexKind, Metric
from engine.vector.device.searcher import SearchDevice
from engine.vector.device.tensors import TorchBackend
from engine.vector.parameters import DEFAULT, SearchParameters
from engine.vector.sealed import Answer, SealedVectors
from tests.gpu.material import EXACT, K, questions, segment, some


def asked(device: SearchDevice, index: SealedVectors, queries: Any, **options: Any) -> Answer | None:
    options = {"allowed": None, "parameters": DEFAULT, **options}
    return device.search(index, queries, options.pop("k", K), **options)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_segment_is_left_to_the_processor_until_it_has_arrived(device: SearchDevice) -> None:
    """The first search asks for the vectors and does not wait for them."""
    index = segment()

    assert asked(device, index, questions()) is None
    assert device.load(index)
    found = asked(device, index, questions())
    assert found is not None
    assert device.name in found.how


def test_small_segments_are_left_to_the_processor(backend: TorchBackend) -> None:
    """Four megabytes of vectors are compared with before a device has been asked."""
    device = SearchDevice(lambda: backend)

    assert asked(device, segment(), questions()) is None
    assert device.stats()["segments"] == 0
    device.close()


def test_what_waits_is_answered_together(device: SearchDevice, backend: TorchBackend) -> None:
    """Searches that come while the device is busy become one batch; each gets its own answer."""
    index, queries = segment(), questions(count=32)
    assert device.load(index)
    busy, going = threading.Event(), threading.Event()
    search = device._residents[index].search

    def held(*arguments: Any) -> Any:
        going.set()
        assert busy.wait(10)
        return search(*arguments)

    device._residents[index].search = held  # type: ignore[method-assign, assignment]
    with ThreadPoolExecutor(33) as pool:
        first = pool.submit(asked, device, index, queries[:1])
        assert going.wait(10)
        others = [pool.submit(asked, device, index, queries[i : i + 1], k=1 + i % K) for i in range(32)]
        for _ in range(10_000):
            if len(device._waiting) == 32:
                break
            time.sleep(0.001)
        busy.set()
        answers = [other.result() for other in others]
    assert first.result() is not None

    expected = index.search(queries, K, allowed=None, parameters=EXACT, threads=1)
    for i, answer in enumerate(answers):
        assert answer is not None
        np.testing.assert_array_equal(answer.rows[0], expected.rows[i, : 1 + i % K])
        assert "batch of 32" in answer.how
    assert device.stats()["batches"] == 2


def test_filters_and_efforts_are_not_mixed(device: SearchDevice) -> None:
    """Many threads with different filters and parameters all get what they asked for."""
    index, queries = segment(Metric.COSINE, IndexKind.IVF_FLAT), questions(Metric.COSINE)
    assert device.load(index)
    filters = [None, some(0.5), some(0.01)]

    def ask(i: int) -> bool:
        allowed = filters[i % 3]
        found = asked(device, index, queries[i % 20 : i % 20 + 1], allowed=allowed, parameters=EXACT)
        expected = index.search(queries[i % 20 : i % 20 + 1], K, allowed=allowed, parameters=EXACT, threads=1)
        return found is not None and bool((found.rows == expected.rows).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(120)))


def test_nprobe_is_honoured(device: SearchDevice) -> None:
    """Asked for some lists, the device looks through so many; under a filter it compares with all that is allowed."""
    index = segment(Metric.COSINE, IndexKind.IVF_FLAT)
    queries = questions(Metric.COSINE)
    assert device.load(index)

    plain = asked(device, index, queries, parameters=SearchParameters(nprobe=3))
    filtered = asked(device, index, queries, parameters=SearchParameters(nprobe=3), allowed=some(0.1))

    assert plain is not None
    assert "ivf nprobe 3" in plain.how
    assert filtered is not None
    assert "exact" in filtered.how


def test_memory_that_runs_out_while_searching_is_met_with_less_at_a_time(
    device: SearchDevice, backend: TorchBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A product that does not fit is made in smaller tiles, and nobody is told."""
    import torch

    index, queries = segment(), questions()
    assert device.load(index)
    product, before = backend.product, backend.tile_elements

    def fits_small(left: Any, right: Any) -> Any:
        if backend.tile_elements > before // 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return product(left, right)

    monkeypatch.setattr(backend, "product", fits_small)
    found = asked(device, index, queries)

    assert found is not None
    expected = index.search(queries, K, allowed=None, parameters=EXACT, threads=1)
    np.testing.assert_array_equal(found.rows, expected.rows)
    assert warnings(caplog) == []


def test_memory_that_never_suffices_is_warned_of_once(
    device: SearchDevice, backend: TorchBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Torch's own error, at every product: the processor answers, with one warning for all segments."""
    import torch

    def never(left: Any, right: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")

    monkeypatch.setattr(backend, "product", never)
    for metric in Metric:
        index = segment(metric)
        assert device.load(index)
        assert asked(device, index, questions(metric)) is None
        assert asked(device, index, questions(metric)) is None
        assert not device.load(index)
    assert warnings(caplog) == ["device.fallback"]
    assert device.stats()["fallbacks"] == 3


def test_memory_that_runs_out_while_loading_costs_the_oldest_segment(
    device: SearchDevice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The segment that was not searched for longest makes room."""
    import torch

    old, new = segment(Metric.L2), segment(Metric.DOT)
    assert device.load(old)
    zeros = torch.zeros

    def full(*arguments: Any, **options: Any) -> Any:
        if old in device._residents:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return zeros(*arguments, **options)

    monkeypatch.setattr(torch, "zeros", full)

    assert device.load(new)
    assert device.stats()["segments"] == 1
    assert warnings(caplog) == []


def test_a_device_that_breaks_is_not_asked_again(
    device: SearchDevice, backend: TorchBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the driver ends the thread; all searches go to the processor, with one warning."""
    index = segment()
    assert device.load(index)

    def broken(left: Any, right: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(backend, "product", broken)

    assert asked(device, index, questions()) is None
    assert asked(device, index, questions()) is None
    device._thread.join(5)
    assert not device._thread.is_alive()
    assert warnings(caplog) == ["device.fallback"]


def test_closing_leaves_what_waits_to_the_processor(device: SearchDevice) -> None:
    """After the end nothing hangs, and nothing lies on the device."""
    index = segment()
    assert device.load(index)

    device.close()

    assert asked(device, index, questions()) is None
    assert device.centroids(questions(), 2, 1) is None
    assert device.stats()["bytes"] == 0


def test_segments_that_are_no_more_leave_the_device(device: SearchDevice) -> None:
    """What a merge replaced gives its memory back."""
    index = segment.__wrapped__(Metric.DOT)
    assert device.load(index)
    assert device.stats()["segments"] == 1

    del index
    gc.collect()

    assert device.stats()["segments"] == 0


def test_centroids_are_made_by_the_device(device: SearchDevice) -> None:
    """k-means goes the same way as searches."""
    found = device.centroids(questions(count=200), 16, 5)

    assert found is not None
    assert found.shape == (16, questions().shape[1])


def test_a_device_says_how_much_it_holds(device: SearchDevice, backend: TorchBackend) -> None:
    """For who chooses what to build; not any more once it is closed."""
    card = device.card()
    assert card is not None
    assert (card.name, card.bytes) == (backend.name, backend.memory_bytes())
    assert card.bytes > 2**28
    device.close()
    assert device.card() is None


@pytest.mark.parametrize("found", [lambda: None, lambda: 1 // 0])
def test_a_device_that_is_none_holds_nothing(found: Any) -> None:
    """Whoever asks is not kept waiting."""
    device = SearchDevice(found)
    assert device.card() is None
    device.close()
