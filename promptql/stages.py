"""Timing of the stages of one question."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Stages:
    """Calls each stage and keeps how long it took; one per question, for one thread."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    def run(self, name: str, stage: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`stage(*args, **kwargs)`."""
        started = time.perf_counter()
        try:
            return stage(*args, **kwargs)
        finally:
            self.milliseconds[name] = round(1000 * (time.perf_counter() - started), 3)
