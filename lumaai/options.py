"""What a write is told beside its documents: conditions, durability, idempotency key. Checked here, once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lumaai.errors import ErrorDetail, InvalidRequestError

Filter = Mapping[str, Any] | str

DURABILITIES = ("sync", "interval", "none")
IDEMPOTENCY_KEY = r"[!-~]{1,255}"  # visible ASCII: what travels in a header as it is


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a batch is written.

    Attributes:
        atomic: all or nothing; otherwise what is refused is left out.
        if_version: the version that documents must have now, by id; 0: there must be none.
        if_absent: none of the documents may be there.
        if_matches: the stored documents must satisfy this filter; one that is not there does not.
        durability: "sync", "interval" or "none"; None leaves it to the database.
        idempotency_key: the same write with the same key again does nothing and answers the same.
    """

    atomic: bool = True
    if_version: Mapping[str, int] | None = None
    if_absent: bool = False
    if_matches: Filter | None = None
    durability: str | None = None
    idempotency_key: str | None = None

    @property
    def has_conditions(self) -> bool:
        """Whether anything must hold for the write to be done."""
        return bool(self.if_version) or self.if_absent or self.if_matches is not None

    def check(self) -> None:
        """Refuse what no write can be told.

        Raises:
            InvalidRequestError: a value of the wrong type or form.
        """
        _check_versions(self.if_version)
        _check_flag("atomic", self.atomic)
        _check_flag("if_absent", self.if_absent)
        _check_filter(self.if_matches)
        _check_key(self.idempotency_key)
        if self.durability is not None:
            check_durability(self.durability)

    def to_body(self) -> dict[str, Any]:
        """The keys of a request's body that say this; the key travels in a header."""
        body = {
            "atomic": None if self.atomic else False,
            "if_version": None if self.if_version is None else dict(self.if_version),
            "if_absent": self.if_absent or None,
            "if_matches": self.if_matches,
            "durability": self.durability,
        }
        return {key: value for key, value in body.items() if value is not None}


def check_durability(durability: object) -> str:
    """The durability, if it is one.

    Raises:
        InvalidRequestError: it is none.
    """
    if durability not in DURABILITIES:
        wanted = ", ".join(DURABILITIES)
        raise _refused("durability", "unknown_value", f"durability must be one of {wanted}: got={durability!r:.40}")
    return str(durability)


def fingerprint(route: str, body: object) -> str:
    """What tells one request from another under the same idempotency key: a hash of route and canonical body.

    Args:
        route: what is done, such as "add".
        body: everything that decides what it does; keys of objects in any order.
    """
    digest = hashlib.blake2b(route.encode(), digest_size=16)
    digest.update(b"\0")
    try:
        digest.update(msgspec.json.Encoder(order="sorted", enc_hook=_plain).encode(body))
    except (ValueError, TypeError, msgspec.MsgspecError):  # holds what no document may: it is refused later, by place
        digest.update(repr(body).encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A form for what JSON has none for: arrays by their bytes, the rest (which no document may hold) by its repr."""
    if hasattr(value, "tobytes"):
        return {"shape": list(value.shape), "type": str(value.dtype), "bytes": value.tobytes()}
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _refused(name, "type_mismatch", f"{name} must be true or false: got={type(value).__name__}")


def _check_filter(value: object) -> None:
    if value is not None and not isinstance(value, Mapping | str):
        got = type(value).__name__
        raise _refused("if_matches", "type_mismatch", f"if_matches must be a filter: got={got}")


def _check_key(key: object) -> None:
    if key is not None and not (isinstance(key, str) and re.fullmatch(IDEMPOTENCY_KEY, key)):
        message = f"an idempotency key is 1 to 255 visible ASCII characters: got={key!r:.80}"
        raise _refused("idempotency_key", "idempotency_key_invalid", message)


def _check_versions(versions: object) -> None:
    if versions is None:
        return
    if not isinstance(versions, Mapping):
        got = type(versions).__name__
        raise _refused("if_version", "type_mismatch", f"if_version must be versions by id: got={got}")
    for id_, version in versions.items():
        if not isinstance(id_, str) or type(version) is not int or not 0 <= version < 2**63:
            message = f"if_version must give a version (0 for none) for each id: got={id_!r:.40}: {version!r:.40}"
            raise _refused("if_version", "version_invalid", message)


def _refused(name: str, code: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code=code, errors=[ErrorDetail(f"/{name}", code, message)])
