from __future__ import annotations

import base64
import json
import math
import threading
import time
from typing import Any

import numpy as np
import pytest

from engine.segments.text import CollectionText
from engine.snapshot import QUERIES_A_TURN, Snapshot
from engine.text.errors import TextIndexDamagedError
from engine.text.view import TextView
from lumaai.collection import Collection
from lumaai.scroll import PINS_MAX
from lumaai.wire import SearchRequest
from tests.lumaai.serving import FILMS, Service, http_scope, problem_of

FILMS_SEARCH = "/v1/collections/films/search"
POINTS_SEARCH = "/v1/collections/points/search"
TITLED_SEARCH = "/v1/collections/titled/search"
BATCH = f"{POINTS_SEARCH}:batch"


def encoded(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, dtype="<f4").tobytes()).decode()


@pytest.mark.parametrize("vector", [[1, 0], [1.0, 0.0], encoded(1.0, 0.0)])
def test_a_vector_finds_its_neighbours_best_first(points: Service, vector: Any) -> None:
    """Cosine similarities with (1, 0): 1, 0.6 and 0; lists and base64 alike."""
    answer = points.post(POINTS_SEARCH, {"vector": vector})
    assert answer.status_code == 200
    body = answer.json()
    assert [hit["id"] for hit in body["hits"]] == ["a", "b", "c"]
    assert [hit["score"] for hit in body["hits"]] == pytest.approx([1.0, 0.6, 0.0], abs=1e-6)
    assert body["hits"][0]["document"]["id"] == "a"
    assert body["milliseconds"] > 0
    assert body["sequence"] >= 1


def test_a_text_finds_documents_and_the_passage(films: Service) -> None:
    """The hashing embedder matches words; the passage is a span of the document's own text."""
    body = films.post(FILMS_SEARCH, {"query": "a waitress in Paris", "limit": 1}).json()
    hit = body["hits"][0]
    assert hit["document"] == FILMS[2]
    passage = hit["passage"]
    assert passage["text"] == hit["document"][passage["field"]][passage["start"] : passage["end"]]


def test_offset_limit_filter_and_select(films: Service) -> None:
    """The second page of one of the older films, with its year only."""
    query = {"query": "a film", "filter": {"year": {"$lt": 2000}}, "select": ["year"], "limit": 1}
    first = films.post(FILMS_SEARCH, query).json()["hits"]
    second = films.post(FILMS_SEARCH, {**query, "offset": 1}).json()["hits"]
    assert {first[0]["id"], second[0]["id"]} == {"1", "2"}
    assert set(second[0]["document"]) == {"id", "year"}
    assert films.post(FILMS_SEARCH, {**query, "offset": 2}).json()["hits"] == []


def test_a_document_finds_those_like_it(points: Service) -> None:
    """It is not among its own hits; an id that is not there is 404."""
    assert [hit["id"] for hit in points.post(POINTS_SEARCH, {"id": "a"}).json()["hits"]] == ["b", "c"]
    problem_of(points.post(POINTS_SEARCH, {"id": "no"}), 404, "document_not_found")


def test_explain_says_what_ran(points: Service) -> None:
    """Only when asked for."""
    assert "explain" not in points.post(POINTS_SEARCH, {"vector": [1, 0]}).json()
    asked = points.post(POINTS_SEARCH, {"vector": [1, 0], "explain": True, "params": {"exact": True}}).json()
    (part,) = asked["explain"]["parts"]
    assert set(part) == {"part", "rows", "allowed", "how", "why", "milliseconds"}
    assert (part["rows"], part["allowed"], part["why"]) == (3, 3, "not sealed yet")
    points.post("/v1/collections/points/optimize", {"wait": True})
    few = {"filter": {"id": {"$in": ["a", "b"]}}}
    for path, more in ((POINTS_SEARCH, {"explain": True}), (f"{POINTS_SEARCH}:explain", {})):
        (part,) = points.post(path, {"vector": [1, 0], **few, **more}).json()["explain"]["parts"]
        assert (part["rows"], part["allowed"], part["how"]) == (3, 2, "flat, exact")
        assert part["why"].startswith("auto: ")
    composed = points.post(POINTS_SEARCH, {"positive": ["a"], "diversity": 0.5, "explain": True}).json()["explain"]
    assert [step["step"] for step in composed["steps"]] == ["semantic", "diversity"]
    assert composed["steps"][0]["parts"][0]["allowed"] == 3


