"""Programs: plans kept under names, the same for a directory and for a service."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from lumaai.asked import Asked, ProgramRun, params_json, plan_json, program_name, program_version

if TYPE_CHECKING:
    from promptql import Answer, Event, Program


class Keeper(Protocol):
    """Where programs are kept."""

    def save_program(
        self, name: str, plan: Mapping[str, Any], params: Mapping[str, Any], description: str | None
    ) -> tuple[Program, bool]:
        """Keep one, and tell whether that made a new version."""

    def get_program(self, name: str, version: int | None) -> Program:
        """One of them."""

    def list_programs(self) -> list[Program]:
        """All of them, by name."""

    def delete_program(self, name: str) -> None:
        """Forget one."""


class Programs:
    """The programs of a database: plans under names, with typed parameters, versions, and schemas of both ends.

    They are kept in the database: durable, in its snapshots, and there again after a restart.
    """

    def __init__(
        self,
        answer: Callable[[Asked], Answer],
        events: Callable[[Asked], Iterator[Event]],
        keeper: Keeper,
    ) -> None:
        self._answer = answer
        self._events = events
        self._keeper = keeper

    def save(
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
        return self._keeper.save_program(program_name(name), plan_json(plan), params_json(params), description)[0]

    @overload
    def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        stream: Literal[False] = False,
    ) -> Answer: ...

    @overload
    def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        stream: Literal[True],
    ) -> Iterator[Event]: ...

    def run(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        stream: bool = False,
    ) -> Answer | Iterator[Event]:
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
        return self._events(asked) if stream else self._answer(asked)

    def get(self, name: str, *, version: int | None = None) -> Program:
        """A program, as of its last version or of the one named.

        Raises:
            NotFoundError: there is none.
        """
        return self._keeper.get_program(program_name(name), program_version(version))

    def list(self) -> builtins.list[Program]:
        """All programs as of their last versions, by name."""
        return self._keeper.list_programs()

    def delete(self, name: str) -> None:
        """Forget a program with all its versions.

        Raises:
            NotFoundError: there is none.
        """
        self._keeper.delete_program(program_name(name))
