"""A switch that keeps language model calls on this machine, for tests."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from models.errors import LLMError

_state = {"loopback_only": False}


def restrict_llms_to_loopback(enabled: bool = True) -> None:  # noqa: FBT001, FBT002 - an on/off switch
    """From now on, in this process, refuse calls to any address but this machine's own; or allow them again."""
    _state["loopback_only"] = enabled


def check_endpoint(url: str) -> None:
    """Raise LLMError if the switch is on and `url` leads off this machine."""
    if _state["loopback_only"] and not _is_loopback(urlsplit(url).hostname or ""):
        raise LLMError("call to a remote language model while only loopback is allowed", provider_url=url)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
