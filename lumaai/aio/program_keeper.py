"""Made from `lumaai/remote_programs.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lumaai.aio.transport import AsyncTransport
from lumaai.asked import program_path
from lumaai.transport import given_keys

if TYPE_CHECKING:
    from promptql import Program


class AsyncProgramKeeper:
    """The programs of a service, over HTTP."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def save_program(
        self, name: str, plan: Mapping[str, Any], params: Mapping[str, Any], description: str | None
    ) -> tuple[Program, bool]:
        """Keep a plan under a name, and tell whether that made a new version."""
        from promptql import Program

        body = given_keys({"plan": plan, "params": params or None, "description": description})
        answer = await self._transport.send("PUT", program_path(name), body=body, safe=True)
        return Program.from_json(answer.json()), answer.status == HTTPStatus.CREATED

    async def get_program(self, name: str, version: int | None) -> Program:
        """A program."""
        from promptql import Program

        parameters = {} if version is None else {"version": version}
        return Program.from_json(await self._transport.get(program_path(name), **parameters))

    async def list_programs(self) -> list[Program]:
        """All programs, by name."""
        from promptql import Program

        return [Program.from_json(item) for item in (await self._transport.get("/v1/programs"))["programs"]]

    async def delete_program(self, name: str) -> None:
        """Forget a program."""
        await self._transport.send("DELETE", program_path(name), safe=False)
