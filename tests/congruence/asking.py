"""Questions as they are answered, conversations, plans and programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promptql import Answered, Event
from tests.congruence.agreement import outcome
from tests.congruence.material import AnyDatabase, Scenario, films, refused

QUESTION = "How many films are there per year?"


def told(events: Iterator[Event]) -> list[tuple[str, Any]]:
    """What happened, without how long it took."""
    found = []
    for event in events:
        data = event.to_json()
        data.pop("usage", None)
        found.append((event.type, data))
    return found


def streaming(database: AnyDatabase) -> Any:
    films(database)
    events = list(database.ask(QUESTION, planner="rules", stream=True))
    last = events[-1]
    assert isinstance(last, Answered)
    assert last.answer.values == database.ask(QUESTION, planner="rules").values
    assert {event.type for event in events} == {
        "plan", "step_started", "step_finished", "artifact", "answer_delta", "answer",
    }  # fmt: skip
    return told(iter(events))


def refusing_streams(database: AnyDatabase) -> Any:
    films(database)
    results = [
        outcome(lambda: list(database.ask("", stream=True))),
        outcome(lambda: list(database.ask("How many?", collections=["nothing"], stream=True))),
        outcome(lambda: list(database.ask("How many?", planner="llm", stream=True))),
        outcome(lambda: database.ask("How many?", planner="magic", stream=True)),
        outcome(lambda: database.ask("How many?", conversation="")),
        outcome(lambda: database.ask("How many?", conversation=7)),  # type: ignore[call-overload]
    ]
    assert all(map(refused, results))
    events = database.ask(QUESTION, stream=True)
    first = next(events)
    events.close()  # type: ignore[attr-defined]
    assert first.type == "plan"
    return [(result.error, result.status) for result in results], told(database.ask(QUESTION, stream=True))


def conversing(database: AnyDatabase) -> Any:
    films(database)
    asked = ["films after 1960", "only those before 2000", "how many are there?", "films in 1982"]
    answers = [database.ask(question, planner="rules", conversation="a") for question in asked]
    assert answers[0].conversation == "a"
    assert answers[2].values == (len(answers[1].values),)
    other = database.ask("only those before 2000", planner="rules", conversation="b")
    return [(answer.text, answer.values, answer.plan, answer.assumptions) for answer in (*answers, other)]


ASKING: list[Scenario] = [streaming, refusing_streams, conversing]
