"""Answers as they come: the events of one piece of work, from the thread that does it to whoever iterates."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from promptql.answer import Answer
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


def tell_answer(answer: Answer, tell: Tell) -> Answer:
    """The events that an answer comes to: warnings, artifacts, its text in pieces, and at last itself."""
    for notice in answer.warnings:
        tell(Warned(notice))
    for table in answer.artifacts:
        tell(ArtifactMade(table))
    for chart in answer.charts:
        tell(ArtifactMade(chart))
    for piece in pieces(answer.text):
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
