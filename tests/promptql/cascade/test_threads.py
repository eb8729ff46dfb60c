"""NumPy's linear algebra in one thread while a head is trained, and as before afterwards."""

from __future__ import annotations

import threading

import pytest

from promptql.cascade import threads


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setattr(threads, "_openblas", lambda: found)
    return found


class Library:
    """The two functions of OpenBLAS that are called."""

    threads = 8

    def scipy_openblas_get_num_threads64_(self) -> int:
        return self.threads

    def scipy_openblas_set_num_threads64_(self, threads: int) -> None:
        self.threads = threads


def test_the_number_of_threads_is_put_back(library: Library) -> None:
    """One within the block, also where it fails."""
    seen = []

    @threads.one_thread()
    def failing() -> None:
        seen.append(library.threads)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert (seen, library.threads) == ([1], 8)


def test_the_last_of_overlapping_blocks_puts_it_back(library: Library) -> None:
    """Another thread's block that ends first leaves the setting to those that still run."""
    begun, end = threading.Event(), threading.Event()

    def other() -> None:
        with threads.one_thread():
            begun.set()
            end.wait(10)

    thread = threading.Thread(target=other)
    with threads.one_thread():
        thread.start()
        assert begun.wait(10)
    assert library.threads == 1
    end.set()
    thread.join()
    assert library.threads == 8


def test_without_that_library_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other builds of NumPy have other libraries."""
    monkeypatch.setattr(threads, "_openblas", lambda: None)
    with threads.one_thread():
        pass
