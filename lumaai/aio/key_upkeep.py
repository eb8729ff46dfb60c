"""Made from `lumaai/key_upkeep.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from collections.abc import Sequence

from lumaai.aio.transport import AsyncTransport
from lumaai.key_info import GRACE_SECONDS_MAX, KeyInfo, KeyRequest, NewKey, check_seconds
from lumaai.key_upkeep import KEYS_PATH, _key_path
from lumaai.transport import given_keys, new_key


class AsyncKeyUpkeep:
    """The part of a `Client` that looks after the service's keys; it takes one for "admin" on all collections."""

    _transport: AsyncTransport

    async def create_key(
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
        return NewKey.from_json(
            (await self._transport.write(KEYS_PATH, given_keys(request.to_json()), key=new_key())).body
        )

    async def api_keys(self) -> list[KeyInfo]:
        """All API keys; see `Database.api_keys`."""
        return [KeyInfo.from_json(item) for item in (await self._transport.get(KEYS_PATH))["keys"]]

    async def rotate_key(self, id: str, *, grace_seconds: float = 0.0) -> NewKey:  # noqa: A002
        """Give a key another secret; see `Database.rotate_key`."""
        check_seconds("grace_seconds", grace_seconds, GRACE_SECONDS_MAX, zero=True)
        body = {"grace_seconds": grace_seconds}
        return NewKey.from_json((await self._transport.write(f"{_key_path(id)}:rotate", body, key=new_key())).body)

    async def revoke_key(self, id: str) -> None:  # noqa: A002
        """Let a key open nothing any more; see `Database.revoke_key`."""
        await self._transport.send("DELETE", _key_path(id), safe=False)
