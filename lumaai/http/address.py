"""Where a service is, and the proxy on the way to it, if the environment names one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from lumaai.errors import InvalidRequestError

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A scheme, a host and a port, and a path in front of all others.

    Attributes:
        prefix: such as `/lumaai` behind a proxy that serves several; "" mostly.
    """

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def of(cls, url: str) -> Address:
        """The address that a URL names.

        Raises:
            InvalidRequestError: it names no host, or has parts that the address of a service has not.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidRequestError(f"not an address of a service: {url} ({error})") from error
        if not host or parts.scheme not in PORTS or not _is_plain(parts.netloc + parts.path):
            raise InvalidRequestError(f"not an address of a service: {url}")
        if parts.username is not None or parts.query or parts.fragment:
            raise InvalidRequestError("an address has no user, query or fragment: give the key as api_key")
        return cls(parts.scheme, host, port or PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def proxy_of(address: Address) -> Address | None:
    """The proxy that the environment names for an address (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).

    Raises:
        InvalidRequestError: what it names is not the address of an HTTP proxy.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # 30 ms that few need

    proxies = getproxies()
    url = proxies.get(address.scheme) or proxies.get("all")
    if url is None or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    return Address.of(url if "://" in url else f"http://{url}")


def _is_plain(text: str) -> bool:
    """Whether it can stand in the head of a request as it is."""
    return text.isascii() and text.isprintable() and " " not in text
