"""Answers as they come: the events of one piece of work, from the thread that does it to whoever iterates."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from promptql.answer import Answer, Artifact, Chart
from promptql.errors import PlanCancelledError
from promptql.events import AnswerDelta, Answered, ArtifactMade, Event, Tell, Warned

EVENTS_WAITING_MAX = 256  # that nobody has taken yet; then the work waits
WAIT_SECONDS = 0.1  # between two looks whether anybody still listens
_PIECES = re.compile(r".+?(?:[.!?](?=\s)|\n+|$)\s*", re.DOTALL)


class NobodyListensError(Exception):
    """Whoever iterated has gone: the work ends at its next event."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class _Finished:
    pass


_Item: TypeAlias = Event | _Failed | _Finished


class Telling:
    """Hands events on, and knows what was told: the text that has been given out, and the artifacts."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.text = ""
        self.artifacts: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        if isinstance(event, AnswerDelta):
            self.text += event.text
        elif isinstance(event, ArtifactMade):
            self.artifacts.add(event.artifact.id)
        self._tell(event)


def tell_answer(answer: Answer, tell: Telling) -> Answer:
    """What has not been told of an answer: warnings, artifacts, its text in pieces, and at last itself."""
    for notice in answer.warnings:
        tell(Warned(notice))
    made: tuple[Artifact | Chart, ...] = (*answer.artifacts, *answer.charts)
    for artifact in made:
        if artifact.id not in tell.artifacts:
            tell(ArtifactMade(artifact))
    assert answer.text.startswith(tell.text)
    for piece in pieces(answer.text[len(tell.text) :]):
        tell(AnswerDelta(piece))
    tell(Answered(answer))
    return answer


def pieces(text: str) -> list[str]:
    """A text cut behind sentences and lines; joined, the pieces are the text."""
    return [match.group() for match in _PIECES.finditer(text)]


def stream(work: Callable[[Tell, threading.Event], object]) -> Iterator[Event]:
    """The events that `work` tells, as they come; what it raises is raised here.

    The work runs in a thread of its own. When the iterator is closed the event that it is given is set, for it to end
    at its next look, and what it tells then raises.
    """
    waiting: queue.Queue[_Item] = queue.Queue(EVENTS_WAITING_MAX)
    gone = threading.Event()
    threading.Thread(target=_run, args=(work, waiting, gone), name="promptql-stream", daemon=True).start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _Finished):
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        gone.set()


def _run(work: Callable[[Tell, threading.Event], object], waiting: queue.Queue[_Item], gone: threading.Event) -> None:
    def put(item: _Item) -> None:
        while not gone.is_set():
            try:
                waiting.put(item, timeout=WAIT_SECONDS)
            except queue.Full:
                continue
            return
        raise NobodyListensError

    try:
        work(put, gone)
        put(_Finished())
    except (NobodyListensError, PlanCancelledError):
        return
    except BaseException as error:  # noqa: BLE001 - raised where the events are taken
        try:
            put(_Failed(error))
        except NobodyListensError:
            return
