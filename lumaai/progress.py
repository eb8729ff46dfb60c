"""Progress of work on documents: a bar with its rate in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


def progress_console() -> Console:
    """Where progress is shown: stderr, plainly."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


class DocumentProgress:
    """Shows how many documents are done, and how fast. A context manager; tell it with `at`.

    Args:
        console: where it is shown: as a bar where that is a terminal, else as lines.
        title: what is being done, such as "adding films".
    """

    def __init__(self, console: Console, title: str) -> None:
        self.documents = 0
        self._console, self._title = console, title
        self._bar = _bar(console) if console.is_terminal else None
        self._task = self._bar.add_task(title, total=1.0, facts="") if self._bar else None
        self._started = self._said = time.perf_counter()

    def __enter__(self) -> Self:
        self._started = self._said = time.perf_counter()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Time since the block was entered."""
        return time.perf_counter() - self._started

    @property
    def rate(self) -> float:
        """Documents a second so far."""
        return self.documents / max(self.seconds, 1e-9)

    def at(self, documents: int, fraction: float) -> None:
        """So many documents are done, which is that part (0..1) of all."""
        self.documents = documents
        facts = f"{documents:,} documents, {self.rate:,.0f}/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=fraction, facts=facts)
        elif time.perf_counter() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.perf_counter()
            self._console.print(f"{self._title}: {fraction:.0%}, {facts}")


class StageProgress:
    """Shows how far work in several stages is: a bar in a terminal, a line now and then elsewhere. Tell it with `at`.

    Args:
        console: where it is shown.
        title: what is being done, such as "checking".
        is_measured: whether `at` will be called before the end; else the bar only shows that work goes on.
    """

    def __init__(self, console: Console, title: str, *, is_measured: bool = True) -> None:
        self._console, self._title = console, title
        self._bar = _bar(console) if console.is_terminal else None
        self._task = self._bar.add_task(title, total=1.0 if is_measured else None, facts="") if self._bar else None
        self._said = time.perf_counter()

    def __enter__(self) -> Self:
        self._said = time.perf_counter()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def at(self, stage: str, fraction: float) -> None:
        """The work is at this stage, of which so much (0..1) is done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=1.0, completed=fraction, facts=stage)
        elif time.perf_counter() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.perf_counter()
            self._console.print(f"{self._title}: {stage} {fraction:.0%}")


def _bar(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)
