from __future__ import annotations

import asyncio

import pytest

from lumaai.ending import Ending
from lumaai.errors import OverloadedError


def test_the_end_wakes_what_waits_for_its_caller() -> None:
    """However long it would have waited; what begins to wait afterwards does not."""

    async def run() -> None:
        ending = Ending()
        loop = asyncio.get_running_loop()
        loop.call_soon(ending.begin)
        for _ in range(2):
            with pytest.raises(OverloadedError) as caught:
                async with ending.wait(3_600):
                    await asyncio.sleep(3_600)
            assert caught.value.code == "shutting_down"
        with pytest.raises(OverloadedError):
            ending.check()

    asyncio.run(run())


def test_without_an_end_only_time_runs_out() -> None:
    """And what comes in time is had; nothing is kept of those who no longer wait."""

    async def run() -> None:
        ending = Ending()
        async with ending.wait(3_600):
            pass
        with pytest.raises(TimeoutError):
            async with ending.wait(0.0):
                await asyncio.sleep(3_600)
        ending.check()
        ending.begin()

    asyncio.run(run())
