"""Who may call: an API key compared in constant time, and on loopback without a key only names of loopback."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from lumaai.errors import ForbiddenError, UnauthorizedError
from lumaai.settings import Settings, is_loopback

# Probes of "is the process alive" come from machinery that holds no key; a browser that opens the documentation
# holds none yet either, and what is documented is no secret.
OPEN_PATHS = frozenset({"/healthz", "/", "/docs", "/openapi.json"})
# Host headers found to be loopback's are remembered; bounded, since ports make many.
_KNOWN_HOSTS_MAX = 64
_PORT = re.compile(r":\d{0,5}$")

Headers = Iterable[tuple[bytes, bytes]]


class Gatekeeper:
    """Decides from a request's path and headers whether it may go on. Holds the key as bytes; prints nothing."""

    def __init__(self, settings: Settings) -> None:
        key = settings.api_key
        self._key = None if key is None else key.get_secret_value().encode()
        # A web page can make its own name resolve to 127.0.0.1 (DNS rebinding) and then read from here what its
        # visitor may read; what it cannot do is send another Host than its own.
        self._loopback_only = key is None and not settings.insecure
        self._known_hosts: set[bytes] = set()

    def admit(self, path: str, headers: Headers) -> None:
        """Return if the request may go on.

        Raises:
            UnauthorizedError: no key, or a wrong one.
            ForbiddenError: no key is needed, and the Host is not this machine's.
        """
        if self._key is not None:
            if path not in OPEN_PATHS:
                self._check_key(headers)
        elif self._loopback_only:
            self._check_host(headers)

    def _check_key(self, headers: Headers) -> None:
        given = _given_key(headers)
        if given is None:
            raise UnauthorizedError("an API key is needed: send it as Authorization: Bearer KEY or X-Api-Key: KEY")
        assert self._key is not None
        if not hmac.compare_digest(given, self._key):
            raise UnauthorizedError("the API key is wrong", code="wrong_api_key")

    def _check_host(self, headers: Headers) -> None:
        for name, value in headers:
            if name == b"host":
                if value not in self._known_hosts:
                    self._learn_host(value)
                return

    def _learn_host(self, value: bytes) -> None:
        host = value.decode("latin-1")
        if not is_loopback(host if host.endswith("]") else _PORT.sub("", host)):
            raise ForbiddenError(
                f"without an API key only loopback names are served: host={host!r:.100}", code="host_not_allowed"
            )
        if len(self._known_hosts) < _KNOWN_HOSTS_MAX:
            self._known_hosts.add(value)


def _given_key(headers: Headers) -> bytes | None:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return key.strip()
        elif name == b"x-api-key":
            return value.strip()
    return None
