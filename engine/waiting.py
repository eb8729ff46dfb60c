"""Work that may wait for nothing and nobody: what would, raises, and is done again where it may.

For an event loop's thread, which everybody else's work waits for.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType

_MAY_WAIT: ContextVar[bool] = ContextVar("may_wait", default=True)


class WouldWaitError(Exception):
    """What was asked for takes long for once, or has to be waited for: ask again outside of `without_waiting`.

    Not an `EngineError`: nothing is wrong, and it is for whoever said that it may not wait.
    """


class without_waiting:  # noqa: N801  (read as an adverb: `with without_waiting():`)
    """Within it, in this context, `WouldWaitError` is raised instead of waiting.

    A class, since searches are short: a generator's context costs three times as much.
    """

    __slots__ = ("_token",)

    _token: Token[bool]

    def __enter__(self) -> None:
        self._token = _MAY_WAIT.set(False)

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        _MAY_WAIT.reset(self._token)


def check_may_wait(what: str) -> None:
    """Go on where it may wait.

    Raises:
        WouldWaitError: it may not.
    """
    if not _MAY_WAIT.get():
        raise WouldWaitError(what)