def test_a_batch_gives_ids_and_scores(points: Service) -> None:
    """Two vectors, one hit each; lists and base64 alike."""
    for vectors in ([[1, 0], [0, 1]], encoded(1, 0, 0, 1)):
        body = points.post(f"{POINTS_SEARCH}:batch", {"vectors": vectors, "limit": 1}).json()
        assert body["ids"] == [["a"], ["c"]]
        assert body["scores"] == [[pytest.approx(1.0)], [pytest.approx(1.0)]]


def test_the_wrong_size_names_expected_and_got(points: Service) -> None:
    """For one vector and for a batch, at its place."""
    problem = problem_of(points.post(POINTS_SEARCH, {"vector": [1, 2, 3]}), 422, "dimension_mismatch")
    assert problem["detail"] == "vector has wrong size: expected=2 got=3"
    assert (problem["errors"][0]["expected"], problem["errors"][0]["got"]) == (2, 3)
    problem = problem_of(points.post(f"{POINTS_SEARCH}:batch", {"vectors": [[1, 2, 3]]}), 422)
    assert "expected=2 got=3" in problem["detail"]


def test_a_boost_that_is_none_is_told_at_its_place(films: Service) -> None:
    """Of a search, and of one within it."""
    words = {"query": "crew", "mode": "keyword"}
    for boost in ("nan", "x", "0"):
        wrong = {**words, "text_fields": ["plot", f"title^{boost}"]}
        problem = problem_of(films.post(FILMS_SEARCH, wrong), 422)
        assert [item["pointer"] for item in problem["errors"]] == ["/text_fields/1"]
        problem = problem_of(films.post(FILMS_SEARCH, {**words, "prefetch": [wrong]}), 422)
        assert [item["pointer"] for item in problem["errors"]] == ["/prefetch/0/text_fields/1"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"vector": [1.0, True]}, "/vector/1"),
        ({"vector": [1.0, "2"]}, "/vector/1"),
        ({"vector": [1.0, math.nan]}, "/vector/1"),
        ({"vector": [1.0, 1e300]}, "/vector"),
        ({"vector": [1.0, 10**400]}, "/vector/1"),
        ({"vector": "###"}, "/vector"),
        ({"vector": encoded(1.0, math.nan)}, "/vector"),
        ({"vector": {}}, "/vector"),
        ({"vector": [1, 0], "limit": 0}, "/limit"),
        ({"vector": [1, 0], "limit": True}, "/limit"),
        ({"vector": [1, 0], "limit": 1.5}, "/limit"),
        ({"vector": [1, 0], "limits": 1}, "/limits"),
        ({"vector": [1, 0], "params": {"ef_search": 0}}, "/params/ef_search"),
        ({"vector": [1, 0], "filter": {"x": math.inf}}, "/filter"),
        ({"vector": [1, 0], "vector_field": "no"}, "/vector_field"),
        ({"vector": [1, 0], "query": "both"}, ""),
        ({}, ""),
        ([], ""),
        ("text", ""),
        (None, ""),
    ],
)
def test_requests_that_mean_nothing_are_refused_at_their_place(points: Service, body: Any, pointer: str) -> None:
    """422 with a JSON Pointer to the fault."""
    content = json.dumps(body).encode()
    answer = points.post(POINTS_SEARCH, content=content, headers={"content-type": "application/json"})
    problem = problem_of(answer, 422)
    assert [item["pointer"] for item in problem["errors"]] == [pointer]


