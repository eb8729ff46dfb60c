"""lumaai.turns: who waits for the event loop, who comes first, and who is told to come again."""

from __future__ import annotations

import asyncio

import pytest

from lumaai.errors import OverloadedError
from lumaai.turns import FAIR_MAX, WAIT_SECONDS_MAX, Turns


async def served(turns: Turns, count: int) -> list[int]:
    """In which order so many that come at once get their turns; who is refused is missing."""
    order: list[int] = []

    async def one(number: int) -> None:
        await turns.take()
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(count)), return_exceptions=True)
    return order


def test_a_few_are_served_as_they_came() -> None:
    """As many as callers with one request each: nobody is refused, nobody passed."""
    turns = Turns("search", waiting_max=256)
    assert asyncio.run(served(turns, FAIR_MAX)) == list(range(FAIR_MAX))
    assert (turns.given, turns.refused, len(turns)) == (FAIR_MAX, 0, 0)


def test_of_many_the_latest_come_first_until_they_are_few() -> None:
    """Then the rest as they came."""
    turns = Turns("search", waiting_max=256)
    order = asyncio.run(served(turns, FAIR_MAX + 3))
    assert order == [FAIR_MAX + 2, FAIR_MAX + 1, FAIR_MAX, *range(FAIR_MAX)]


def test_the_network_has_its_turn_between_two() -> None:
    """What comes while others wait is seen before they are all done."""
    turns = Turns("search", waiting_max=256)

    async def main() -> list[int]:
        seen: list[int] = []
        waiting = asyncio.create_task(served(turns, 20))
        while not waiting.done():
            seen.append(len(turns))
            await asyncio.sleep(0)
        return seen

    assert set(asyncio.run(main())) >= set(range(1, 20))


def test_who_waits_long_behind_many_is_refused() -> None:
    """The oldest, once more than a few wait; with a time to come back."""
    now = [0.0]
    turns = Turns("search", waiting_max=256, clock=lambda: now[0])

    async def main() -> tuple[list[int], list[BaseException]]:
        order: list[int] = []

        async def one(number: int) -> None:
            await turns.take()
            order.append(number)

        early = [asyncio.ensure_future(one(number)) for number in range(FAIR_MAX + 10)]
        early[0].add_done_callback(lambda _: None)
        await asyncio.sleep(0)  # all wait now, and the first turn is to come
        now[0] = WAIT_SECONDS_MAX * 2
        late = [asyncio.ensure_future(one(100 + number)) for number in range(2)]
        found = await asyncio.gather(*early, *late, return_exceptions=True)
        return order, [each for each in found if each is not None]

    order, refused = asyncio.run(main())
    assert len(refused) == turns.refused > 0
    assert all(isinstance(each, OverloadedError) and each.retry_after == 1.0 for each in refused)
    assert len(refused) >= 10  # until only a few wait
    assert sorted(order) == [*range(len(refused), FAIR_MAX + 10), 100, 101]  # those were the oldest


def test_one_too_many_costs_the_oldest_its_place() -> None:
    """The queue is bounded, and who came last can still be served in time."""
    turns = Turns("search", waiting_max=2)
    assert asyncio.run(served(turns, 4)) == [2, 3]
    assert turns.refused == 2


def test_who_is_gone_is_passed_over() -> None:
    """A cancelled request takes no turn, and is not counted as refused."""
    turns = Turns("search", waiting_max=8)

    async def main() -> None:
        tasks = [asyncio.create_task(turns.take()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(asyncio.CancelledError):
            tasks[0].result()

    asyncio.run(main())
    assert (turns.given, turns.refused) == (2, 0)
