from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from lumaai.errors import OverloadedError
from lumaai.limits import BURST_SECONDS, CALM_SECONDS, LAST_SHARE, PATIENCE, Lane


@pytest.fixture
def lane() -> Iterator[Lane]:
    """One thread, one waiting place."""
    made = Lane("test", threads=1, queue_max=1)
    yield made
    made.close(timeout_seconds=5)


def test_what_fails_keeps_nothing_alive(lane: Lane) -> None:
    """What the work held goes with its error, without looking for garbage: a large body, say."""

    class Held:
        pass

    def fail(_: Held) -> None:
        raise ValueError("no")

    async def main() -> None:
        held = Held()
        alive = weakref.ref(held)
        with pytest.raises(ValueError, match="no"):
            await lane.run(fail, held)
        del held
        await asyncio.sleep(0.05)  # until the thread has nothing of it any more
        assert alive() is None

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_a_full_lane_refuses_at_once(lane: Lane) -> None:
    """One running and one waiting are two; the third is refused with a time to come back, and then there is room."""

    async def main() -> None:
        gate = threading.Event()
        first, second = asyncio.create_task(lane.run(gate.wait, 10)), asyncio.create_task(lane.run(int))
        await asyncio.sleep(0)
        assert lane.taken == 2
        with pytest.raises(OverloadedError, match="maximum=2") as refused:
            await lane.run(int)
        assert (refused.value.status, refused.value.retryable, refused.value.retry_after) == (503, True, 1.0)
        gate.set()
        assert await first is True
        assert await second == 0
        assert await lane.run(int) == 0

    asyncio.run(main())
    assert lane.taken == 0


def test_abandoned_work_keeps_its_place_until_it_ends(lane: Lane) -> None:
    """A thread cannot be stopped: who gave up waiting does not make room for others."""

    async def main() -> None:
        gate = threading.Event()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lane.run(gate.wait, 10), 0.01)
        assert lane.taken == 1
        gate.set()
        await lane.run(int)

    asyncio.run(main())
    assert lane.taken == 0


def test_work_that_never_began_gives_its_place_back(lane: Lane) -> None:
    """Cancelled while waiting for the thread, it leaves the queue."""

    async def main() -> None:
        gate = threading.Event()
        running = asyncio.create_task(lane.run(gate.wait, 10))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lane.run(int), 0.01)
        assert lane.taken == 1
        gate.set()
        await running

    asyncio.run(main())


def test_errors_come_back_and_free_the_place(lane: Lane) -> None:
    """What the work raises is raised to who asked for it."""
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(lane.run(int, "x"))
    assert lane.taken == 0


def test_a_patient_caller_waits_for_room(lane: Lane) -> None:
    """`run_when_free` waits while the lane is full, and no longer than it is told."""

    async def main() -> None:
        gate = threading.Event()
        tasks = [asyncio.create_task(lane.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await lane.run_when_free(int, timeout_seconds=0.05)
        asyncio.get_running_loop().call_later(0.05, gate.set)
        assert await lane.run_when_free(int, timeout_seconds=5) == 0
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_a_closed_lane_refuses() -> None:
    """During shutdown new work is refused as overload, not as a mistake of ours."""
    lane = Lane("test", threads=1, queue_max=0)
    lane.close(timeout_seconds=5)
    lane.close(timeout_seconds=5)
    with pytest.raises(OverloadedError, match="shutting down"):
        asyncio.run(lane.run(int))
    assert lane.taken == 0


def test_closing_leaves_behind_what_hangs() -> None:
    """Work that does not end is waited for no longer than told."""
    lane, gate = Lane("test", threads=1, queue_max=0), threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lane.run(gate.wait, 10), 0.01)

    asyncio.run(main())
    started = time.monotonic()
    lane.close(timeout_seconds=0.1)
    assert time.monotonic() - started < 2
    assert lane.taken == 1
    gate.set()


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def late(clock: Clock) -> Lane:
    """A lane of one thread whose work takes 20 milliseconds, with ten pieces of it taken."""
    lane = Lane("test", threads=1, queue_max=100, wait_seconds_max=0.05, clock=clock)
    lane.seconds, lane.done, lane._taken = 0.02, 1, 10
    return lane


def test_a_burst_is_taken_and_a_standing_queue_is_not() -> None:
    """What comes too late is taken for a quarter of a second, then refused with the expected wait; then taken again."""
    clock = Clock()
    lane = late(clock)
    assert lane.wait_seconds == pytest.approx(0.2)  # ten before it; four would be taken
    lane.check_room()
    clock.now += BURST_SECONDS / 2
    lane.check_room()
    clock.now += BURST_SECONDS
    with pytest.raises(OverloadedError, match=r"maximum=0\.08 expected=0\.2 seconds") as refused:
        lane.check_room()
    assert (refused.value.retry_after, lane.refused) == (1.0, 1)
    lane._taken = PATIENCE  # as many before it as work may wait for
    lane.check_room()
    lane._taken = 10
    with pytest.raises(OverloadedError):  # the overload is not over because of one that came in time
        lane.check_room()
    clock.now += CALM_SECONDS * 1.1
    lane.check_room()  # nobody came too late for a while: another burst


def test_a_burst_has_a_bound() -> None:
    """What would wait longer than a burst lasts is refused at once; slow work may wait for four of its kind."""
    lane = late(Clock())
    lane._taken = 14
    with pytest.raises(OverloadedError, match=r"expected=0\.28 seconds"):
        lane.check_room()
    lane.seconds = 3.0
    lane._taken = PATIENCE
    lane.check_room()


def test_without_a_bound_on_waiting_only_the_length_counts() -> None:
    """Lanes of work that may wait are full when they are full."""
    lane = Lane("test", threads=1, queue_max=2)
    lane.seconds, lane._taken = 100.0, 2
    lane.check_room()
    lane._taken = 3
    with pytest.raises(OverloadedError, match="maximum=3"):
        lane.check_room()


def test_a_lane_knows_how_long_its_work_takes() -> None:
    """The first piece sets the mean, later ones move it; what is refused is not counted."""
    clock = Clock()
    lane = Lane("test", threads=1, queue_max=1, clock=clock)

    def work(seconds: float) -> None:
        clock.now += seconds

    asyncio.run(lane.run(work, 2.0))
    assert (lane.seconds, lane.done) == (2.0, 1)
    asyncio.run(lane.run(work, 4.0))
    assert lane.seconds == pytest.approx(2.0 + 2.0 * LAST_SHARE)
    lane.close(timeout_seconds=5)
