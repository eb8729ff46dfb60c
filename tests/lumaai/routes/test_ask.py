"""Questions over HTTP: answers whole and streamed, conversations, and what is no question."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from lumaai.database import Database
from promptql import Answer
from promptql.errors import PlanCancelledError
from tests.lumaai.serving import FILMS, Service, problem_of

PATH = "/v1/ask"
QUESTION = "how many films after 1980"


@pytest.fixture
def films(service: Service) -> Service:
    service.put("/v1/collections/films", {"embed": {}})
    service.post("/v1/collections/films/documents", {"documents": FILMS})
    return service


def events_of(text: str) -> list[tuple[str, Any]]:
    """Names and data of server-sent events."""
    found = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_streamed_answer_tells_what_happens(films: Service) -> None:
    """The plan first, then each step, the table, the text in pieces, and the same answer as without a stream."""
    response = films.post(PATH, {"question": QUESTION, "stream": True})
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    events = events_of(response.text)
    names = [name for name, _ in events]
    assert names[0] == "plan"
    assert names[-1] == "answer"
    whole = films.post(PATH, {"question": QUESTION}).json()
    assert "".join(data["text"] for name, data in events if name == "answer_delta") == whole["answer"]["text"]
    assert [data for name, data in events if name == "artifact"] == whole["artifacts"]
    last = events[-1][1]
    assert {**last, "usage": None, "steps": None} == {**whole, "usage": None, "steps": None}
    finished = [data["id"] for name, data in events if name == "step_finished"]
    assert finished == [step["id"] for step in last["steps"]]
    assert [data["id"] for name, data in events if name == "step_started"] == finished
    assert Answer.from_json(last).values == (2,)


def test_what_fails_before_the_first_event_has_a_status(films: Service) -> None:
    """As without a stream: a problem, not an event."""
    problem_of(films.post(PATH, {"question": " ", "stream": True}), 422, "question_empty")
    body = {"question": "How many?", "collections": ["nothing"], "stream": True}
    problem_of(films.post(PATH, body), 404, "collection_not_found")


def test_what_fails_later_is_an_event(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream ends with a problem."""
    whole = Database.answer_told

    def told(self: Database, question: Any, tell: Any, cancelled: Any) -> Any:
        def failing(event: Any) -> None:
            tell(event)
            if event.type == "answer_delta":
                films.database.collection("nothing")

        return whole(self, question, failing, cancelled)

    monkeypatch.setattr(Database, "answer_told", told)
    events = events_of(films.post(PATH, {"question": "How many films are there?", "stream": True}).text)
    name, problem = events[-1]
    assert name == "error"
    assert (problem["status"], problem["code"]) == (404, "collection_not_found")


def test_work_ends_when_its_caller_leaves(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not streamed, amid a long step: it is told, and its place is free again."""
    ended = threading.Event()

    def answering(self: Database, asked: Any, tell: Any = None, cancelled: Any = None) -> Any:
        if cancelled.wait(20):
            ended.set()
        raise PlanCancelledError("the plan was cancelled")

    monkeypatch.setattr(Database, "answer_told", answering)
    body = json.dumps({"question": "How many?"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b""}
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    films.send({**scope, "headers": headers}, messages)
    assert ended.wait(10)
    lane = films.app.state.service.asks
    for _ in range(100):
        if not lane.taken:
            break
        time.sleep(0.05)
    assert lane.taken == 0


def test_a_stream_whose_caller_leaves_is_no_failure(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work ends at its next event, and the log has nginx's status for a caller who went away, and no error."""
    whole = Database.answer_told

    def told(self: Database, question: Any, tell: Any, cancelled: Any) -> Any:
        def slow(event: Any) -> None:
            tell(event)
            assert cancelled.wait(20)

        return whole(self, question, slow, None)

    monkeypatch.setattr(Database, "answer_told", told)
    body = json.dumps({"question": "How many films are there?", "stream": True}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b""}
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    films.send({**scope, "headers": headers}, messages)
    logged = [line for line in films.log() if line.get("route") == PATH or line["event"] == "request.failed"]
    assert [(line["event"], line["status"]) for line in logged] == [("request", 499)]


def test_a_stream_gives_its_place_back(films: Service) -> None:
    """One stream after the other, more than there are places."""
    capacity = films.app.state.service.asks.capacity
    for _ in range(capacity + 2):
        assert films.post(PATH, {"question": "How many films are there?", "stream": True}).status_code == 200
    assert films.app.state.service.asks.taken == 0
    assert not [thread.name for thread in threading.enumerate() if thread.name == "promptql-stream"]


def test_a_conversation_goes_on(films: Service) -> None:
    """Under the same name; another one knows nothing of it."""
    body = {"question": "films after 1980", "conversation": "chat-1"}
    assert films.post(PATH, body).json()["conversation"] == "chat-1"
    after = {"question": "only those before 2000", "conversation": "chat-1"}
    assert films.post(PATH, after).json()["answer"]["values"] == ["The Matrix"]
    other = films.post(PATH, {**after, "conversation": "chat-2"}).json()
    assert other["answer"]["values"] != ["The Matrix"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": 7},
        {"question": "x" * 2_001},
        {"question": "How many?", "conversation": ""},
        {"question": "How many?", "conversation": "a\nb"},
        {"question": "How many?", "conversation": "x" * 129},
        {"question": "How many?", "stream": "yes"},
        {"question": "How many?", "planner": "magic"},
        {"question": "How many?", "collections": []},
    ],
)
def test_what_is_no_question_is_refused(films: Service, body: dict[str, Any]) -> None:
    """With a problem, streamed or not."""
    problem_of(films.post(PATH, body), 422)
