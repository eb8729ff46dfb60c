"""What stops a plan that runs, and who is told how far it is."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from promptql.errors import LimitExceededError, PlanCancelledError

PROGRESS_SECONDS = 0.1  # between two tellings of one step

Advanced: TypeAlias = "Callable[[str, int, int], None]"  # step, done, total


@dataclass(slots=True)
class Watch:
    """One plan's clock, its end from outside, and the progress of its steps. Safe for the threads of its steps.

    Attributes:
        cancelled: set from outside when nobody wants the answer any more. A language model's call takes it as well.
        seconds_max: what the plan may take, from here on.
        advanced: told how far a step is, in the thread that made the watch: at once from that thread, else when it
            next calls `tell_waiting`.
        inbox: progress of other threads, and whatever else its owner wants to be woken by.
    """

    cancelled: threading.Event = field(default_factory=threading.Event)
    seconds_max: float = 30.0
    advanced: Advanced | None = None
    inbox: queue.SimpleQueue[object] = field(default_factory=queue.SimpleQueue)
    failed: threading.Event = field(default_factory=threading.Event)  # a step beside the others has
    _owner: int = field(default_factory=threading.get_ident)
    _until: float = field(init=False)
    _told: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds_max

    @property
    def seconds_left(self) -> float:
        """Until the plan is out of time; not below 0."""
        return max(0.0, self._until - time.monotonic())

    def stopped(self) -> bool:
        """Whether nobody waits for what steps give."""
        return self.cancelled.is_set() or self.failed.is_set()

    def check(self, step: str) -> None:
        """To be called by a step now and then, between pieces of its work.

        Raises:
            PlanCancelledError: nobody waits for it any more.
            LimitExceededError: the plan is out of time.
        """
        if self.stopped():
            raise PlanCancelledError(f"the plan was cancelled: step={step}")
        if time.monotonic() > self._until:
            raise self.out_of_time(step)

    def out_of_time(self, step: str) -> LimitExceededError:
        """The error of a plan that is."""
        return LimitExceededError(f"the plan ran out of time: limit={self.seconds_max} seconds step={step}")

    def advance(self, step: str, done: int, total: int) -> None:
        """Tell how far a step is: `done` of `total` rows; ten times a second at most, and at its end.

        Raises:
            PlanCancelledError, LimitExceededError: as `check`.
        """
        self.check(step)
        if self.advanced is None or total <= 0:
            return
        now = time.monotonic()
        if done < total and now - self._told.get(step, 0.0) < PROGRESS_SECONDS:
            return
        self._told[step] = now
        progress = Progressed(step, done, total)
        if threading.get_ident() == self._owner:
            self.tell(progress)
        else:
            self.inbox.put(progress)

    def tell(self, progress: Progressed) -> None:
        """Hand progress on, in the thread that made the watch."""
        if self.advanced is not None:
            self.advanced(progress.step, progress.done, progress.total)


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a step is, on its way to the thread that is told."""

    step: str
    done: int
    total: int
