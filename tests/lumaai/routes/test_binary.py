"""Vectors and documents in NumPy's and Arrow's formats: the same answers as in JSON."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.lumaai.serving import Answer, Service, problem_of

POINTS = "/v1/collections/points"
NPY = {"content-type": "application/x-npy"}
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array, dtype=np.float32))
    return file.getvalue()


def arrow(columns: dict[str, Any], **options: Any) -> bytes:
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def fixed(rows: Any) -> Any:
    return pa.array(rows, pa.list_(pa.float32(), len(rows[0])))


def sent(service: Service, path: str, content: bytes, headers: dict[str, str], **params: str) -> Answer:
    return service.request("POST", f"{POINTS}{path}", content=content, headers=headers, params=params)


def plain(answer: Answer) -> Any:
    assert answer.status_code == 200, answer.text
    return {key: value for key, value in answer.json().items() if key not in ("milliseconds", "explain")}


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (npy([0.6, 0.8]), NPY),
        (npy([[0.6, 0.8]]), NPY),
        (arrow({"v": fixed([[0.6, 0.8]])}), ARROW),
        (arrow({"v": pa.array([[0.6, 0.8]], pa.list_(pa.float64()))}), ARROW),
    ],
)
def test_one_vector_is_searched_by(points: Service, content: bytes, headers: dict[str, str]) -> None:
    """As by JSON, with all that JSON says beside a vector in the query string."""
    by_json = points.post(f"{POINTS}/search", {"vector": [0.6, 0.8], "limit": 2})
    assert plain(sent(points, "/search", content, headers, limit="2")) == plain(by_json)
    for given in ('{"id": {"$ne": "b"}}', "id != 'b'"):
        answer = sent(points, "/search", content, headers, filter=given, select="id", params='{"exact": true}')
        assert [hit["id"] for hit in answer.json()["hits"]] == ["c", "a"]
    assert "explain" in sent(points, "/search:explain", content, headers).json()


@pytest.mark.parametrize("headers", [NPY, ARROW])
def test_many_vectors_are_searched_by(points: Service, headers: dict[str, str]) -> None:
    """As by lists."""
    rows = [[1.0, 0.0], [0.0, 1.0]]
    content = npy(rows) if headers is NPY else arrow({"v": fixed(rows)})
    by_json = points.post(f"{POINTS}/search:batch", {"vectors": rows, "limit": 1})
    answer = sent(points, "/search:batch", content, headers, limit="1")
    assert plain(answer) == plain(by_json)
    assert answer.json()["ids"] == [["a"], ["c"]]


def test_documents_come_as_tables_and_arrays(points: Service) -> None:
    """Arrow: a document a row, with vectors as arrays; x-npy: vectors, with ids beside them or made."""
    table = {"id": ["d", "e"], "n": [1, None], "vector": fixed([[0.5, 0.5], [1.0, 2.0]])}
    key = {"idempotency-key": "k"}
    first = sent(points, "/documents", arrow(table), {**ARROW, **key})
    assert plain(first)["added"] == 2
    again = sent(points, "/documents", arrow(table), {**ARROW, **key})
    assert again.headers["idempotency-replayed"] == "true"
    assert plain(sent(points, "/documents", npy([[3.0, 4.0], [5.0, 6.0]]), NPY, ids="f,g"))["added"] == 2
    assert plain(sent(points, "/documents", npy([[7.0, 8.0]]), NPY))["added"] == 1
    fetched = points.post(f"{POINTS}/documents:fetch", {"ids": ["d", "e", "g"], "vectors": True}).json()["documents"]
    assert fetched == [
        {"id": "d", "n": 1, "vector": [0.5, 0.5]}, {"id": "e", "vector": [1.0, 2.0]}, {"id": "g", "vector": [5.0, 6.0]},
    ]  # fmt: skip
    wrong = arrow({"id": ["x", "y"], "vector": fixed([[1.0, 2.0], [0.0, 0.0]])})
    partly = sent(points, "/documents", wrong, ARROW, atomic="false")
    assert [result["status"] for result in partly.json()["results"]] == ["added", "error"]


def test_base64_is_a_vector_in_documents(points: Service) -> None:
    """In a batch, in one document, and in a patch."""
    text = base64.b64encode(np.array([0.5, 0.25], dtype="<f4").tobytes()).decode()
    assert points.post(f"{POINTS}/documents", {"documents": [{"id": "x", "vector": text}]}).status_code == 200
    assert points.put(f"{POINTS}/documents/y", {"vector": text}).status_code == 201
    patched = points.request("PATCH", f"{POINTS}/documents/a", json={"vector": text})
    assert patched.status_code == 200, patched.text
    for id_ in ("x", "y", "a"):
        fetched = points.post(f"{POINTS}/documents:fetch", {"ids": [id_], "vectors": True}).json()["documents"]
        assert fetched == [{"id": id_, "vector": [0.5, 0.25]}]
    short = base64.b64encode(np.array([0.5], dtype="<f4").tobytes()).decode()
    problem = problem_of(points.post(f"{POINTS}/documents", {"documents": [{"id": "z", "vector": short}]}), 422)
    assert problem["errors"][0]["code"] == "dimension_mismatch"


@pytest.mark.parametrize(
    ("path", "content", "headers", "params", "status"),
    [
        ("/search", b"", NPY, {}, 400),
        ("/search", b"nonsense", NPY, {}, 400),
        ("/search", b"nonsense", ARROW, {}, 422),
        ("/search", npy([1.0, 2.0, 3.0]), NPY, {}, 422),
        ("/search", npy([np.nan, 1.0]), NPY, {}, 422),
        ("/search", npy([[1.0, 2.0], [3.0, 4.0]]), NPY, {}, 422),
        ("/search", npy([1.0, 2.0]), NPY, {"limit": "0"}, 422),
        ("/search", npy([1.0, 2.0]), NPY, {"limit": "1000000"}, 413),
        ("/search", npy([1.0, 2.0]), NPY, {"filter": "{"}, 422),
        ("/search", npy([1.0, 2.0]), NPY, {"what": "x"}, 422),
        ("/search", arrow({"v": fixed([[1.0, 2.0]]), "w": [1]}), ARROW, {}, 422),
        ("/search", arrow({"v": pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32()))}), ARROW, {}, 422),
        ("/search", arrow({"v": ["text"]}), ARROW, {}, 422),
        ("/search:batch", npy([1.0, 2.0]), NPY, {}, 422),
        ("/search:batch", npy([[1.0], [2.0]]), NPY, {}, 422),
        ("/search:batch", npy([[np.inf, 1.0]]), NPY, {}, 422),
        ("/documents", npy([[1.0, 2.0]]), NPY, {"ids": "a,b"}, 422),
        ("/documents", npy([[1.0, 2.0, 3.0]]), NPY, {"ids": "a"}, 422),
        ("/documents", arrow({"id": ["a"]}), ARROW, {"ids": "a"}, 422),
        ("/documents", arrow({"id": [1]}), ARROW, {}, 422),
        ("/documents", arrow({"id": ["a"]}), {"content-type": "application/x-other"}, {}, 415),
    ],
)
def test_what_means_nothing_is_refused(
    points: Service, path: str, content: bytes, headers: dict[str, str], params: dict[str, str], status: int
) -> None:
    """A problem of the right status, and nothing is written."""
    problem_of(sent(points, path, content, headers, **params), status)
    assert points.post(f"{POINTS}/count").json() == {"count": 3}


def test_a_json_body_says_nothing_in_the_query_string(points: Service) -> None:
    """What would not be heard is refused."""
    for path, body in (("/search", {"vector": [1.0, 0.0]}), ("/documents", {"documents": [{"id": "x"}]})):
        problem_of(points.request("POST", f"{POINTS}{path}?limit=3", json=body), 422)


@pytest.mark.parametrize(("content", "headers"), [(npy([1, 0]), NPY), (arrow({"vector": fixed([[1, 0]])}), ARROW)])
def test_a_search_by_an_array_waits_for_its_turn(points: Service, content: bytes, headers: dict[str, str]) -> None:
    """As one by JSON does: it runs on the event loop, too."""
    turns = points.app.state.service.turns
    assert sent(points, "/search", content, headers).status_code == 200
    assert turns.given == 1
    points.post(f"{POINTS}/search", {"vector": [1, 0]})
    assert turns.given == 2
