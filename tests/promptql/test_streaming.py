from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptql.answer import Artifact, Chart, Notice, StepReport
from promptql.events import (
    AnswerDelta,
    Answered,
    ArtifactMade,
    Event,
    PlanMade,
    StepFinished,
    StepProgress,
    StepStarted,
    Tell,
    Warned,
    event_from_json,
)
from promptql.streaming import EVENTS_WAITING_MAX, NobodyListensError, pieces, stream
from tests.promptql.test_answer import full_answer

EVENTS: list[Event] = [
    PlanMade({"steps": []}, "ab", "rules", 0.9, "answer"),
    StepStarted("s1", "scan"),
    StepProgress("s1", 3, 10),
    StepFinished(StepReport("s1", "scan", 10, 3, 0.5)),
    Warned(Notice("ties_cut", "3 more")),
    ArtifactMade(Artifact("a1", ("n",), ({"n": 1},))),
    ArtifactMade(Chart("c1", {"mark": {"type": "bar"}})),
    AnswerDelta("One."),
    Answered(full_answer()),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_events_come_back_from_json(event: Event) -> None:
    """`event_from_json` is the inverse of `to_json`, through text."""
    assert event_from_json(event.type, json.loads(json.dumps(event.to_json()))) == event


def test_an_unknown_event_is_none() -> None:
    """A newer service may send more."""
    assert event_from_json("thought", {}) is None


@given(st.text(max_size=200))
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    """Nothing is lost between them."""
    assert "".join(pieces(text)) == text


def test_a_text_is_cut_behind_sentences_and_lines() -> None:
    """Figures with a point stay whole."""
    assert pieces("It is 3.5. Not 4!\n\n| a |\n| b |") == ["It is 3.5. ", "Not 4!\n\n", "| a |\n", "| b |"]


def test_events_are_passed_on_and_errors_raised() -> None:
    """In their order; then what the work raised."""

    def work(tell: Tell, gone: threading.Event) -> None:
        for event in EVENTS:
            tell(event)
        raise KeyError("broken")

    iterator = stream(work)
    assert [next(iterator) for _ in EVENTS] == EVENTS
    with pytest.raises(KeyError, match="broken"):
        next(iterator)


def test_work_ends_when_nobody_listens() -> None:
    """Closing the iterator ends the work at its next event; a slow listener makes it wait."""
    told, ended = [], threading.Event()

    def work(tell: Tell, gone: threading.Event) -> None:
        try:
            while True:
                tell(AnswerDelta("x"))
                told.append(1)
        except NobodyListensError:
            ended.set()
            raise

    iterator = stream(work)
    next(iterator)
    time.sleep(0.3)
    assert len(told) <= EVENTS_WAITING_MAX + 2
    iterator.close()  # type: ignore[attr-defined]
    assert ended.wait(5.0)


def test_work_that_tells_nothing_is_told_that_nobody_listens() -> None:
    """Long steps look at the event."""
    ended = threading.Event()

    def work(tell: Tell, gone: threading.Event) -> None:
        tell(AnswerDelta("x"))
        if gone.wait(5.0):
            ended.set()

    iterator = stream(work)
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert ended.wait(5.0)
