"""The plans of the last answers, by their hashes, so that feedback can name them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from promptql.errors import FeedbackError

PLANS_MAX = 1_000


class RecentPlans:
    """Plans by who asked and by hash, bounded: of too many the oldest goes. `_lock` guards them."""

    def __init__(self, plans_max: int = PLANS_MAX) -> None:
        self._plans_max = plans_max
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[str, str], Mapping[str, Any]] = OrderedDict()

    def put(self, asker: str, plan_hash: str, plan: Mapping[str, Any]) -> None:
        """Keep the plan of an answer."""
        with self._lock:
            self._plans[asker, plan_hash] = plan
            self._plans.move_to_end((asker, plan_hash))
            while len(self._plans) > self._plans_max:
                self._plans.popitem(last=False)

    def get(self, asker: str, plan_hash: str) -> Mapping[str, Any]:
        """The plan.

        Raises:
            FeedbackError: the asker has had no answer of that hash, or it is too long ago.
        """
        with self._lock:
            found = self._plans.get((asker, plan_hash))
        if found is None:
            raise FeedbackError(f"no answer of late has this plan: {plan_hash!r:.80}", code="plan_unknown")
        return found
