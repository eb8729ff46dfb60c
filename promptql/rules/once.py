"""What is found out about one question, once: its words are taken apart and linked by several readers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

# Name → what was made of it, and the object that it was made for, so that its id stays its own.
_KNOWN: ContextVar[dict[Hashable, tuple[object, object]] | None] = ContextVar("known", default=None)


@contextmanager
def one_question() -> Iterator[None]:
    """Within it, `once` makes each thing once, in this thread; what was made is forgotten at its end."""
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def once(name: Hashable, of: object, make: Callable[[], T]) -> T:
    """What `make` gives for `name` and the object `of`; made each time outside `one_question`. Not to be changed."""
    known = _KNOWN.get()
    if known is None:
        return make()
    key = (name, id(of))
    found = known.get(key)
    if found is None:
        found = known[key] = (make(), of)
    return found[0]  # type: ignore[return-value]  # made by an equal `make`
