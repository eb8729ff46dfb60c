"""What the address of a service may be, and which proxy leads there."""

from __future__ import annotations

import pytest

from lumaai.errors import InvalidRequestError
from lumaai.http.address import Address, proxy_of


def test_the_parts_of_an_address() -> None:
    """Ports have defaults, a path goes before all others, IPv6 has brackets in Host."""
    assert Address.of("http://db") == Address("http", "db", 80, "")
    assert Address.of("https://db:8443/luma/") == Address("https", "db", 8443, "/luma")
    assert Address.of("http://[::1]:8000").authority == "[::1]:8000"
    assert (Address.of("https://db:443").authority, Address.of("http://db:8000").authority) == ("db", "db:8000")


@pytest.mark.parametrize(
    "url", ["ftp://db", "http://db:port", "http://a b", "http://db/a b", "http://user:secret@db", "http://db?x=1"]
)
def test_what_is_no_address_of_a_service_is_refused(url: str) -> None:
    """And a password in it is not repeated."""
    with pytest.raises(InvalidRequestError) as caught:
        Address.of(url)
    assert "secret" not in str(caught.value)


def test_the_environment_names_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """By scheme, or for all, and not for hosts that it excepts."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_of(Address.of("http://db")) is None
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1,.internal")
    assert proxy_of(Address.of("http://db")) == Address("http", "proxy", 3128, "")
    assert proxy_of(Address.of("https://db")) is None
    assert proxy_of(Address.of("http://db.internal")) is None
    assert proxy_of(Address.of("http://127.0.0.1:8000")) is None
