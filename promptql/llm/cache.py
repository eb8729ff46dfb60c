"""Plans that the model made, by all that it was told: the same question of the same catalog is not asked twice."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

from models import Message
from promptql.llm.manual import compact
from promptql.llm.reply import PlanDraft

ENTRIES_MAX = 512


class PlanCache:
    """The steps of valid plans, bounded: of too many the one unused longest goes. `_lock` guards them.

    The key is the model's name with the messages, which hold the question, what is shown of the catalog (fields,
    ranges, values), the draft and the plan before. So whoever may see less of the catalog, or asks after a change of
    it, has another key. What is taken from here is validated again.
    """

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, PlanDraft] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @staticmethod
    def key(model: str, messages: Sequence[Message]) -> str:
        """The key of a request."""
        told = compact([model, *([message.role, message.content] for message in messages)])
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()

    def get(self, key: str) -> PlanDraft | None:
        """The plan that was made of it; None where there is none."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: str, draft: PlanDraft) -> None:
        """Keep a plan."""
        with self._lock:
            self._entries[key] = draft
            self._entries.move_to_end(key)
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)

    def forget(self, key: str) -> None:
        """Let go of a plan that is not valid any more."""
        with self._lock:
            self._entries.pop(key, None)
