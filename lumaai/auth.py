"""Who is calling: API keys, tokens and the key of the environment; and where no key is needed, loopback names only."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lumaai.access import ANYBODY, NOBODY, Caller
from lumaai.errors import ForbiddenError, UnauthorizedError
from lumaai.keys import KEY_PREFIX, KeyRecord, Keyring, KeyUse, Known
from lumaai.rates import Meter, Rate
from lumaai.settings import Settings, is_loopback
from lumaai.tokens import Bearer, TokenReader

if TYPE_CHECKING:
    from lumaai.limits import Lane

# Probes of "is the process alive" come from machinery that holds no key; a browser that opens the documentation
# holds none yet either, and what is documented is no secret.
OPEN_PATHS = frozenset({"/healthz", "/", "/docs", "/openapi.json"})
# Host headers found to be loopback's are remembered; bounded, since ports make many.
_KNOWN_HOSTS_MAX = 64
_PORT = re.compile(r":\d{0,5}$")
# Keys and tokens that were recognized; a digest and some references each.
_KNOWN_MAX = 10_000
# Callers by tokens; the requests of those who are forgotten are counted anew.
_SUBJECTS_MAX = 10_000
CREDENTIAL_BYTES_MAX = 8_192
_DIGEST_BYTES = 32

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Recognized:
    """A credential that need not be checked with all its cost again.

    Attributes:
        digest: of the credential, keyed.
        until: seconds since 1970 when it stops to count; None: never.
        id: of the key; None where it is a token.
        record: the key as it was; once it is another, or gone, this counts no more.
        used: when it was last used.
    """

    digest: bytes
    caller: Caller
    until: float | None
    id: str | None = None
    record: KeyRecord | None = None
    used: float = 0.0


class Gatekeeper:
    """Decides from a request's path and headers whether it may go on, and as whom. For the event loop's thread.

    A credential is checked once with all its cost (scrypt, signatures), in a lane of its own; then it is known by a
    hash under a key of this process, which takes microseconds and tells by no timing how near a guess was.

    Args:
        settings: the key that may do everything, tokens, bounds.
        keyring: the keys of the database; None where there are none.
        clock: seconds since 1970.
        ticks: seconds that never go back.

    Raises:
        InvalidRequestError: tokens are to be read and cannot be.
    """

    def __init__(
        self,
        settings: Settings,
        keyring: Keyring | None = None,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        key = settings.api_key
        self._key = None if key is None else key.get_secret_value().encode()
        self._keyring = keyring
        self._tokens = TokenReader.of(settings)
        self._clock = clock
        self._ticks = ticks
        self._rate = Rate(settings.requests_per_minute)
        # Once keys are asked for it stays so: revoking the last one must not open what all of them closed.
        self.is_guarding = settings.has_credentials or (keyring is not None and len(keyring) > 0)
        # A web page can make its own name resolve to 127.0.0.1 (DNS rebinding) and then read from here what its
        # visitor may read; what it cannot do is send another Host, or another Origin, than its own.
        self._loopback_only = not self.is_guarding and not settings.insecure
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._known_hosts: set[bytes] = set()
        self._hash_key = secrets.token_bytes(_DIGEST_BYTES)
        self._recognized: OrderedDict[bytes, _Recognized] = OrderedDict()
        self._callers: dict[str, tuple[KeyRecord, Caller]] = {}
        self._subjects: OrderedDict[str, Meter] = OrderedDict()
        self._uses: dict[str, KeyUse] = {}
        self._pending: dict[bytes, asyncio.Task[Known | Bearer]] = {}
        self._administrator = Caller("environment", everything=True)

    async def admit(self, path: str, headers: Headers, lane: Lane) -> Caller:
        """Who is calling, if the request may go on.

        Args:
            path: of the request.
            headers: likewise.
            lane: where credentials that are not known yet are checked.

        Raises:
            UnauthorizedError: no key, or a wrong one.
            ForbiddenError: no key is needed, and the Host or Origin is not this machine's.
            OverloadedError: too many keys to check.
        """
        if not self.is_guarding:
            if self._loopback_only:
                self._check_host(headers)
            return ANYBODY
        if path in OPEN_PATHS:
            return NOBODY
        given = _given_key(headers)
        if given is None:
            raise UnauthorizedError("an API key is needed: send it as Authorization: Bearer KEY or X-Api-Key: KEY")
        if self._key is not None and hmac.compare_digest(given, self._key):
            return self._administrator
        digest = hashlib.blake2b(given, key=self._hash_key, digest_size=_DIGEST_BYTES).digest()
        caller = self._recognize(digest)
        if caller is None:
            self._check_worth(given)
            caller = self._remember(digest, await self._checked(digest, given, lane))
        return caller

    def count(self, caller: Caller) -> None:
        """Count a request of a caller whose requests are bounded.

        Raises:
            OverloadedError: status 429; it is one too many.
        """
        if caller.meter is not None:
            caller.meter.take(self._ticks(), self._clock())

    def uses(self) -> Mapping[str, KeyUse]:
        """Keys that were used since this was last asked, and when."""
        found = self._uses
        self._uses = {}
        for each in self._recognized.values():
            if each.id is not None and each.used:
                before = found.get(each.id)
                last = max(each.used, before.last_used if before is not None else 0.0)
                meter = each.caller.meter
                found[each.id] = KeyUse(last, meter.day, meter.used) if meter is not None else KeyUse(last)
                each.used = 0.0
        if self._keyring is not None:
            for id_ in [id_ for id_ in self._callers if self._keyring.record(id_) is None]:
                del self._callers[id_]
        return found

    async def _checked(self, digest: bytes, given: bytes, lane: Lane) -> Known | Bearer:
        """What a credential is; those who come with the same one at once wait for one check."""
        task = self._pending.get(digest)
        if task is None:
            task = asyncio.ensure_future(lane.run(self._identify, given))
            self._pending[digest] = task
            task.add_done_callback(lambda done: self._check_ended(digest, done))
        return await asyncio.shield(task)  # who goes away takes it from nobody else

    def _check_ended(self, digest: bytes, task: asyncio.Task[Known | Bearer]) -> None:
        self._pending.pop(digest, None)
        if not task.cancelled():
            task.exception()  # told to those who wait, if any do still

    def _recognize(self, digest: bytes) -> Caller | None:
        found = self._recognized.get(digest)
        if found is None or not hmac.compare_digest(found.digest, digest):
            return None
        now = self._clock()
        if found.until is not None and now >= found.until:
            self._forget(found)
            return None
        if found.id is not None:
            assert self._keyring is not None
            if self._keyring.record(found.id) is not found.record:
                self._forget(found)
                return None
            found.used = now
        return found.caller

    def _check_worth(self, given: bytes) -> None:
        """Refuse at once what can be told to be wrong at little cost."""
        if given.startswith(KEY_PREFIX):
            if self._keyring is None or self._keyring.find(given) is None:
                raise _wrong_key()
        elif self._tokens is None or given.count(b".") != 2 or len(given) > CREDENTIAL_BYTES_MAX:
            raise _wrong_key()

    def _identify(self, given: bytes) -> Known | Bearer:
        """Check a credential with all its cost; for another thread."""
        if given.startswith(KEY_PREFIX):
            known = None if self._keyring is None else self._keyring.recognize(given)
            if known is None:
                raise _wrong_key()
            return known
        assert self._tokens is not None
        return self._tokens.read(given)

    def _remember(self, digest: bytes, found: Known | Bearer) -> Caller:
        if isinstance(found, Known):
            caller = self._caller_of(found.id, found.record)
            entry = _Recognized(digest, caller, found.until, found.id, found.record, self._clock())
        else:
            caller = Caller(f"token:{found.subject}", found.grants, meter=self._meter_of(found.subject))
            entry = _Recognized(digest, caller, found.until)
        self._recognized[digest] = entry
        while len(self._recognized) > _KNOWN_MAX:
            self._forget(next(iter(self._recognized.values())))
        return caller

    def _forget(self, entry: _Recognized) -> None:
        self._recognized.pop(entry.digest, None)
        if entry.id is not None and entry.used:
            self._uses[entry.id] = KeyUse(entry.used, *_counted(entry.caller.meter))

    def _caller_of(self, id_: str, record: KeyRecord) -> Caller:
        """One caller a key, however often it is rotated: its requests are counted together."""
        before = self._callers.get(id_)
        if before is not None and before[0] is record:
            return before[1]
        rate = Rate(record.requests_per_minute or self._rate.requests_per_minute, record.requests_per_day)
        meter = before[1].meter if before is not None else None
        if meter is None and rate.is_bounded:
            assert self._keyring is not None
            use = self._keyring.use(id_) or KeyUse(0.0)
            meter = Meter(rate, self._ticks(), day=use.day, used=use.used)
        caller = Caller(f"key:{id_}", (record.grant,), meter=meter)
        self._callers[id_] = record, caller
        return caller

    def _meter_of(self, subject: str) -> Meter | None:
        if not self._rate.is_bounded:
            return None
        meter = self._subjects.setdefault(subject, Meter(self._rate, self._ticks()))
        self._subjects.move_to_end(subject)
        if len(self._subjects) > _SUBJECTS_MAX:
            self._subjects.popitem(last=False)
        return meter

    def _check_host(self, headers: Headers) -> None:
        for name, value in headers:
            if name == b"host":
                if value not in self._known_hosts:
                    self._learn_host(value)
            elif name == b"origin" and value not in self._origins and not _is_loopback_origin(value):
                # A page elsewhere may send what it cannot read the answer of: a POST without a body needs no leave.
                raise ForbiddenError(
                    "without an API key pages from elsewhere are refused but for those that LUMAAI_CORS_ORIGINS names",
                    code="origin_not_allowed",
                )

    def _learn_host(self, value: bytes) -> None:
        host = value.decode("latin-1")
        if not is_loopback(host if host.endswith("]") else _PORT.sub("", host)):
            raise ForbiddenError(
                f"without an API key only loopback names are served: host={host!r:.100}", code="host_not_allowed"
            )
        if len(self._known_hosts) < _KNOWN_HOSTS_MAX:
            self._known_hosts.add(value)


def _wrong_key() -> UnauthorizedError:
    return UnauthorizedError("the API key is wrong", code="wrong_api_key")


def _counted(meter: Meter | None) -> tuple[int, int]:
    return (0, 0) if meter is None else (meter.day, meter.used)


def _is_loopback_origin(origin: bytes) -> bool:
    """Whether a page was served by this machine, such as the service's own documentation."""
    try:
        return is_loopback(urlsplit(origin.decode("latin-1")).hostname or "")
    except ValueError:
        return False


def _given_key(headers: Headers) -> bytes | None:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return key.strip()
        elif name == b"x-api-key":
            return value.strip()
    return None
