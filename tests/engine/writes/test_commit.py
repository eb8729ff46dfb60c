"""engine.writes.commit: group commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from engine import failpoints
from engine.errors import DatabaseClosedError, StorageError
from engine.writes.commit import CommitQueue, Durability, _Ticker


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


def counting_queue(interval_seconds: float = 60) -> tuple[CommitQueue, list[int]]:
    """A queue, and the sequence up to which each of its syncs reached."""
    syncs: list[int] = []
    queue = CommitQueue(0, lambda: syncs.append(queue._sequence), interval_seconds=interval_seconds)
    return queue, syncs


def test_writes_are_published_without_a_sync_that_nobody_asked_for() -> None:
    """`interval` and `none` wait for none; `synced` stays behind `published` until somebody asks."""
    queue, syncs = counting_queue()
    published: list[int] = []
    queue.commit(lambda _: None, lambda: published.append(1), Durability.NONE)()
    queue.commit(lambda _: None, lambda: published.append(2), Durability.INTERVAL)()
    assert (published, syncs, queue.published, queue.synced) == ([1, 2], [], 2, 0)
    queue.settle(Durability.NONE)
    assert syncs == []
    queue.commit(lambda _: None, lambda: published.append(3))()
    assert (published, syncs, queue.published, queue.synced) == ([1, 2, 3], [3], 3, 3)
    queue.settle()
    assert syncs == [3]  # there was nothing to sync
    queue.commit(lambda _: None, nothing, Durability.NONE)()
    queue.settle()
    assert (syncs, queue.synced) == ([3, 4], 4)
    queue.close()


def test_closing_syncs_what_did_not_ask_for_it() -> None:
    """A write of `none` is durable at the latest when the database is closed."""
    queue, syncs = counting_queue()
    queue.commit(lambda _: None, nothing, Durability.NONE)()
    queue.close()
    assert (syncs, queue.synced) == ([1], 1)


def test_interval_is_synced_in_the_background() -> None:
    """Within the interval, together with what came meanwhile, and again for later writes; `none` is not."""
    queue, syncs = counting_queue(interval_seconds=0.05)
    queue.commit(lambda _: None, nothing, Durability.NONE)()
    time.sleep(0.15)
    assert syncs == []
    for last in (2, 3):
        queue.commit(lambda _: None, nothing, Durability.INTERVAL)()
        deadline = time.monotonic() + 5
        while queue.synced < last and time.monotonic() < deadline:
            time.sleep(0.005)
        assert (syncs[-1], queue.synced) == (last, last)
    queue.close()


def test_settling_for_the_interval_starts_it() -> None:
    """A write that found its documents stored by one of `none` promises no less than its own durability."""
    queue, syncs = counting_queue(interval_seconds=0.01)
    queue.commit(lambda _: None, nothing, Durability.NONE)()
    queue.settle(Durability.INTERVAL)
    deadline = time.monotonic() + 5
    while queue.synced < 1 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert syncs == [1]
    queue.close()


def test_a_failed_background_sync_stops_all_writing() -> None:
    """Nobody waits for it, so the next writer is told."""

    def sync() -> None:
        raise StorageError("device error")

    queue = CommitQueue(0, sync, interval_seconds=0.001)
    queue.commit(lambda _: None, nothing, Durability.INTERVAL)()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            queue.commit(lambda _: None, nothing, Durability.NONE)()
        except StorageError as error:
            assert "device error" in str(error)  # noqa: PT017  (sooner or later)
            break
    else:
        pytest.fail("writing went on")
    assert queue.synced == 0


def test_a_write_that_fails_behind_its_batch_is_published_by_the_next() -> None:
    """The log holds it, so it must be seen, whatever its writer was told."""
    queue, _ = counting_queue()
    published: list[int] = []
    failpoints.arm("commit.after_batch:error@1")
    try:
        with pytest.raises(OSError, match=r"commit\.after_batch"):
            queue.commit(lambda _: None, lambda: published.append(1))
        queue.commit(lambda _: None, lambda: published.append(2))()
    finally:
        failpoints.arm("")
    assert published == [1, 2]


@pytest.mark.parametrize("point", ["commit.before_sync", "commit.after_sync", "commit.before_publish"])
def test_a_failure_on_the_way_to_publication_stops_all_writing(point: str) -> None:
    """Nobody knows what is on disk, or memory lacks what the log has."""
    queue, _ = counting_queue()
    failpoints.arm(f"{point}:error@1")
    try:
        with pytest.raises(OSError, match="failpoint"):
            queue.commit(lambda _: None, nothing)()
        with pytest.raises(StorageError, match="refuses writes since a failure"):
            queue.commit(lambda _: None, nothing)
    finally:
        failpoints.arm("")


def test_writers_that_were_served_together_come_together_again() -> None:
    """Eight writers under a slow sync need about one sync a round, not one for the first back and one for the rest."""
    syncs: list[int] = []

    def sync() -> None:
        time.sleep(0.02)
        syncs.append(1)

    queue = CommitQueue(0, sync)

    def writer() -> None:
        for _ in range(20):
            time.sleep(0.001)
            queue.commit(lambda _: None, nothing)()

    threads = [threading.Thread(target=writer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.published == 160
    assert len(syncs) <= 30


def test_a_lone_writer_waits_for_nobody() -> None:
    """After a crowd has gone, each write takes its sync and no more."""
    queue = CommitQueue(0, lambda: time.sleep(0.02))
    waits = [queue.commit(lambda _: None, nothing) for _ in range(8)]
    for wait in waits:
        wait()
    for _ in range(3):
        queue.commit(lambda _: None, nothing)()
    started = time.perf_counter()
    for _ in range(10):
        queue.commit(lambda _: None, nothing)()
    assert time.perf_counter() - started < 0.27


def test_followers_outlive_an_interrupted_leader() -> None:
    """Ctrl-C while syncing: those who had left it to that leader find another, and nothing is lost."""
    entered, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def sync() -> None:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            go_on.wait(5)
            raise KeyboardInterrupt

    queue = CommitQueue(0, sync)
    interrupted: list[BaseException] = []

    def lead() -> None:
        try:
            queue.commit(lambda _: None, nothing)()
        except KeyboardInterrupt as error:
            interrupted.append(error)

    leader = threading.Thread(target=lead)
    leader.start()
    assert entered.wait(5)
    followers = [threading.Thread(target=queue.commit(lambda _: None, nothing)) for _ in range(4)]
    for thread in followers:
        thread.start()
    time.sleep(0.05)
    started = time.perf_counter()
    go_on.set()
    for thread in (leader, *followers):
        thread.join(5)
    assert time.perf_counter() - started < 0.5
    assert len(interrupted) == 1
    assert queue.published == 5


def test_the_ticker_ends_however_close_a_tick_is() -> None:
    """A stop that comes between the pause before a tick and the tick itself is not lost."""
    ticker = _Ticker(lambda: None, 0.0)
    stopping = threading.Thread(target=ticker.stop, daemon=True)

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            found = super().wait(timeout)
            if not found:
                stopping.start()
                while not self.is_set():
                    time.sleep(0.001)
                time.sleep(0.05)  # `stop` has come to wait for the thread
            return found

    ticker._stopped = Stopped()
    ticker.start()
    time.sleep(0.1)
    stopping.join(5)
    assert not stopping.is_alive()
