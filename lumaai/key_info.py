"""What is told of API keys, embedded and over HTTP alike; never their secrets, but once, when one is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from lumaai.access import Grant
from lumaai.errors import ErrorDetail, InvalidRequestError

NAME_CHARACTERS_MAX = 100
SECONDS_MAX = 100 * 366 * 86_400
GRACE_SECONDS_MAX = 30 * 86_400
REQUESTS_MAX = 10**9


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret.

    Attributes:
        id: how it is named in calls and logs; it is the middle of the key itself.
        name: what its maker called it.
        verbs: of "read", "write", "ask" and "admin", which includes the others.
        collections: names, or beginnings of names with a "*" behind; "*" is all of them.
        created: when, in UTC.
        expires: when it stops to work; None: never.
        last_used: when it was last used, to the minute or so; None: never.
        requests_per_minute: at most; None: without a bound of its own.
        requests_per_day: likewise.
    """

    id: str
    name: str
    verbs: tuple[str, ...]
    collections: tuple[str, ...]
    created: str
    expires: str | None = None
    last_used: str | None = None
    requests_per_minute: int | None = None
    requests_per_day: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The key in the shape of the HTTP API."""
        return {**asdict(self), "verbs": list(self.verbs), "collections": list(self.collections)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KeyInfo:
        """Read the HTTP API's shape; keys that are not known are left out."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**known, "verbs": tuple(data["verbs"]), "collections": tuple(data["collections"])})


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made or rotated.

    Attributes:
        key: what to send; it is shown this once and kept nowhere.
        info: the rest.
    """

    key: str
    info: KeyInfo

    def __repr__(self) -> str:
        return f"NewKey(key=…, info={self.info!r})"

    def to_json(self) -> dict[str, Any]:
        """The key in the shape of the HTTP API."""
        return {"key": self.key, **self.info.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NewKey:
        """Read the HTTP API's shape."""
        return cls(str(data["key"]), KeyInfo.from_json(data))


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key to make, checked: the embedded database and the client refuse the same in the same words."""

    name: str
    grant: Grant
    expires_in_seconds: float | None
    requests_per_minute: int | None
    requests_per_day: int | None

    @classmethod
    def of(
        cls,
        name: Any,
        verbs: Sequence[str],
        collections: Sequence[str],
        expires_in_seconds: Any,
        requests_per_minute: Any,
        requests_per_day: Any,
    ) -> KeyRequest:
        """Check what was given.

        Raises:
            InvalidRequestError: naming the place.
        """
        if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
            raise _refused("/name", f"name must be 1 to {NAME_CHARACTERS_MAX} printable characters")
        grant = Grant.of(verbs, collections)
        check_seconds("expires_in_seconds", expires_in_seconds, SECONDS_MAX)
        for field, number in (("requests_per_minute", requests_per_minute), ("requests_per_day", requests_per_day)):
            whole = isinstance(number, int) and not isinstance(number, bool)
            if number is not None and not (whole and 1 <= number <= REQUESTS_MAX):
                raise _refused(f"/{field}", f"{field} must be a whole number from 1 to {REQUESTS_MAX}")
        return cls(name, grant, expires_in_seconds, requests_per_minute, requests_per_day)

    def to_json(self) -> dict[str, Any]:
        """The body of the request that makes it."""
        return {
            "name": self.name,
            "verbs": sorted(self.grant.verbs),
            "collections": list(self.grant.collections),
            "expires_in_seconds": self.expires_in_seconds,
            "requests_per_minute": self.requests_per_minute,
            "requests_per_day": self.requests_per_day,
        }


def check_seconds(name: str, seconds: Any, maximum: float, *, zero: bool = False) -> None:
    """Refuse what is no time span from now on.

    Raises:
        InvalidRequestError: naming the place.
    """
    if seconds is None:
        return
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not (0 <= seconds <= maximum) or (seconds == 0 and not zero):
        raise _refused(f"/{name}", f"{name} must be {'from' if zero else 'above'} 0 and at most {maximum:g}")


def instant(seconds: float | None) -> str | None:
    """A time since 1970 in ISO 8601, in UTC and whole seconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _refused(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
