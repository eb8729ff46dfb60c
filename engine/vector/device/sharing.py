"""One card, one thread: the databases of a process that use it use the same `SearchDevice`."""

from __future__ import annotations

import threading
from functools import partial

from engine.vector.device.choice import DeviceChoice, find_backend, has_driver, parse_choice
from engine.vector.device.searcher import SearchDevice


class SharedDevice:
    """The process's device, as long as somebody uses it. Safe for many threads; `_lock` guards the count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._device: SearchDevice | None = None
        self._users = 0

    def acquire(self, wanted: str | SearchDevice) -> SearchDevice | None:
        """The device that was asked for, to be given back by `release`; None for the processor.

        Args:
            wanted: "auto", "cpu" or "cuda"; or a device of the caller's own.

        Raises:
            InvalidInputError: it is none of these.
        """
        if isinstance(wanted, SearchDevice):
            return wanted
        choice = parse_choice(wanted)
        if choice is DeviceChoice.CPU or not has_driver():
            find_backend(choice)  # says what is missing
            return None
        with self._lock:
            if self._device is None:
                self._device = SearchDevice(partial(find_backend, choice))
            self._users += 1
            return self._device

    def release(self, device: SearchDevice | None) -> None:
        """Give back what `acquire` returned; the last one closes it."""
        with self._lock:
            if device is None or device is not self._device:
                return
            self._users -= 1
            if self._users:
                return
            self._device = None
        device.close()


SHARED = SharedDevice()
