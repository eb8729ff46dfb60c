"""lumaai.turns: who waits for the event loop, and who is told to come again."""

from __future__ import annotations

import asyncio

import pytest

from lumaai.errors import OverloadedError
from lumaai.turns import CALM_SECONDS, FEW, WAITING_MAX, Turns


class Clock:
    """Stands still unless it is told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Of the turns."""
    return Clock()


@pytest.fixture
def turns(clock: Clock) -> Turns:
    """Nobody waits yet."""
    return Turns("search", clock=clock)


def served(turns: Turns, count: int) -> list[int]:
    """In which order so many that come at once get their turns; who is refused is missing."""
    order: list[int] = []

    async def one(number: int) -> None:
        await turns.take()
        order.append(number)

    async def main() -> list[BaseException | None]:
        return await asyncio.gather(*(one(number) for number in range(count)), return_exceptions=True)

    refused = [each for each in asyncio.run(main()) if each is not None]
    assert all(isinstance(each, OverloadedError) and each.retry_after == 1.0 for each in refused)
    assert len(refused) + len(order) == count
    return order


def test_as_many_as_may_wait_are_served_as_they_came(turns: Turns) -> None:
    """Nobody is refused."""
    for _ in range(3):
        assert served(turns, WAITING_MAX) == list(range(WAITING_MAX))
    assert (turns.given, turns.refused, len(turns), turns.is_full) == (3 * WAITING_MAX, 0, 0, False)


def test_when_too_many_come_only_a_few_may_wait(turns: Turns) -> None:
    """The first crowd fills the queue; those after it find it short, and are answered soon."""
    assert served(turns, 2 * WAITING_MAX) == list(range(WAITING_MAX))
    assert turns.waiting_max == FEW
    assert served(turns, 2 * WAITING_MAX) == list(range(FEW))
    assert turns.refused == 3 * WAITING_MAX - FEW


def test_when_nobody_was_refused_for_a_while_as_many_may_wait_as_before(turns: Turns, clock: Clock) -> None:
    """At once: a burst after the overload is no overload."""
    served(turns, 2 * WAITING_MAX)
    clock.now += 0.9 * CALM_SECONDS
    assert len(served(turns, 2 * WAITING_MAX)) < WAITING_MAX
    clock.now += 1.1 * CALM_SECONDS
    assert served(turns, WAITING_MAX) == list(range(WAITING_MAX))


def test_callers_that_come_again_at_once_get_their_places(turns: Turns, clock: Clock) -> None:
    """After an overload, without a pause: it is tried now and then whether there are places for all of them."""
    served(turns, 2 * WAITING_MAX)
    seconds = 0.0
    while len(served(turns, 16)) < 16:
        clock.now += 0.1
        seconds += 0.1
    assert seconds < 80
    assert served(turns, 16) == list(range(16))


def test_in_an_overload_that_lasts_few_wait_for_a_try(turns: Turns, clock: Clock) -> None:
    """One in two seconds, while a hundred are served."""
    served(turns, 2 * WAITING_MAX)
    waited = total = 0
    for _ in range(6_000):
        clock.now += 0.01
        count = len(served(turns, WAITING_MAX + 1))
        total += count
        waited += max(0, count - FEW)
    assert 0 < waited < 0.02 * total


def test_the_network_has_its_turn_between_two(turns: Turns) -> None:
    """What comes while others wait is seen before they are all done."""

    async def main() -> set[int]:
        seen = set()
        waiting = [asyncio.create_task(turns.take()) for _ in range(20)]
        while not all(task.done() for task in waiting):
            seen.add(len(turns))
            await asyncio.sleep(0)
        return seen

    assert asyncio.run(main()) >= set(range(1, 20))


def test_who_is_gone_is_passed_over(turns: Turns) -> None:
    """A cancelled request takes no turn, and is not counted as refused."""

    async def main() -> list[bool]:
        tasks = [asyncio.create_task(turns.take()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [task.cancelled() for task in tasks]

    assert asyncio.run(main()) == [True, False, False]
    assert (turns.given, turns.refused) == (2, 0)
