"""Answers kept under idempotency keys, of requests that write something else than documents.

Documents have records of their own, in the batch of the write itself. Here the answer is written down after the work:
a process that ends between the two does it once more when it is asked again. What holds a secret is remembered in
memory only, and for a shorter time.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lumaai.errors import ConflictError, InvalidRequestError

if TYPE_CHECKING:
    from engine import Records

KEEP_SECONDS = 24 * 3600.0
SECRET_SECONDS = 600.0
KEPT_MAX = 10_000
SECRETS_MAX = 100
BODY_BYTES_MAX = 256 << 10
IN_PROGRESS = "idempotency_in_progress"
# The code of the engine's own, for documents.
REUSED = "idempotency_key_reused"


class KeptAnswer(msgspec.Struct, array_like=True, frozen=True):
    """What was answered, and to what.

    Attributes:
        fingerprint: of the request.
        made: seconds since 1970.
        location: the answer's Location header.
    """

    fingerprint: str
    made: float
    status: int
    body: bytes
    location: str | None = None


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that came with an idempotency key.

    Attributes:
        name: the key, of its caller, hashed.
        fingerprint: what tells one request from another.
        is_secret: its answer must not be on disk.
    """

    name: str
    fingerprint: str
    is_secret: bool

    @classmethod
    def of(cls, caller: str, key: str, request: bytes, *, is_secret: bool) -> KeyedRequest:
        """The request of a caller."""
        name = hashlib.blake2b(f"{caller}\n{key}".encode(), digest_size=24).hexdigest()
        return cls(name, hashlib.blake2b(request, digest_size=16).hexdigest(), is_secret)


class Replays:
    """The answers of one database's service. Safe for many threads; the lock guards what is known of them.

    Args:
        records: where they are written down.
        clock: seconds since 1970.
    """

    def __init__(self, records: Callable[[], Records], clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._clock = clock
        self._lock = threading.Lock()
        self._made: OrderedDict[str, float] | None = None  # the oldest first; None: not read yet
        self._secrets: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._under_way: set[str] = set()

    def claim(self, request: KeyedRequest) -> None:
        """Take the request to be under way, until it is released. Waits for nothing: for the event loop's thread.

        Raises:
            ConflictError: it is under way already.
        """
        if request.name in self._under_way:
            raise ConflictError(
                "the same request is under way: ask again in a moment", code=IN_PROGRESS, retryable=True,
                retry_after=1.0,
            )  # fmt: skip
        self._under_way.add(request.name)

    def release(self, request: KeyedRequest) -> None:
        """The request is under way no more; for the event loop's thread."""
        self._under_way.discard(request.name)

    def find(self, request: KeyedRequest) -> KeptAnswer | None:
        """What the request was answered before.

        Raises:
            InvalidRequestError: the key was used for another request.
        """
        with self._lock:
            found = self._secrets.get(request.name) if request.is_secret else self._read(request.name)
            age = SECRET_SECONDS if request.is_secret else KEEP_SECONDS
            if found is None or self._clock() - found.made >= age:
                return None
            if found.fingerprint != request.fingerprint:
                message = "the Idempotency-Key was used for another request: take a new one"
                raise InvalidRequestError(message, code=REUSED)
            return found

    def keep(self, request: KeyedRequest, status: int, body: bytes, location: str | None) -> None:
        """Remember the answer, unless it is long: such a request is done again."""
        if len(body) > BODY_BYTES_MAX:
            return
        kept = KeptAnswer(request.fingerprint, self._clock(), status, body, location)
        with self._lock:
            if request.is_secret:
                self._secrets[request.name] = kept
                while len(self._secrets) > SECRETS_MAX:
                    self._secrets.popitem(last=False)
            else:
                self._write(request.name, kept)

    def _read(self, name: str) -> KeptAnswer | None:
        content = self._records().get(name)
        return None if content is None else msgspec.msgpack.decode(content, type=KeptAnswer)

    def _write(self, name: str, kept: KeptAnswer) -> None:
        made = self._known()
        oldest = self._clock() - KEEP_SECONDS
        gone: list[str] = []
        for known, when in made.items():
            if when >= oldest and len(made) - len(gone) < KEPT_MAX:
                break
            gone.append(known)
        self._records().write({**dict.fromkeys(gone), name: msgspec.msgpack.encode(kept)})
        for known in gone:
            made.pop(known, None)
        made[name] = kept.made
        made.move_to_end(name)

    def _known(self) -> OrderedDict[str, float]:
        if self._made is None:
            items = self._records().items().items()
            times = [(name, msgspec.msgpack.decode(content, type=KeptAnswer).made) for name, content in items]
            self._made = OrderedDict(sorted(times, key=lambda item: item[1]))
        return self._made
