"""Questions as they are answered, conversations, plans and programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lumaai.errors import LumaError
from promptql import Answer, Answered, Event
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


def planning(database: AnyDatabase) -> Any:
    films(database)
    proposal = database.plan("How many films were made after 1970?", collections=["films"], planner="rules")
    answer = database.execute(proposal)
    assert answer.values == database.ask("How many films were made after 1970?", planner="rules").values
    edited = {**proposal.plan, "question": "edited"}
    check = database.validate(edited)
    assert check.valid
    explained = database.explain(edited), database.explain("How many films were made after 1970?", planner="rules")
    events = list(database.execute(edited, stream=True))
    last = events[-1]
    assert isinstance(last, Answered)
    assert last.answer.values == answer.values
    again = database.execute(edited, from_step="s2")
    return proposal, without_usage(answer), check, explained, told(iter(events)), without_usage(again)


def without_usage(answer: Answer) -> dict[str, Any]:
    return {key: value for key, value in answer.to_json().items() if key != "usage"}


def refusing_plans(database: AnyDatabase) -> Any:
    films(database)
    scan = {"id": "a", "op": "scan", "collection": "films"}
    end = {"id": "z", "op": "answer", "input": "a"}
    good = {"question": "?", "steps": [scan, end], "output": "z"}
    bad: list[dict[str, Any]] = [
        {},
        {"steps": [], "output": "z"},
        {**good, "output": "y"},
        {**good, "steps": [{**scan, "collection": "nothing"}, end]},
        {**good, "steps": [scan, {"id": "b", "op": "limit", "input": "a", "n": 10**9}, {**end, "input": "b"}]},
        {**good, "steps": [scan, {"id": "b", "op": "sort", "input": "b", "by": [{"field": "year"}]}, end]},
        {**good, "params": {"x": {"type": "whole"}}},
    ]
    checks = [database.validate(plan) for plan in bad]
    assert not any(check.valid for check in checks)
    results: list[Any] = [outcome(lambda plan=plan: database.execute(plan)) for plan in bad]  # type: ignore[misc]
    results += [
        outcome(lambda: database.execute(good, params={"x": 1})),
        outcome(lambda: database.execute(good, from_step="y")),
        outcome(lambda: database.execute(good, collections=["nothing"])),
        outcome(lambda: database.execute(7)),  # type: ignore[call-overload]
        outcome(lambda: database.execute(good, params=[1])),  # type: ignore[call-overload]
        outcome(lambda: database.explain(bad[0])),
        outcome(lambda: list(database.execute(bad[1], stream=True))),
    ]
    words = {"instruction": "it is sad", "fields": ["plot"], "quality": {"target": "recall", "value": 1}}
    asking = {"id": "b", "op": "llm_filter", "input": "a", **words}
    asks = {**good, "steps": [scan, asking, {**end, "input": "b"}]}
    assert database.validate(asks).valid  # and there is no language model to run it with
    results.append(outcome(lambda: database.execute(asks)))
    assert all(map(refused, results))
    try:
        database.execute(bad[3])
    except LumaError as error:
        places = [(detail.pointer, detail.hint) for detail in error.errors]
    assert places == [("/plan/steps/0/collection", "one of: films")]
    return checks, [(result.error, result.code, result.status) for result in results], places


def programming(database: AnyDatabase) -> Any:
    films(database)
    programs = database.programs
    assert programs.list() == []
    answer = database.ask("How many films were made after 1970?", planner="rules")
    saved = programs.save("since", answer, params={"since": 1970}, description="Films since a year")
    assert (saved.version, saved.inputs["properties"]["since"]["default"]) == (1, 1970)
    assert programs.save("since", saved).version == 1
    runs = [programs.run("since"), programs.run("since", {"since": 1900}), programs.run("since", version=1)]
    assert runs[0].values == answer.values
    assert runs[1].values == (5,)
    second = programs.save("since", {**saved.plan, "question": "another"})
    assert second.versions == (1, 2)
    assert database.collections() == ["films"]
    streamed = told(programs.run("since", {"since": 1980}, stream=True))
    refusals = [
        outcome(lambda: programs.get("nothing")),
        outcome(lambda: programs.get("since", version=9)),
        outcome(lambda: programs.run("nothing")),
        outcome(lambda: programs.run("since", {"since": "soon"})),
        outcome(lambda: programs.run("since", {"until": 1})),
        outcome(lambda: programs.save("a/b", answer)),
        outcome(lambda: programs.save(".a", answer)),
        outcome(lambda: programs.save("a", {"steps": []})),
        outcome(lambda: programs.save("a", answer, params={"x": "no such constant"})),
        outcome(lambda: programs.delete("nothing")),
    ]
    assert all(map(refused, refusals))
    listed = programs.list()
    programs.delete("since")
    assert programs.list() == []
    results = [(result.error, result.code, result.status) for result in refusals]
    found = [program.to_json() | {"created": None} for program in (saved, second, *listed)]
    return found, [without_usage(run) for run in runs], streamed, results


def teaching(database: AnyDatabase) -> Any:
    films(database)
    assert database.lessons.list() == []
    answer = database.ask("How many films were made after 1970?", planner="rules")
    words = {"words": [{"said": "flicks", "collection": "films"}]}
    first = [
        *database.feedback(answer.plan_hash, "right"),
        *database.feedback(answer, "wrong", words),
        *database.feedback(answer.plan, "wrong"),
    ]
    assert [lesson.state.value for lesson in first] == ["pending", "pending"]
    questions: list[dict[str, Any]] = [
        {"question": "How many flicks were made after 1970?", "answer": list(answer.values)},
        {"question": "How many films are there?", "sql": "SELECT count(*) FROM films"},
    ]
    done = database.lessons.review(questions)
    assert (done.questions, done.right_after) == (2, 2)
    assert database.ask("How many flicks were made after 1970?", planner="rules").values == answer.values
    refusals = [
        outcome(lambda: database.feedback("no such hash", "right")),
        outcome(lambda: database.feedback(answer, "perhaps")),
        outcome(lambda: database.feedback(answer, "wrong", {"text": "no"})),
        outcome(lambda: database.feedback(answer, "wrong", {"plan": {"steps": []}})),
        outcome(lambda: database.lessons.review([{"question": "?"}])),
        outcome(lambda: database.lessons.delete("0123456789abcdef")),
        outcome(lambda: database.lessons.delete("a/b")),
    ]
    assert all(map(refused, refusals))
    listed = database.lessons.list()
    for lesson in listed:
        database.lessons.delete(lesson.id)
    assert (database.lessons.list(), database.collections()) == ([], ["films"])
    found = [lesson.to_json() | {"created": None} for lesson in (*first, *done.lessons, *listed)]
    return sorted(found, key=str), [(result.error, result.code, result.status) for result in refusals]


ASKING: list[Scenario] = [streaming, refusing_streams, conversing, planning, refusing_plans, programming, teaching]
