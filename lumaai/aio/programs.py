"""Made from `lumaai/programs.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from lumaai.asked import Asked, ProgramRun, params_json, plan_json, program_name, program_version

if TYPE_CHECKING:
    from promptql import Answer, Event, Program


class AsyncKeeper(Protocol):
    """Where programs are kept."""

    async def save_program(
        self, name: str, plan: Mapping[str, Any], params: Mapping[str, Any], description: str | None
    ) -> tuple[Program, bool]:
        """Keep one, and tell whether that made a new version."""

    async def get_program(self, name: str, version: int | None) -> Program:
        """One of them."""

    async def list_programs(self) -> list[Program]:
        """All of them, by name."""

    async def delete_program(self, name: str) -> None:
        """Forget one."""


class AsyncPrograms:
    """The programs of a database: plans under names, with typed parameters, versions, and schemas of both ends.

    They are kept in the database: durable, in its snapshots, and there again after a restart.
    """

    def __init__(
        self,
        answer: Callable[[Asked], Awaitable[Answer]],
        events: Callable[[Asked], AsyncIterator[Event]],
        keeper: AsyncKeeper,
    ) -> None:
        self._answer = answer
        self._events = events
        self._keeper = keeper

    async def save(
        self,
        name: str,
        plan: Any,
        *,
        params: Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> Program:
        """Keep a plan under a name; another plan under the same name is the next version.

        Args:
            name: letters, digits, `_`, `.` and `-`, up to 128.
            plan: as JSON, or what has one: an answer, a proposal, another program.
            params: constants of the plan that become parameters, by the names that they get: `{"genre": "drama"}`. A
                run that gives no value uses the constant.
            description: what it is for.

        Raises:
            InvalidRequestError: the plan is not valid, has no such constant, or the name is malformed.
        """
        return (await self._keeper.save_program(program_name(name), plan_json(plan), params_json(params), description))[
            0
        ]

    @overload
    async def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        stream: Literal[False] = False,
    ) -> Answer: ...

    @overload
    async def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        stream: Literal[True],
    ) -> AsyncIterator[Event]: ...

    async def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        stream: bool = False,
    ) -> Answer | AsyncIterator[Event]:
        """Run a program.

        Args:
            name: of it.
            params: values of its parameters, as its `inputs` say.
            version: None for the last one.
            stream: as for `ask`.

        Raises:
            NotFoundError: there is none of that name or version.
            InvalidRequestError: a parameter is unknown, missing or of another type.
        """
        asked = ProgramRun.checked(name, params, version)
        return self._events(asked) if stream else await self._answer(asked)

    async def get(self, name: str, *, version: int | None = None) -> Program:
        """A program, as of its last version or of the one named.

        Raises:
            NotFoundError: there is none.
        """
        return await self._keeper.get_program(program_name(name), program_version(version))

    async def list(self) -> builtins.list[Program]:
        """All programs as of their last versions, by name."""
        return await self._keeper.list_programs()

    async def delete(self, name: str) -> None:
        """Forget a program with all its versions.

        Raises:
            NotFoundError: there is none.
        """
        await self._keeper.delete_program(program_name(name))
