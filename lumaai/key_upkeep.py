"""What is done to API keys: the methods of a `Database`, and of a `Client`, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lumaai.errors import NotFoundError
from lumaai.key_info import GRACE_SECONDS_MAX, KeyInfo, KeyRequest, NewKey, check_seconds
from lumaai.translation import translated
from lumaai.transport import Transport, given_keys, new_key

if TYPE_CHECKING:
    from lumaai.keys import Keyring

KEYS_PATH = "/v1/keys"


class KeyUpkeep:
    """The part of a `Database` that looks after the keys of the service that serves it."""

    keyring: Keyring

    @translated
    def create_key(
        self,
        name: str,
        *,
        verbs: Sequence[str],
        collections: Sequence[str],
        expires_in_seconds: float | None = None,
        requests_per_minute: int | None = None,
        requests_per_day: int | None = None,
    ) -> NewKey:
        """Make an API key. It is shown this once: only a hash of it is kept.

        A service of a database that has keys asks every caller for one.

        Args:
            name: what it is called in lists.
            verbs: of "read", "write", "ask" and "admin": to make, change and drop collections, and, with all of them
                ("*"), what concerns the whole database. "admin" includes the others.
            collections: names, or beginnings of names with a "*" behind, also of collections to come.
            expires_in_seconds: how long it works; None for ever.
            requests_per_minute: at most; what is more is answered with 429.
            requests_per_day: likewise, from midnight to midnight UTC.

        Raises:
            InvalidRequestError: naming what is wrong.
        """
        request = KeyRequest.of(
            name, verbs, collections, expires_in_seconds, requests_per_minute, requests_per_day
        )  # fmt: skip
        return self.keyring.create(request)

    @translated
    def api_keys(self) -> list[KeyInfo]:
        """All API keys, in the order in which they were made; expired ones as well."""
        return self.keyring.infos()

    @translated
    def rotate_key(self, id: str, *, grace_seconds: float = 0.0) -> NewKey:  # noqa: A002
        """Give a key another secret, and leave the rest of it as it is.

        Args:
            id: of the key.
            grace_seconds: how long the secret before goes on working; at most 30 days.

        Raises:
            NotFoundError: there is no such key.
        """
        return self.keyring.rotate(id, grace_seconds)

    @translated
    def revoke_key(self, id: str) -> None:  # noqa: A002
        """Let a key open nothing any more, at once.

        Raises:
            NotFoundError: there is no such key.
        """
        self.keyring.revoke(id)


class RemoteKeyUpkeep:
    """The part of a `Client` that looks after the service's keys; it takes one for "admin" on all collections."""

    _transport: Transport

    def create_key(
        self,
        name: str,
        *,
        verbs: Sequence[str],
        collections: Sequence[str],
        expires_in_seconds: float | None = None,
        requests_per_minute: int | None = None,
        requests_per_day: int | None = None,
    ) -> NewKey:
        """Make an API key; see `Database.create_key`."""
        request = KeyRequest.of(
            name, verbs, collections, expires_in_seconds, requests_per_minute, requests_per_day
        )  # fmt: skip
        return NewKey.from_json(self._transport.write(KEYS_PATH, given_keys(request.to_json()), key=new_key()).body)

    def api_keys(self) -> list[KeyInfo]:
        """All API keys; see `Database.api_keys`."""
        return [KeyInfo.from_json(item) for item in self._transport.get(KEYS_PATH)["keys"]]

    def rotate_key(self, id: str, *, grace_seconds: float = 0.0) -> NewKey:  # noqa: A002
        """Give a key another secret; see `Database.rotate_key`."""
        check_seconds("grace_seconds", grace_seconds, GRACE_SECONDS_MAX, zero=True)
        body = {"grace_seconds": grace_seconds}
        return NewKey.from_json(self._transport.write(f"{_key_path(id)}:rotate", body, key=new_key()).body)

    def revoke_key(self, id: str) -> None:  # noqa: A002
        """Let a key open nothing any more; see `Database.revoke_key`."""
        self._transport.send("DELETE", _key_path(id), safe=False)


def _key_path(id_: Any) -> str:
    if not isinstance(id_, str) or not id_.isalnum() or not id_.isascii():
        raise NotFoundError(f"there is no such key: {id_!r:.40}", code="key_not_found")
    return f"{KEYS_PATH}/{quote(id_, safe='')}"
