"""Where a service keeps programs."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lumaai.asked import program_path
from lumaai.transport import Transport, given_keys

if TYPE_CHECKING:
    from promptql import Program


class RemotePrograms:
    """The programs of a service, over HTTP."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def save_program(
        self, name: str, plan: Mapping[str, Any], params: Mapping[str, Any], description: str | None
    ) -> tuple[Program, bool]:
        """Keep a plan under a name, and tell whether that made a new version."""
        from promptql import Program

        body = given_keys({"plan": plan, "params": params or None, "description": description})
        answer = self._transport.send("PUT", program_path(name), body=body, safe=True)
        return Program.from_json(answer.json()), answer.status == HTTPStatus.CREATED

    def get_program(self, name: str, version: int | None) -> Program:
        """A program."""
        from promptql import Program

        parameters = {} if version is None else {"version": version}
        return Program.from_json(self._transport.get(program_path(name), **parameters))

    def list_programs(self) -> list[Program]:
        """All programs, by name."""
        from promptql import Program

        return [Program.from_json(item) for item in self._transport.get("/v1/programs")["programs"]]

    def delete_program(self, name: str) -> None:
        """Forget a program."""
        self._transport.send("DELETE", program_path(name), safe=False)
