"""Cursors of scrolls: opaque, signed, each over a snapshot that stays the same while it is paged through."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import struct
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine import Snapshot
from lumaai.errors import ErrorDetail, GoneError, InvalidRequestError

PINS_MAX = 64
PIN_SECONDS_MAX = 300.0
PIN_AGE_SECONDS_MAX = 3600.0  # what is pinned keeps disk and memory from being given back

_PAYLOAD = struct.Struct("<8sQQ")  # this process, the pin, how many rows are behind
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Pin:
    """What a cursor pages through: the rows that matched when its first page was asked for."""

    collection: str
    filter: Any
    snapshot: Snapshot
    ordinals: NDArray[np.uint32]
    order_by: Any = None


class Pinned(Protocol):
    """What a cursor stands for: a scroll or a search of a collection."""

    @property
    def collection(self) -> str:
        """Its name."""


class Cursors:
    """The scrolls and searches under way. Safe for many threads; the lock guards the table of pins.

    A pin is dropped when it has not been used for `PIN_SECONDS_MAX`, or is `PIN_AGE_SECONDS_MAX` old. Where there are
    more than `PINS_MAX`, whoever has most loses the one that they did not use for longest: nobody ends the scrolls of
    others by beginning many.
    The secret lives as long as the process: a restart ends every scroll.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._process = secrets.token_bytes(8)
        self._pins: OrderedDict[int, tuple[Pinned, float]] = OrderedDict()  # with when each was used
        self._begun: dict[int, float] = {}
        self._owners: dict[int, str] = {}
        self._made = 0
        self._lock = threading.Lock()

    def start(self, pin: Pinned, position: int, owner: str = "") -> str:
        """A cursor to the rows of `pin` from `position` on; `owner` is whoever asked."""
        with self._lock:
            self._made += 1
            now = self._clock()
            self._pins[self._made], self._begun[self._made], self._owners[self._made] = (pin, now), now, owner
            self._drop_old()
            return self._write(self._made, position)

    def resume(self, cursor: object) -> tuple[Pinned, int, Callable[[int], str]]:
        """What a cursor stands for: its pin, its position, and how to write a cursor to another position.

        Raises:
            InvalidRequestError: it was not made here, or was changed.
            GoneError: it has expired.
        """
        number, position = self._read(cursor)
        with self._lock:
            self._drop_old()
            held = self._pins.get(number)
            if held is not None and self._clock() - self._begun[number] > PIN_AGE_SECONDS_MAX:
                self._drop(number)
                held = None
            if held is None:
                raise GoneError("cursor has expired: start again without a cursor")
            self._pins[number] = (held[0], self._clock())
            self._pins.move_to_end(number)
        return held[0], position, lambda position: self._write(number, position)

    def after(self, kind: str, name: str) -> str:
        """A cursor to what comes after `name` in a sorted list of a kind. It pins nothing."""
        payload = self._process + name.encode()
        return _encoded(payload + self._sign(_listed(kind, payload)))

    def name_of(self, kind: str, cursor: object) -> str:
        """The name that a list of this kind goes on after.

        Raises:
            InvalidRequestError: the cursor was not made here for such a list, or was changed.
            GoneError: it is of a process that has ended.
        """
        raw = _decoded(cursor)
        payload, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if len(payload) >= len(self._process) and payload[:8] != self._process:
            raise _restarted()
        if not hmac.compare_digest(signature, self._sign(_listed(kind, payload))):
            raise cursor_fault("cursor is not valid")
        return payload[len(self._process) :].decode()

    def forget(self, collection: str) -> None:
        """Drop the scrolls of a collection, so that what they hold can go."""
        with self._lock:
            for number in [n for n, (pin, _) in self._pins.items() if pin.collection == collection]:
                self._drop(number)

    def clear(self) -> None:
        """Drop every scroll."""
        with self._lock:
            self._pins.clear()
            self._begun.clear()
            self._owners.clear()

    def _drop_old(self) -> None:
        oldest = self._clock() - PIN_SECONDS_MAX
        while self._pins:
            number, (_, used) = next(iter(self._pins.items()))
            if used >= oldest:
                break
            self._drop(number)
        while len(self._pins) > PINS_MAX:
            counts = Counter(self._owners.values())
            most = max(counts.values())
            self._drop(next(number for number in self._pins if counts[self._owners[number]] == most))

    def _drop(self, number: int) -> None:
        del self._pins[number], self._begun[number], self._owners[number]

    def _write(self, number: int, position: int) -> str:
        payload = _PAYLOAD.pack(self._process, number, position)
        return _encoded(payload + self._sign(payload))

    def _read(self, cursor: object) -> tuple[int, int]:
        raw = _decoded(cursor)
        payload, signature = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
        if len(payload) == _PAYLOAD.size and payload[:8] != self._process and len(signature) == _SIGNATURE_BYTES:
            raise _restarted()
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise cursor_fault("cursor is not valid")
        _, number, position = _PAYLOAD.unpack(payload)
        return number, position

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, payload, "sha256")[:_SIGNATURE_BYTES]


def cursor_fault(message: str) -> InvalidRequestError:
    """An error that says what is wrong with a cursor."""
    detail = ErrorDetail("/cursor", "cursor_invalid", message)
    return InvalidRequestError(message, code="cursor_invalid", errors=[detail])


def _restarted() -> GoneError:
    return GoneError("cursor is of a service that has been restarted: start again without a cursor")


def _listed(kind: str, payload: bytes) -> bytes:
    """What is signed of a list's cursor, so that it is none of a scroll or of another list."""
    return b"list of %s\0%s" % (kind.encode(), payload)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(cursor: object) -> bytes:
    if not isinstance(cursor, str):
        raise cursor_fault(f"cursor must be a string: got={type(cursor).__name__}")
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise cursor_fault("cursor is not valid") from error
