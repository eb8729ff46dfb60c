"""engine.commit: group commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from engine.commit import CommitQueue
from engine.errors import DatabaseClosedError, StorageError


def nothing() -> None:
    """For writes that publish nothing."""


def test_writers_that_wait_together_share_a_sync() -> None:
    """Sequences are unique and in the order of writing, publication follows that order, and syncs are fewer."""
    syncs: list[int] = []
    written: list[int] = []
    published: list[int] = []

    def sync() -> None:
        time.sleep(0.002)
        syncs.append(len(written))

    queue = CommitQueue(10, sync)

    def writer() -> None:
        for _ in range(25):
            mine: list[int] = []

            def write(sequence: int, mine: list[int] = mine) -> None:
                mine.append(sequence)
                written.append(sequence)

            queue.commit(write, lambda mine=mine: published.append(mine[0]))()  # type: ignore[misc]
            assert queue.published >= mine[0]

    threads = [threading.Thread(target=writer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == list(range(11, 211))
    assert published == written
    assert queue.published == 210
    assert len(syncs) < 200


def test_a_failed_sync_fails_everyone_and_everything_after() -> None:
    """Writers that were waiting, one that wrote while the sync was failing, and all later ones get an error."""
    entered, go_on = threading.Event(), threading.Event()
    published: list[int] = []
    calls: list[int] = []

    def sync() -> None:
        calls.append(1)
        entered.set()
        go_on.wait(5)
        if len(calls) == 1:
            raise StorageError("device error")

    queue = CommitQueue(0, sync)
    errors: list[BaseException] = []

    def wait(waiter: Callable[[], None]) -> None:
        try:
            waiter()
        except StorageError as error:
            errors.append(error)

    first = queue.commit(lambda _: None, lambda: published.append(1))
    leader = threading.Thread(target=wait, args=(first,))
    leader.start()
    entered.wait(5)
    second = queue.commit(lambda _: None, lambda: published.append(2))
    go_on.set()
    leader.join()
    wait(second)
    assert len(errors) == 2
    assert published == []
    assert queue.published == 0
    with pytest.raises(StorageError, match="refuses writes since a failure"):
        queue.commit(lambda _: None, nothing)
    with pytest.raises(StorageError):
        queue.settle()
    assert len(calls) == 1


def test_a_refused_write_takes_no_sequence() -> None:
    """Where the store refuses a write, the next one gets the sequence, and nothing is published."""
    queue = CommitQueue(0, nothing)

    def refuse(sequence: int) -> None:
        raise StorageError(f"no: {sequence}")

    with pytest.raises(StorageError):
        queue.commit(refuse, nothing)
    taken: list[int] = []
    queue.commit(taken.append, nothing)()
    assert taken == [1]


def test_an_interrupted_sync_loses_nothing() -> None:
    """Ctrl-C while a leader syncs leaves its entries to the next leader, who publishes them in order."""
    interrupts = [KeyboardInterrupt()]
    published: list[int] = []

    def sync() -> None:
        if interrupts:
            raise interrupts.pop()

    queue = CommitQueue(0, sync)
    with pytest.raises(KeyboardInterrupt):
        queue.commit(lambda _: None, lambda: published.append(1))()
    queue.commit(lambda _: None, lambda: published.append(2))()
    assert published == [1, 2]


def test_an_interrupted_publication_stops_all_writing() -> None:
    """Memory may say something else than the log, so nothing is written until the database is opened again."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    queue = CommitQueue(0, nothing)
    with pytest.raises(KeyboardInterrupt):
        queue.commit(lambda _: None, interrupt)()
    with pytest.raises(StorageError, match="KeyboardInterrupt"):
        queue.commit(lambda _: None, nothing)


def test_closing_finishes_what_waits_and_refuses_the_rest() -> None:
    """A write before `close` is published by it."""
    published: list[int] = []
    queue = CommitQueue(0, nothing)
    waiter = queue.commit(lambda _: None, lambda: published.append(1))
    queue.close()
    waiter()
    assert published == [1]
    with pytest.raises(DatabaseClosedError):
        queue.commit(lambda _: None, nothing)
    with pytest.raises(DatabaseClosedError):
        queue.settle()


def test_settling_publishes_what_others_wrote() -> None:
    """`settle` returns when all earlier writes are durable and published."""
    published: list[int] = []
    queue = CommitQueue(0, nothing)
    queue.commit(lambda _: None, lambda: published.append(1))
    queue.settle()
    assert published == [1]
