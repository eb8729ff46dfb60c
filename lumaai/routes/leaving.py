"""Callers that leave before they are answered: what was done for them ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from lumaai.limits import Lane
    from lumaai.routes.operation import Call

R = TypeVar("R")


async def run_while_wanted(call: Call, lane: Lane, work: Callable[[threading.Event], R]) -> R:
    """The result of `work(gone)` in a thread of `lane`; `gone` is set when the caller leaves. The body must be read.

    Raises:
        OverloadedError: the lane is full.
        ClientDisconnect: the caller left; the work has been told, and keeps its place in the lane until it ends.
    """
    gone = threading.Event()
    working = asyncio.ensure_future(lane.run(work, gone))
    leaving = asyncio.ensure_future(_left(call))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        leaving.cancel()
        gone.set()  # also where this task is cancelled
        working.add_done_callback(seen)
    raise ClientDisconnect


async def _left(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def seen(work: asyncio.Future[Any]) -> None:
    """Of work whose caller is gone nobody asks what it raised."""
    if not work.cancelled():
        work.exception()
