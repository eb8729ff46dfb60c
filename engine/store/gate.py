"""A door that counts who is inside: what is in use is neither closed nor opened anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from engine.errors import DatabaseClosedError


class Gate:
    """Counts who is inside, so that closing waits for them, and turns later ones away."""

    def __init__(self, closed_because: str | None = None) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = closed_because is not None
        self._reason = closed_because or "database is closed"
        self._alone = False

    def __enter__(self) -> None:
        with self._changed:
            while self._alone:
                self._changed.wait()
            if self._closed:
                raise DatabaseClosedError(self._reason)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._closed or self._alone:
                self._changed.notify_all()

    def check_open(self) -> None:
        """Raises `DatabaseClosedError`, saying why, after `close`."""
        if self._closed:
            raise DatabaseClosedError(self._reason)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody is inside, and keep others waiting meanwhile. One caller at a time."""
        with self._changed:
            if self._closed:
                raise DatabaseClosedError(self._reason)
            self._alone = True
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._inside == 0)
            yield
        finally:  # also when the wait was interrupted
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def close(self) -> None:
        """Turn later ones away, and wait for those inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
