from __future__ import annotations

import asyncio
import gzip
import io
import json
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lumaai.errors import ModelUnavailableError
from lumaai.ingestion import uploads
from lumaai.routes import bulk
from lumaai.routes.parse import COUNTED_BYTES_MIN
from lumaai.routes.upload import BYTES_A_TURN, LINE_BYTES_MIN
from tests.lumaai.serving import Service, http_scope, problem_of, serving
from tests.work import calls_of

BULK = "/v1/collections/films/documents:bulk"
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def empty(service: Service) -> Service:
    """A service with a collection that embeds nothing."""
    service.put("/v1/collections/films", {"fields": {"year": {"type": "integer"}}, "embed": {}})
    return service


def upload(service: Service, content: bytes, **options: Any) -> list[dict[str, Any]]:
    answer = service.request("POST", BULK, content=content, headers=NDJSON, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_lines_go_in_and_a_summary_comes_last(empty: Service) -> None:
    """600 documents are three batches (256, 256, 88), each with its lines, then the sum."""
    content = b"".join(b'{"id": "%d", "year": %d}\n' % (n, n) for n in range(600))
    lines = upload(empty, content)
    assert [(line["first_line"], line["last_line"]) for line in lines[:-1]] == [(1, 256), (257, 512), (513, 600)]
    summary = lines[-1]
    assert (summary["type"], summary["lines"], summary["added"], summary["failed"]) == ("summary", 600, 600, 0)
    assert empty.post("/v1/collections/films/count").json() == {"count": 600}
    again = upload(empty, content)[-1]
    assert (again["added"], again["skipped"]) == (0, 600)


def test_bad_lines_are_named_and_the_rest_goes_in(empty: Service) -> None:
    """Not JSON, not an object, a wrong type: by line and reason; blank lines and a last line without end are fine."""
    content = b'\xef\xbb\xbf{"id": "1"}\r\n\n{"id": \n[1]\n{"id": "4", "year": "x"}\n{"id": "5"}'
    lines = upload(empty, content)
    bad = {line["line"]: line["code"] for line in lines if line["type"] == "error"}
    assert set(bad) == {3, 4, 5}
    assert bad[3] == "invalid_json"
    assert bad[4] == "wrong_type"
    year = next(line for line in lines if line.get("line") == 5)
    assert year["pointer"] == "/year"
    assert {key: lines[-1][key] for key in ("lines", "added", "failed", "stopped")} == {
        "lines": 6, "added": 2, "failed": 3, "stopped": False,
    }  # fmt: skip


@pytest.mark.parametrize("bad", [b"nonsense", b'{"id": "x", "year": "x"}'])
def test_strict_stops_at_the_first_bad_line(empty: Service, bad: bytes) -> None:
    """What stands before it is written, what follows is not."""
    content = b'{"id": "1"}\n' + bad + b'\n{"id": "3"}\n'
    lines = upload(empty, content, params={"strict": "true"})
    assert [line["line"] for line in lines if line["type"] == "error"] == [2]
    assert (lines[-1]["added"], lines[-1]["failed"], lines[-1]["stopped"]) == (1, 1, True)
    assert empty.post("/v1/collections/films/documents:fetch", {"ids": ["1", "3"]}).json() == {
        "documents": [{"id": "1"}, None]
    }


def test_a_line_may_arrive_in_pieces(empty: Service) -> None:
    """Line and piece ends need not agree; two lines may share a piece."""
    pieces = [b'{"id"', b': "1"}', b'\n{"id": "2"}\n{"i', b'd": "3"}']
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = empty.send(http_scope("POST", BULK, NDJSON), messages)
    summary = json.loads(b"".join(message.get("body", b"") for message in sent).splitlines()[-1])
    assert (summary["lines"], summary["added"]) == (3, 3)


def test_a_line_that_is_too_long_is_dropped_and_named(tmp_path: Path) -> None:
    """The next line is read as usual."""
    with serving(tmp_path, line_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        content = b'{"id": "1"}\n{"id": "2", "x": "' + b"y" * 5000 + b'"}\n{"id": "3"}\n'
        lines = upload(service, content)
    assert [(line["line"], line["code"]) for line in lines if line["type"] == "error"] == [(2, "line_too_long")]
    assert lines[-1]["added"] == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \r\n "])
def test_an_empty_upload_is_refused(empty: Service, content: bytes) -> None:
    """422: most likely the caller meant to send something."""
    problem_of(empty.request("POST", BULK, content=content, headers=NDJSON), 422, "empty_batch")


def test_what_fails_before_the_answer_begins_has_a_status(empty: Service) -> None:
    """Another type is 415, no collection 404, a bad option 422."""
    line = b'{"id": "1"}'
    problem_of(empty.request("POST", BULK, content=line, headers={"content-type": "text/plain"}), 415)
    problem_of(empty.request("POST", BULK.replace("films", "no"), content=line, headers=NDJSON), 404)
    problem_of(empty.request("POST", f"{BULK}?strict=1", content=line, headers=NDJSON), 422)


def test_an_upload_that_is_cut_off_ends(empty: Service) -> None:
    """The caller went away in the middle: no answer, a line in the log, and the service goes on."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"id": "1"}\n{"id', "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert empty.send(http_scope("POST", BULK, NDJSON), messages) == []
    assert empty.log()[-1]["status"] == 499
    assert empty.get("/healthz").status_code == 200


def test_an_upload_that_stands_still_is_ended(tmp_path: Path) -> None:
    """408 when nothing has been answered yet; the wait is bounded by request_seconds_max."""
    with serving(tmp_path, request_seconds_max=0.1) as service:
        service.put("/v1/collections/films", {"embed": {}})
        messages = [{"type": "http.request", "body": b'{"id": "1"}\n', "more_body": True}]
        sent = service.send(http_scope("POST", BULK, NDJSON), messages)
    assert sent[0]["status"] == 408


def test_an_upload_over_its_limit_is_refused(tmp_path: Path) -> None:
    """413 by the declared length."""
    with serving(tmp_path, bulk_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        problem_of(service.request("POST", BULK, content=b"x" * 1025, headers=NDJSON), 413)


def test_an_upload_that_stands_still_later_ends_with_an_error_line(tmp_path: Path) -> None:
    """The answer has begun: what was written is told, then the error, then the sum."""
    with serving(tmp_path, request_seconds_max=0.1) as service:
        service.put("/v1/collections/films", {"embed": {}})
        content = b"".join(b'{"id": "%d"}\n' % number for number in range(300))
        sent = service.send(
            http_scope("POST", BULK, NDJSON), [{"type": "http.request", "body": content, "more_body": True}]
        )
    lines = [json.loads(line) for line in b"".join(message.get("body", b"") for message in sent).splitlines()]
    assert [line["type"] for line in lines] == ["batch", "error", "summary"]
    assert lines[1]["code"] == "body_timeout"
    assert (lines[2]["added"], lines[2]["stopped"]) == (256, True)
    assert sent[-1]["more_body"] is False


def test_a_byte_order_mark_may_come_in_pieces(empty: Service) -> None:
    """It is left out wherever the pieces end; alone it is an empty upload."""
    pieces = [b"\xef", b"\xbb", b'\xbf{"id": "1"}\n', b'{"id": "2"}']
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    sent = empty.send(http_scope("POST", BULK, NDJSON), [*messages, {"type": "http.request", "body": b""}])
    summary = json.loads(b"".join(message.get("body", b"") for message in sent).splitlines()[-1])
    assert (summary["added"], summary["failed"]) == (2, 0)
    problem_of(empty.request("POST", BULK, content=b"\xef\xbb\xbf", headers=NDJSON), 422, "empty_batch")


PARQUET = "application/vnd.apache.parquet"
ARROW_STREAM, ARROW_FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
TABLE = pa.table({"id": [str(n) for n in range(600)], "year": range(600), "title": ["a", "b", None] * 200})


def packed(table: Any, kind: str, **options: Any) -> bytes:
    """A table in one of the formats."""
    sink = io.BytesIO()
    if kind == PARQUET:
        pq.write_table(table, sink, **options)
    elif kind.startswith("text/"):
        rows = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in table.to_pylist()]
        sink.write("\n".join([",".join(table.column_names), *rows]).encode())
    else:
        make = pa.ipc.new_stream if kind == ARROW_STREAM else pa.ipc.new_file
        with make(sink, table.schema, **options) as writer:
            writer.write_table(table, max_chunksize=100)
    return sink.getvalue()


def lines_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("kind", [PARQUET, ARROW_STREAM, ARROW_FILE, "text/csv"])
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_go_in_row_by_row(empty: Service, kind: str, zipped: bool) -> None:
    """The same documents whatever they come in, answered batch by batch; nothing of the upload stays on disk."""
    content = packed(TABLE, kind)
    headers = {"content-type": kind, **({"content-encoding": "gzip"} if zipped else {})}
    answer = empty.request("POST", BULK, content=gzip.compress(content) if zipped else content, headers=headers)
    lines = lines_of(answer)
    assert [line["type"] for line in lines] == ["batch", "batch", "batch", "summary"]
    assert lines[-1]["added"] == 600
    fetched = empty.post("/v1/collections/films/documents:fetch", {"ids": ["0", "2", "599"]}).json()["documents"]
    assert fetched == [{"id": "0", "year": 0, "title": "a"}, {"id": "2", "year": 2}, {"id": "599", "year": 599}]
    assert list((empty.database.path / "uploads").iterdir()) == []


def test_vectors_and_bad_rows_of_a_table(points: Service) -> None:
    """A list of numbers is a vector; a row that does not fit is named by its number."""
    table = pa.table(
        {"id": ["x", "y", "z"], "vector": pa.array([[1.0, 0.5], [1.0], [0.0, 2.0]], pa.list_(pa.float32()))}
    )
    path = "/v1/collections/points/documents:bulk"
    lines = lines_of(points.request("POST", path, content=packed(table, PARQUET), headers={"content-type": PARQUET}))
    assert [(line["line"], line["pointer"]) for line in lines if line["type"] == "error"] == [(2, "/vector")]
    assert lines[-1]["added"] == 2


@pytest.mark.parametrize("kind", [PARQUET, ARROW_STREAM, ARROW_FILE])
@pytest.mark.parametrize("damage", ["cut", "noise", "other"])
def test_a_damaged_table_is_refused(empty: Service, kind: str, damage: str) -> None:
    """422 that tells what it was taken for, or an error line where batches went in before; never a 500."""
    content = packed(TABLE, kind)
    damaged = {"cut": content[: len(content) // 3], "noise": bytes(97) + content[97:], "other": b"PAR1 no table"}[
        damage
    ]
    answer = empty.request("POST", BULK, content=damaged, headers={"content-type": kind})
    assert str(empty.database.path) not in answer.text
    if answer.status_code == 200:
        assert answer.text.splitlines()[-2].startswith('{"type":"error"')
    else:
        problem_of(answer, 422)


def test_compressed_arrow_is_refused(empty: Service) -> None:
    """Into how much it inflates nobody knows before: gzip around it is counted, compression within is not taken."""
    content = packed(TABLE, ARROW_STREAM, options=pa.ipc.IpcWriteOptions(compression="zstd"))
    answer = empty.request("POST", BULK, content=content, headers={"content-type": ARROW_STREAM})
    problem_of(answer, 422, "compression_unsupported")


def test_a_value_that_stands_for_many_is_counted_in_each_row(tmp_path: Path) -> None:
    """A large value that a dictionary has once is refused in each row that is too large with it."""
    table = pa.table({"id": [str(n) for n in range(50)], "text": pa.array(["x" * 5000] * 50).dictionary_encode()})
    with serving(tmp_path, line_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        for kind in (PARQUET, ARROW_STREAM):
            lines = lines_of(service.request("POST", BULK, content=packed(table, kind), headers={"content-type": kind}))
            assert {line["code"] for line in lines[:-1]} == {"record_invalid"}
            assert (lines[-1]["added"], lines[-1]["failed"]) == (0, 50)


WORD = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["x" * 20_000]))
VIEWS = pa.Array.from_buffers(
    pa.string_view(),
    2_000,
    [None, pa.py_buffer(struct.pack("<i4sii", 20_000, b"xxxx", 0, 0) * 2_000), pa.py_buffer(b"x" * 20_000)],
)
ONES = pa.ListViewArray.from_arrays(
    pa.array([0] * 2_000, pa.int32()), pa.array([2_000] * 2_000, pa.int32()), pa.array([1] * 2_000)
)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (PARQUET, pa.ListArray.from_arrays([0, 2_000], WORD)),
        (ARROW_STREAM, pa.ListArray.from_arrays([0, 2_000], WORD)),
        (ARROW_STREAM, pa.MapArray.from_arrays([0, 2_000], pa.array([str(n) for n in range(2_000)]), WORD)),
        (
            ARROW_FILE,
            pa.ListArray.from_arrays([0, 2_000], VIEWS),
        ),
        (ARROW_STREAM, pa.ListViewArray.from_arrays([0], [2_000], ONES)),
    ],
)
def test_a_row_that_stands_for_too_much_is_refused_before_it_is_made(tmp_path: Path, kind: str, value: Any) -> None:
    """Forty megabytes of a few kilobytes, however they are hidden; the row beside it goes in."""
    table = pa.table({"id": ["large", "small"], "v": pa.concat_arrays([value, pa.nulls(1, value.type)])})
    with serving(tmp_path, line_bytes_max=1 << 20) as service:
        service.put("/v1/collections/films", {"embed": {}})
        lines = lines_of(service.request("POST", BULK, content=packed(table, kind), headers={"content-type": kind}))
        assert [(line["line"], line["code"]) for line in lines if line["type"] == "error"] == [(1, "record_invalid")]
        assert "row is too large" in lines[0]["message"]
        assert lines[-1]["added"] == 1


@pytest.mark.parametrize("kind", [PARQUET, ARROW_STREAM])
def test_a_table_that_stands_for_too_much_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that each may be so large, but not so many of one value."""
    monkeypatch.setattr(uploads, "ROWS_FREELY_BYTES", 4 << 20)
    monkeypatch.setattr(uploads, "ROWS_TIMES_MAX", 20)
    ids = [str(number) for number in range(1_000)]
    table = pa.table({"id": ids, "v": pa.array(["x" * 20_000] * 1_000).dictionary_encode()})
    with serving(tmp_path) as service:
        service.put("/v1/collections/films", {"embed": {}})
        answer = service.request("POST", BULK, content=packed(table, kind), headers={"content-type": kind})
    problem_of(answer, 422, "too_large")
    assert "maximum=4194304" in answer.text
    assert str(service.database.path) not in answer.text


VALUES: list[tuple[Any, Any]] = [
    (pa.array(["x"]).dictionary_encode(), "x"),
    (pa.array(["x"], pa.large_string()), "x"),
    (pa.array(["x"], pa.string_view()), "x"),
    (pa.array([1577934245123456789], pa.timestamp("ns")).dictionary_encode(), "2020-01-02T03:04:05.123456"),
    (pa.array([[1577934245123456789]], pa.list_(pa.timestamp("ns"), 1)), ["2020-01-02T03:04:05.123456"]),
    (pa.array([1577934245], pa.timestamp("s", "Europe/Paris")), "2020-01-02T04:04:05+01:00"),
    (pa.array([1577934245000], pa.timestamp("ms", "+05:30")), "2020-01-02T08:34:05+05:30"),
    (pa.array([Decimal("1.50")]), 1.5),
    (pa.array([Decimal(12345678901234567890)]), 12345678901234567890),
    (pa.array([[[1, 2], []]]), [[1, 2], []]),
    (pa.array([[{"a": 1, "b": None}]]), [{"a": 1, "b": None}]),
    (pa.array([[1.5, 2.5]], pa.list_(pa.float32(), 2)), [1.5, 2.5]),
    (pa.array([b"0123456789abcdef"], pa.uuid()), "30313233-3435-3637-3839-616263646566"),
    (pa.array([b"\x00\xff"]), "AP8="),
]


@pytest.mark.parametrize("kind", [PARQUET, ARROW_STREAM, ARROW_FILE])
@pytest.mark.parametrize(("column", "value"), VALUES, ids=[str(column.type)[:40] for column, _ in VALUES])
def test_values_of_tables_become_json(empty: Service, kind: str, column: Any, value: Any) -> None:
    """Whatever writers make of a column; a null beside it is left out."""
    table = pa.table({"id": ["a", "b"], "v": pa.concat_arrays([column, pa.nulls(1, column.type)])})
    lines = lines_of(empty.request("POST", BULK, content=packed(table, kind), headers={"content-type": kind}))
    assert lines[-1]["added"] == 2, lines
    fetched = empty.post("/v1/collections/films/documents:fetch", {"ids": ["a", "b"]}).json()
    assert fetched == {"documents": [{"id": "a", "v": value}, {"id": "b"}]}


def test_a_time_zone_that_there_is_not_is_named(empty: Service) -> None:
    """In each row, by its column."""
    table = pa.table({"id": ["a"], "at": pa.array([1], pa.timestamp("s", "Nowhere/Land"))})
    lines = lines_of(empty.request("POST", BULK, content=packed(table, PARQUET), headers={"content-type": PARQUET}))
    assert lines[0]["message"] == "column 'at' has an unknown time zone: 'Nowhere/Land'"


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    """A hundred kilobytes that become a hundred megabytes end at the limit, as one line or as many."""
    with serving(tmp_path, bulk_bytes_max=4 << 20, line_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        headers = {**NDJSON, "content-encoding": "gzip"}
        bomb = gzip.compress(b"x" * (100 << 20))
        assert len(bomb) < 200_000
        problem_of(service.request("POST", BULK, content=bomb, headers=headers), 413, "body_too_large")
        bad = service.request("POST", BULK, content=b"no gzip", headers=headers)
        problem_of(bad, 400, "invalid_gzip")
        cut = gzip.compress(b'{"id": "1"}\n')[:-6]
        problem_of(service.request("POST", BULK, content=cut, headers=headers), 400, "invalid_gzip")
        zipped = {"content-type": "application/json", "content-encoding": "gzip"}
        answer = service.request("POST", "/v1/collections/films/search", content=bomb[:1000], headers=zipped)
        problem_of(answer, 415, "unsupported_encoding")


def test_what_inflates_beyond_reason_is_refused_without_a_small_limit(empty: Service) -> None:
    """No document is a thousand times as long as its gzip."""
    headers = {**NDJSON, "content-encoding": "gzip"}
    bomb = gzip.compress(b"x" * (100 << 20))
    problem_of(empty.request("POST", BULK, content=bomb, headers=headers), 413, "body_too_large")


def test_a_cut_upload_goes_on_without_doubles(empty: Service) -> None:
    """Documents without ids of their own: cut in the middle, then sent again from the last answer, or as a whole."""
    content = b"".join(b'{"year": %d}\n' % n for n in range(1_000))
    headers = {**NDJSON, "idempotency-key": "upload-1"}
    cut: list[dict[str, Any]] = [
        {"type": "http.request", "body": content[: content.index(b'{"year": 700}')], "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = empty.send(http_scope("POST", BULK, headers), cut)
    answered = [json.loads(line) for line in b"".join(message.get("body", b"") for message in sent).splitlines()]
    assert empty.post("/v1/collections/films/count").json() == {"count": 512}
    last = max((line["last_line"] for line in answered), default=0)
    assert last in {0, 256, 512}
    rest = b"".join(content.splitlines(keepends=True)[256:])  # as if one answer of two had arrived
    resumed = lines_of(empty.request("POST", f"{BULK}?first_line=257", content=rest, headers=headers))
    assert [(line["first_line"], line.get("replayed", False)) for line in resumed[:-1]] == [
        (257, True), (513, False), (769, False),
    ]  # fmt: skip
    assert (resumed[-1]["next_line"], resumed[-1]["added"]) == (1001, 744)
    assert empty.post("/v1/collections/films/count").json() == {"count": 1_000}
    whole = lines_of(empty.request("POST", BULK, content=content, headers=headers))
    assert [line.get("replayed") for line in whole[:-1]] == [True] * 4
    assert empty.post("/v1/collections/films/count").json() == {"count": 1_000}
    other = content.replace(b'{"year": 3}', b'{"year": 4}')
    problem_of(empty.request("POST", BULK, content=other, headers=headers), 422)


def test_what_a_model_refuses_is_found_and_the_rest_goes_in(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that the model's service refuses is sent in halves, down to the document that it cannot take."""
    collection = films.database["films"]
    write = type(collection).write_bounded

    def refusing(self: Any, given: Any, bounds: Any) -> Any:
        if any("poison" in document.get("title", "") for document in given.batch.documents):
            raise ModelUnavailableError("the model's service refused it", code="remote_model_error", status=502)
        return write(self, given, bounds)

    monkeypatch.setattr(type(collection), "write_bounded", refusing)
    content = b"".join(b'{"id": "n%d", "title": "%s"}\n' % (n, b"poison" if n == 70 else b"word") for n in range(300))
    answer = films.request("POST", BULK, content=content, headers=NDJSON)
    lines = lines_of(answer)
    assert [(line["line"], line["code"]) for line in lines if line["type"] == "error"] == [(71, "remote_model_error")]
    assert (lines[-1]["added"], lines[-1]["failed"], lines[-1]["stopped"]) == (299, 1, False)
    poisoned = b"".join(b'{"id": "p%d", "title": "poison"}\n' % n for n in range(64))
    lines = lines_of(films.request("POST", BULK, content=b'{"id": "ok"}\n' * 256 + poisoned, headers=NDJSON))
    assert lines[-2]["code"] == "remote_model_error"  # so many in a row are the service's fault: the upload ends
    assert (lines[-1]["stopped"], lines[-1]["failed"]) == (True, 7)
    assert lines[-1]["next_line"] == 264


def test_a_model_that_does_not_answer_is_asked_again(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice it is away, the third time it takes the batch; nothing is reported."""
    collection = films.database["films"]
    write, away = type(collection).write_bounded, [1, 2]

    def sometimes(self: Any, given: Any, bounds: Any) -> Any:
        if away:
            away.pop()
            raise ModelUnavailableError("nobody answers", code="remote_model_unavailable")
        return write(self, given, bounds)

    monkeypatch.setattr(type(collection), "write_bounded", sometimes)
    monkeypatch.setattr(bulk, "MODEL_WAIT_SECONDS", 0.001)
    lines = lines_of(films.request("POST", BULK, content=b'{"id": "n"}', headers=NDJSON))
    assert [line["type"] for line in lines] == ["batch", "summary"]


def test_lines_without_end_hold_up_nobody(empty: Service) -> None:
    """A few kilobytes of gzip become thousands of them: between some hundred of them others have their turn."""
    content = gzip.compress(b"0\n" * 9_000 + b'{"id": "last"}\n')

    async def main() -> tuple[int, int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        waiting = asyncio.create_task(others())
        headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
        answer = await empty._request("POST", BULK, content=content, headers=headers)
        waiting.cancel()
        assert json.loads(answer.text.splitlines()[-1])["added"] == 1
        return answer.status_code, turns

    status, turns = empty.runner.run(main())
    assert status == 200
    assert turns >= 9_000 * LINE_BYTES_MIN // BYTES_A_TURN


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \t\n", b"\n \n\n"])
def test_blank_lines_are_passed_over_many_at_a_time(empty: Service, blank: bytes) -> None:
    """Two millions of them are less work than a line each would be, and are counted nevertheless."""
    times = 2_000_000 // len(blank)
    content = blank * times + b'{"id": "a"}\n' + blank * times + b"[]\n" + blank * times
    zipped, headers = gzip.compress(content), {**NDJSON, "content-encoding": "gzip"}
    answers: list[Any] = []
    work = calls_of(lambda: answers.append(empty.request("POST", BULK, content=zipped, headers=headers)))
    assert work < 30_000
    lines = [json.loads(line) for line in answers[0].text.splitlines()]
    breaks = blank.count(b"\n") * times
    assert [(line["type"], line.get("line")) for line in lines[:-1]] == [("error", 2 * breaks + 2), ("batch", None)]
    assert lines[1]["first_line"] == breaks + 1
    assert (lines[-1]["added"], lines[-1]["failed"]) == (1, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_lines_are_the_same_wherever_pieces_end(empty: Service, size: int) -> None:
    """Blank lines, blanks before and behind, and line ends of both kinds, in pieces of a few bytes."""
    content = b'\xef\xbb\xbf\n  \n\r\n {"id": "1"} \r\n\n \n[]\n\n{"id": "2"}\n \n  {"id": "3"}'
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    sent = empty.send(http_scope("POST", BULK, NDJSON), [*messages, {"type": "http.request", "body": b""}])
    lines = [json.loads(line) for line in b"".join(message.get("body", b"") for message in sent).splitlines()]
    assert [line.get("line") for line in lines[:-2]] == [7]
    assert (lines[-2]["first_line"], lines[-2]["last_line"]) == (4, 11)
    assert (lines[-1]["added"], lines[-1]["lines"]) == (3, 11)


def test_an_upload_of_nonsense_ends(empty: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most lines refused, and many: it is something else. What was good is in, and the answer says where it ended."""
    monkeypatch.setattr(bulk, "FAILED_MAX", 100)
    lines = upload(empty, b'{"id": "good"}\n' + b"0\n" * 500)
    assert [line["type"] for line in lines] == [*["error"] * 100, "batch", "error", "summary"]
    assert lines[-2]["code"] == "too_many_errors"
    assert {key: lines[-1][key] for key in ("added", "failed", "stopped", "next_line")} == {
        "added": 1, "failed": 100, "stopped": True, "next_line": 102,
    }  # fmt: skip
    assert upload(empty, b'{"id": "x", "year": "x"}\n' * 600)[-1]["stopped"] is True


def test_many_bad_lines_among_more_good_ones_are_all_named(empty: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No number of bad lines ends an upload of which most is good."""
    monkeypatch.setattr(bulk, "FAILED_MAX", 100)
    content = b"".join(b'{"id": "%d"}\n{"id": "b%d"}\n0\n' % (n, n) for n in range(300))
    lines = upload(empty, content)
    assert (lines[-1]["added"], lines[-1]["failed"], lines[-1]["stopped"]) == (600, 300, False)
    assert sum(line["type"] == "error" for line in lines) == 300


def test_a_line_with_many_parts_is_read_in_a_thread(empty: Service) -> None:
    """It goes in as others do; what is wrong with it is said as of others."""
    parts = b"[" + b",".join([b"[]"] * COUNTED_BYTES_MIN) + b"]"
    done = empty.app.state.service.bodies.done
    lines = upload(empty, b'{"id": "1", "a": ' + parts + b'}\n{"id": "2", "a": ' + parts + b"\n" + parts)
    assert empty.app.state.service.bodies.done == done + 3
    assert [(line["line"], line["code"]) for line in lines if line["type"] == "error"] == [
        (2, "invalid_json"), (3, "wrong_type"),
    ]  # fmt: skip
    assert lines[-1]["added"] == 1
