"""Conversations: the last plan of each, kept for a while, so that a follow-up can change it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from promptql.errors import QuestionError
from promptql.planned import Planned

CONVERSATIONS_MAX = 1_000
SECONDS_MAX = 1_800.0
NAME_CHARACTERS_MAX = 128


class Conversations:
    """What was planned last, by conversation. `_lock` guards it; of too many the one unused longest is forgotten.

    Args:
        conversations_max: kept at once.
        seconds_max: how long one is kept after its last question.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        *,
        conversations_max: int = CONVERSATIONS_MAX,
        seconds_max: float = SECONDS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conversations_max = conversations_max
        self._seconds_max = seconds_max
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Planned]] = OrderedDict()

    def last(self, name: str) -> Planned | None:
        """What the last question of a conversation was planned as; None where there is none, or it is too long ago."""
        with self._lock:
            self._forget()
            found = self._kept.get(name)
            return None if found is None else found[1]

    def keep(self, name: str, planned: Planned) -> None:
        """This is now the last plan of the conversation."""
        with self._lock:
            self._kept[name] = (self._clock(), planned)
            self._kept.move_to_end(name)
            self._forget()

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)

    def _forget(self) -> None:
        oldest = self._clock() - self._seconds_max
        while self._kept and (len(self._kept) > self._conversations_max or next(iter(self._kept.values()))[0] < oldest):
            self._kept.popitem(last=False)


def check_conversation(name: object) -> str:
    """The name of a conversation: 1 to 128 printable characters.

    Raises:
        QuestionError: it is none.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise QuestionError(
            f"conversation must be a name of 1 to {NAME_CHARACTERS_MAX} printable characters: got={name!r:.60}",
            code="conversation_invalid",
        )
    return name