def test_limits_are_named(points: Service) -> None:
    """413 naming the setting, and where in the request it is passed."""
    deep = {"vector": [1, 0], "limit": 9_000, "offset": 1_001}
    for path, body, setting, pointer in (
        (POINTS_SEARCH, {"vector": [1, 0], "limit": 10_001}, "search_limit_max=10000 got=10001", "/limit"),
        (POINTS_SEARCH, deep, "search_limit_max=10000 got=10001", "/limit"),
        (BATCH, {"vectors": [[1, 0]], "limit": 10_001}, "search_limit_max=10000 got=10001", "/limit"),
        (BATCH, {"searches": [{"id": "a"}, deep]}, "search_limit_max=10000 got=10001", "/searches/1/limit"),
        (BATCH, {"vectors": [[1, 0]] * 1_001}, "search_batch_max=1000 got=1001", "/vectors"),
    ):
        problem = problem_of(points.post(path, body), 413)
        assert setting in problem["detail"]
        assert [item["pointer"] for item in problem["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("vectors", "pointer"),
    [
        ([[1, 0], [0, 0]], "/vectors/1"),
        ([[1, 0, 0]], "/vectors"),
        ([[1, 0], [1]], "/vectors"),
        ([[1, 0], [1, 1e300]], "/vectors"),
        (encoded(1, 0, 0, 0), "/vectors/1"),
        (encoded(1, 0, 0), "/vectors"),
    ],
)
def test_vectors_of_a_batch_are_refused_at_their_place(points: Service, vectors: Any, pointer: str) -> None:
    """422: zero under cosine, of another size, not finite."""
    problem = problem_of(points.post(BATCH, {"vectors": vectors}), 422)
    assert [item["pointer"] for item in problem["errors"]] == [pointer]


def test_text_needs_an_embedded_field(points: Service) -> None:
    """A collection that embeds nothing cannot be searched by text: 422 saying so."""
    problem_of(points.post(POINTS_SEARCH, {"query": "x"}), 422)


@pytest.mark.parametrize("query", ["", "   ", "x" * 20_001])
def test_queries_that_are_none_are_refused(films: Service, query: str) -> None:
    """Blank and over-long texts are 422."""
    problem_of(films.post(FILMS_SEARCH, {"query": query}), 422)


class TurnsOfSearches:
    """Counts the searches of a snapshot; the first waits until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.count = 0
        self.release = threading.Event()
        inner = getattr(Snapshot, name)

        def slowly(snapshot: Snapshot, *given: Any, **options: Any) -> Any:
            self.count += 1
            self.release.wait(20)
            return inner(snapshot, *given, **options)

        monkeypatch.setattr(Snapshot, name, slowly)


@pytest.mark.parametrize(
    ("path", "body", "work"),
    [
        ("search:batch", {"vectors": [[1.0, 0.5]] * 600}, "_search"),
        ("search:batch", {"searches": [{"vector": [1.0, 0.5]}] * 50}, "query"),
        ("facets", {"facets": [f"f{number}" for number in range(20)]}, "allowed"),
    ],
)
def test_what_is_left_of_a_batch_is_not_done_for_a_caller_who_has_left(
    points: Service, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any], work: str
) -> None:
    """What runs ends, nothing more begins, and its place in the lane is free again."""
    fields = {f"f{number}": number for number in range(20)}
    points.post("/v1/collections/points/documents", {"documents": [{"id": "d", "vector": [1.0, 1.0], **fields}]})
    lane = points.app.state.service.searches
    done = lane.done
    turns = TurnsOfSearches(monkeypatch, work)
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content))}
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": content}, {"type": "http.disconnect"}]
    points.send(http_scope("POST", f"/v1/collections/points/{path}", headers), messages)
    turns.release.set()
    for _ in range(400):
        if not lane.taken:
            break
        time.sleep(0.05)
    assert (lane.taken, lane.done) == (0, done + 1)
    assert turns.count <= 1  # none where they left before it began


def test_a_batch_in_turns_finds_what_one_call_finds(points: Service) -> None:
    """More vectors than are searched in one native call; a fault in a later turn names its vector."""
    generator = np.random.default_rng(7)
    documents = [{"id": f"n{i}", "vector": generator.normal(size=2).tolist()} for i in range(300)]
    points.post("/v1/collections/points/documents", {"documents": documents})
    queries = generator.normal(size=(QUERIES_A_TURN * 2 + 5, 2))
    answer = points.post(BATCH, {"vectors": queries.tolist(), "limit": 3}).json()
    alone = points.database.collection("points").search_batch(queries, limit=3)
    assert answer["ids"] == alone.to_json()["ids"]
    queries[-1] = 0
    problem = problem_of(points.post(BATCH, {"vectors": queries.tolist()}), 422)
    assert problem["errors"][0]["pointer"] == f"/vectors/{len(queries) - 1}"


@pytest.mark.parametrize(
    "body",
    [
        {"query": '"moon base"', "mode": "keyword"},
        {"query": "moon " * 60, "mode": "keyword"},
        {"query": "moon", "mode": "hybrid", "vector": [1, 0]},
        {"vector": [1, 0], "filter": {"id": {"$regex": "a"}}},
        {"vector": [1, 0], "filter": {"id": {"$in": ["a"] * 1_000}}},
        {"vector": [1, 0], "filter": {"x" * 1_000: 1}},
        {"vector": [1, 0], "vector_field": "x" * 1_000},
    ],
)
def test_what_may_take_long_never_runs_on_the_event_loop(titled: Service, body: dict[str, Any]) -> None:
    """However short the last ones were: patterns and phrases are wicked, large filters are kept."""
    pace = titled.app.state.service.pace
    for _ in range(3):
        assert titled.post(TITLED_SEARCH, body).status_code in (200, 422)
    assert not pace._seconds
    assert titled.post(TITLED_SEARCH, {"vector": [1, 0], "filter": {"id": {"$in": ["a"]}}}).status_code == 200
    assert len(pace._seconds) == 1


def test_words_are_searched_on_the_event_loop_only_while_their_index_has_all_that_was_written(titled: Service) -> None:
    """The first search after a write adds what was written, for as long as that takes."""
    pace = titled.app.state.service.pace
    body = {"query": "moon", "mode": "keyword"}
    assert len(titled.post(TITLED_SEARCH, body).json()["hits"]) == 2
    assert not pace._seconds
    assert len(titled.post(TITLED_SEARCH, body).json()["hits"]) == 2
    assert len(pace._seconds) == 1
    pace._seconds.clear()
    titled.post("/v1/collections/titled/documents", {"documents": [{"id": "new", "title": "moon", "vector": [1, 1]}]})
    assert len(titled.post(TITLED_SEARCH, body).json()["hits"]) == 3
    assert not pace._seconds


def test_who_leaves_ends_the_measuring_of_recall(points: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of its searches: a purge need not wait for what nobody will read."""
    collection = points.database.collection("points")
    steps: list[float] = []

    def progress(stage: str, fraction: float) -> None:
        assert stage == "measuring"
        steps.append(fraction)
        if len(steps) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collection.recall_told(progress, 3, 1)
    total = round(1 / steps[1])
    assert total % 3 == 0
    assert steps == [step / total for step in range(4)]
    assert points.post("/v1/collections/points/search:recall", {"queries": 3, "limit": 1}).status_code == 200


def test_search_cursors_belong_to_whoever_asked(points: Service) -> None:
    """So that nobody ends the searches of others by beginning many."""
    cursors = points.database._opened.cursors
    collection = points.database.collection("points")
    body = SearchRequest.model_validate({"vector": [1, 0], "limit": 1, "cursor": ""})
    kept = collection.answer_raw(body, owner="one").next_cursor
    assert kept is not None
    for _ in range(PINS_MAX):
        collection.answer_raw(body, owner="other")
    assert collection.answer_raw(body.model_copy(update={"cursor": kept})).ids
    assert points.post(POINTS_SEARCH, {"vector": [1, 0], "limit": 1, "cursor": ""}).status_code == 200
    assert set(cursors._owners.values()) == {"one", "other", "anybody"}


def test_a_damaged_text_index_is_built_again_by_a_thread(titled: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found damaged by a search on the event loop, which goes on to others meanwhile; the answer is the same."""
    body = {"query": "moon", "mode": "keyword"}
    hits = [titled.post(TITLED_SEARCH, body).json()["hits"] for _ in range(3)]
    loop = threading.get_ident()
    found_by: list[int] = []
    built_by: list[int] = []
    search, suspect = TextView.search, CollectionText.suspect

    def damaged_once(view: TextView, *given: Any) -> Any:
        found_by.append(threading.get_ident())
        if len(found_by) <= 2:  # by the search on the loop, and by the one that is done again
            raise TextIndexDamagedError("file is damaged")
        return search(view, *given)

    def suspected(text: CollectionText, error: TextIndexDamagedError) -> None:
        built_by.append(threading.get_ident())
        suspect(text, error)

    monkeypatch.setattr(TextView, "search", damaged_once)
    monkeypatch.setattr(CollectionText, "suspect", suspected)
    assert titled.post(TITLED_SEARCH, body).json()["hits"] == hits[0] == hits[1]
    assert found_by[0] == loop
    assert built_by == [found_by[1]] != [loop]
    pace = titled.app.state.service.pace
    pace._seconds.clear()
    assert titled.post(TITLED_SEARCH, body).json()["hits"] == hits[0]
    assert len(pace._seconds) == 1  # on the loop again


def test_a_write_between_is_waited_for_by_a_thread(titled: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index had all when the search was looked at, and lacks a document when it is done."""
    body = {"query": "moon", "mode": "keyword"}
    for _ in range(3):
        titled.post(TITLED_SEARCH, body)
    (kind,) = titled.app.state.service.pace._seconds
    assert titled.app.state.service.pace.is_short(kind)
    monkeypatch.setattr(Collection, "has_text_at_hand", True)
    view = CollectionText.view
    viewed_by: list[int] = []

    def viewing(text: CollectionText, snapshot: Snapshot) -> TextView:
        viewed_by.append(threading.get_ident())
        return view(text, snapshot)

    monkeypatch.setattr(CollectionText, "view", viewing)
    titled.post("/v1/collections/titled/documents", {"documents": [{"id": "new", "title": "moon", "vector": [1, 1]}]})
    assert len(titled.post(TITLED_SEARCH, body).json()["hits"]) == 3
    assert viewed_by
    assert threading.get_ident() not in viewed_by
