"""API keys: made once, kept as scrypt hashes in the database, and known again.

A key is `lumaai_ID_SECRET`, where the secret is 256 random bits and a seal: a short MAC by a secret of the database's.
Whoever guesses fails at the seal, which costs a microsecond; scrypt runs only for keys that were made here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from lumaai.access import Grant, Verb
from lumaai.errors import ConflictError, NotFoundError
from lumaai.key_info import GRACE_SECONDS_MAX, KeyInfo, KeyRequest, NewKey, check_seconds, instant
from lumaai.rates import Rate

if TYPE_CHECKING:
    from engine import Records
    from lumaai.opened import Opened

KEYS_MAX = 10_000
KEY_PREFIX = b"lumaai_"
# RFC 7914: 16 MiB and some 40 ms a hash; a secret of 256 bits needs no more.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
_SCRYPT_BYTES_MAX = 64 << 20
_HASH_BYTES, _SALT_BYTES, _SEAL_BYTES = 32, 16, 6
_SHAPE = re.compile(rb"lumaai_([0-9a-f]{12})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{8})")
_SEALING = "secret"


class KeySecret(msgspec.Struct, frozen=True):
    """What is kept of a key's secret; `until`: when it stops to work because it was rotated."""

    salt: bytes
    hash: bytes
    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P
    until: float | None = None

    @classmethod
    def of(cls, secret: bytes) -> KeySecret:
        """The hash of a secret under a fresh salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(salt, _scrypt(secret, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P))

    def is_of(self, secret: bytes) -> bool:
        """Whether it is the hash of that secret; takes as long as making it."""
        return hmac.compare_digest(self.hash, _scrypt(secret, self.salt, self.n, self.r, self.p))


class KeyRecord(msgspec.Struct, frozen=True):
    """A key as the database keeps it. Times are seconds since 1970."""

    name: str
    verbs: list[str]
    collections: list[str]
    created: float
    secrets: list[KeySecret]
    expires: float | None = None
    requests_per_minute: int | None = None
    requests_per_day: int | None = None

    @property
    def grant(self) -> Grant:
        """What it allows."""
        return Grant(frozenset(map(Verb, self.verbs)), tuple(self.collections))

    @property
    def rate(self) -> Rate:
        """Its bounds on requests."""
        return Rate(self.requests_per_minute, self.requests_per_day)

    def has_expired(self, now: float) -> bool:
        """Whether it no longer works."""
        return self.expires is not None and now >= self.expires


class KeyUse(msgspec.Struct, frozen=True):
    """When a key was last used, and how often on that day (counted since 1970)."""

    last_used: float
    day: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """A key that was recognized; `until`: when that has to be looked at again."""

    id: str
    record: KeyRecord
    until: float | None


class Keyring:
    """The keys of one database. Safe for many threads: the lock lets one of them write.

    Args:
        opened: the database; after a restore the keys are read anew.
        clock: seconds since 1970.
    """

    def __init__(self, opened: Opened, clock: Callable[[], float] = time.time) -> None:
        self._opened = opened
        self._clock = clock
        self._lock = threading.Lock()
        self._generation = -1
        self._keys: dict[str, KeyRecord] = {}
        self._sealing = b""

    def record(self, id_: str) -> KeyRecord | None:
        """The key of that id as it is now; None where there is none, or none any more."""
        if self._generation != self._opened.generation:
            self._read()
        return self._keys.get(id_)

    def __len__(self) -> int:
        self.record("")
        return len(self._keys)

    def infos(self) -> list[KeyInfo]:
        """All keys, in the order in which they were made; expired ones as well."""
        self.record("")
        uses = self.uses()
        found = sorted(self._keys.items(), key=lambda item: (item[1].created, item[0]))
        return [_info(id_, record, uses.get(id_)) for id_, record in found]

    def create(self, request: KeyRequest) -> NewKey:
        """Make a key.

        Raises:
            ConflictError: there are `KEYS_MAX` already (code "too_many_keys").
        """
        now = self._clock()
        with self._lock:
            if len(self) >= KEYS_MAX:
                raise ConflictError(f"too many keys: maximum={KEYS_MAX}; revoke some", code="too_many_keys")
            self._seal_first()
            id_ = secrets.token_hex(6)
            while id_ in self._keys:
                id_ = secrets.token_hex(6)
            key, secret = self._secret(id_)
            record = KeyRecord(
                request.name,
                sorted(request.grant.verbs),
                list(request.grant.collections),
                now,
                [KeySecret.of(secret)],
                None if request.expires_in_seconds is None else now + request.expires_in_seconds,
                request.requests_per_minute,
                request.requests_per_day,
            )
            self._write(id_, record)
        return NewKey(key, _info(id_, record, None))

    def rotate(self, id_: str, grace_seconds: float = 0.0) -> NewKey:
        """Give a key another secret; the one before goes on working for so long.

        Raises:
            NotFoundError: there is no such key.
        """
        check_seconds("grace_seconds", grace_seconds, GRACE_SECONDS_MAX, zero=True)
        now = self._clock()
        with self._lock:
            record = self._existing(id_)
            key, secret = self._secret(id_)
            last = record.secrets[0]
            old = [msgspec.structs.replace(last, until=now + grace_seconds)] if grace_seconds else []
            record = msgspec.structs.replace(record, secrets=[KeySecret.of(secret), *old])
            self._write(id_, record)
        return NewKey(key, _info(id_, record, self.use(id_)))

    def revoke(self, id_: str) -> None:
        """Let a key open nothing any more, from the next request on.

        Raises:
            NotFoundError: there is no such key.
        """
        with self._lock:
            self._existing(id_)
            self._write(id_, None)
            self._use_records.write({id_: None})

    def find(self, key: bytes) -> KeyRecord | None:
        """The record that a key claims to be of, if it was made here and works still; its secret may be wrong."""
        shape = _SHAPE.fullmatch(key)
        if shape is None:
            return None
        record = self.record(shape[1].decode())
        if record is None or record.has_expired(self._clock()):
            return None
        return record if hmac.compare_digest(shape[3], self._seal(shape[1], shape[2])) else None

    def recognize(self, key: bytes) -> Known | None:
        """What a key is, if it is right: some 40 ms for what `find` finds."""
        record, shape = self.find(key), _SHAPE.fullmatch(key)
        if record is None or shape is None:
            return None
        now = self._clock()
        for kept in record.secrets:
            if (kept.until is None or now < kept.until) and kept.is_of(shape[2]):
                ends = [end for end in (kept.until, record.expires) if end is not None]
                return Known(shape[1].decode(), record, min(ends, default=None))
        return None

    def use(self, id_: str) -> KeyUse | None:
        """When a key was last used, as far as it was written down."""
        value = self._use_records.get(id_)
        return None if value is None else msgspec.json.decode(value, type=KeyUse)

    def uses(self) -> dict[str, KeyUse]:
        """When keys were last used, as far as it was written down."""
        return {id_: msgspec.json.decode(value, type=KeyUse) for id_, value in self._use_records.items().items()}

    def write_uses(self, uses: Mapping[str, KeyUse]) -> None:
        """Write down when keys were last used; of those that are gone, nothing."""
        with self._lock:
            there = {id_: msgspec.json.encode(use) for id_, use in uses.items() if self.record(id_) is not None}
            if there:
                self._use_records.write(there)

    @property
    def _key_records(self) -> Records:
        return self._opened.native.records("key", lasting=True)

    @property
    def _use_records(self) -> Records:
        return self._opened.native.records("key_use", lasting=True)

    @property
    def _sealing_records(self) -> Records:
        return self._opened.native.records("key_seal", lasting=True)

    def _existing(self, id_: Any) -> KeyRecord:
        record = self.record(id_) if isinstance(id_, str) else None
        if record is None:
            raise NotFoundError(f"there is no such key: {id_!r:.40}", code="key_not_found")
        return record

    def _read(self) -> None:
        generation = self._opened.generation
        found = {id_: msgspec.json.decode(value, type=KeyRecord) for id_, value in self._key_records.items().items()}
        self._sealing = self._sealing_records.get(_SEALING) or b""
        self._keys, self._generation = found, generation

    def _write(self, id_: str, record: KeyRecord | None) -> None:
        self._key_records.write({id_: None if record is None else msgspec.json.encode(record)})
        if record is None:
            self._keys.pop(id_, None)
        else:
            self._keys[id_] = record

    def _seal_first(self) -> None:
        if not self._sealing:
            sealing = secrets.token_bytes(_HASH_BYTES)
            self._sealing_records.write({_SEALING: sealing})
            self._sealing = sealing

    def _secret(self, id_: str) -> tuple[str, bytes]:
        """A fresh key, and the part of it that is hashed."""
        secret = base64.urlsafe_b64encode(secrets.token_bytes(_HASH_BYTES)).rstrip(b"=")
        return (KEY_PREFIX + id_.encode() + b"_" + secret + self._seal(id_.encode(), secret)).decode(), secret

    def _seal(self, id_: bytes, secret: bytes) -> bytes:
        mac = hmac.digest(self._sealing, id_ + secret, "sha256")[:_SEAL_BYTES]
        return base64.urlsafe_b64encode(mac)


def _scrypt(secret: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_SCRYPT_BYTES_MAX, dklen=_HASH_BYTES)


def _info(id_: str, record: KeyRecord, use: KeyUse | None) -> KeyInfo:
    return KeyInfo(
        id_,
        record.name,
        tuple(record.verbs),
        tuple(record.collections),
        instant(record.created) or "",
        instant(record.expires),
        instant(use.last_used) if use is not None else None,
        record.requests_per_minute,
        record.requests_per_day,
    )
