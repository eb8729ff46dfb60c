"""JSON Lines and JSON: documents as they are written, bad lines named by number and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumaai.errors import InvalidRequestError
from lumaai.ingestion import json_files, read
from lumaai.ingestion.json_files import decode


def records(tmp_path: Path, data: str | bytes, name: str = "a.jsonl") -> Any:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read(path))


def test_each_line_is_a_document(tmp_path: Path) -> None:
    """In order, with its line number; blank lines are passed over; a byte order mark is no part of the first."""
    found = records(tmp_path, '\ufeff{"id": "a", "n": 1}\n\n  \r\n{"id": "b", "deep": {"x": [1, null]}}')
    assert [(r.position, r.document) for r in found] == [
        (1, {"id": "a", "n": 1}),
        (4, {"id": "b", "deep": {"x": [1, None]}}),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": 1,}', "malformed JSON: Illegal trailing comma before end of object at column 8"),
        (b'{"a": 1', "malformed JSON: Expecting ',' delimiter at column 8"),
        (b'{"a": NaN}', "malformed JSON: NaN is not a JSON number"),
        (b'{"a": -Infinity}', "malformed JSON: -Infinity is not a JSON number"),
        (b'{"a": 1e400}', "malformed JSON: number is too large for float64: 1e400"),
        (b'{"a": "\\ud800"}', "malformed JSON: text is not valid Unicode (a lone surrogate)"),
        (b'{"a": "caf\xe9"}', "line is not UTF-8: byte 0xe9 at column 11"),
        (b"[1, 2]", "expected an object: got=array"),
        (b'"text"', "expected an object: got=string"),
        (b"null", "expected an object: got=null"),
        (b"{}", "record is empty"),
        (b'{"id": true, "a": 1}', "id must be a string or a whole number: got=boolean"),
        (b'{"id": 1.5, "a": 1}', "id must be a string or a whole number: got=number"),
        (b'{"_id": {"$oid": "x"}, "a": 1}', "_id must be a string or a whole number: got=object"),
        (b'{"a": ' + b"[" * 100_000, "malformed JSON: nested too deep"),
    ],
)
def test_a_bad_line_is_reported_and_the_others_go_on(tmp_path: Path, line: Any, problem: Any) -> None:
    """By its number and the reason."""
    found = records(tmp_path, b'{"id": "a"}\n' + line + b'\n{"id": "b"}\n')
    if "trailing comma" in problem and found[1].problem != problem:
        # Python 3.11 and 3.12 say it otherwise.
        problem = "malformed JSON: Expecting property name enclosed in double quotes at column 9"
    assert [(r.position, r.document, r.problem) for r in found] == [
        (1, {"id": "a"}, None),
        (2, None, problem),
        (3, {"id": "b"}, None),
    ]


def test_a_line_that_is_too_long_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported, however long it is, and the next line is read."""
    monkeypatch.setattr(json_files, "LINE_BYTES_MAX", 20)
    found = records(tmp_path, '{"id": "a"}\n{"id": "' + "x" * 100 + '"}\n{"id": "b"}')
    assert [(r.position, r.problem) for r in found] == [
        (1, None),
        (2, "line is too long: maximum=20 bytes"),
        (3, None),
    ]


def test_ids_are_taken_from_id_or_underscore_id(tmp_path: Path) -> None:
    """Whole numbers become strings; where both are there, `_id` is a field like any other."""
    found = records(tmp_path, '{"_id": 7, "a": 1}\n{"a": 1, "id": 8}\n{"_id": 1, "id": "x"}\n{"id": null, "_id": "y"}')
    assert [r.document for r in found] == [
        {"id": "7", "a": 1},
        {"id": "8", "a": 1},
        {"id": "x", "_id": 1},
        {"id": "y"},
    ]


def test_a_record_without_id_gets_the_same_one_every_time(tmp_path: Path) -> None:
    """Made from its content, whatever the order of its keys; another content has another."""
    one, same, other = records(tmp_path, '{"a": 1, "b": 2}\n{"b": 2, "a": 1}\n{"a": 1, "b": 3}')
    assert one.document["id"] == same.document["id"] == "16e34753-3501-5fca-8735-2455c73aab31"
    assert other.document["id"] != one.document["id"]


def test_a_json_array_gives_its_items_and_an_object_itself(tmp_path: Path) -> None:
    """Items are counted from 1."""
    assert [(r.position, r.document) for r in records(tmp_path, '[{"id": "a"}, {"id": "b"}]', "a.json")] == [
        (1, {"id": "a"}),
        (2, {"id": "b"}),
    ]
    assert [r.document for r in records(tmp_path, '{"id": "a"}', "a.JSON")] == [{"id": "a"}]
    assert records(tmp_path, '[1, {"id": "b"}]', "a.json")[0].problem == "expected an object: got=number"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "is not JSON: Expecting property name"),
        ('{"id": "a"}\n{"id": "b"}', "(one object a line? name it .jsonl)"),
        ("7", "holds neither an array nor an object"),
        ("", "is not JSON: Expecting value"),
        (b'["\xe9"]', "it is not UTF-8 (byte 0xe9 at byte 2)"),
    ],
)
def test_a_file_that_is_no_json_says_why(tmp_path: Path, data: Any, message: Any) -> None:
    """The whole file is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        records(tmp_path, data, "a.json")
    assert message in str(caught.value)


TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@given(JSON, st.booleans())
def test_whatever_is_json_reads_back_as_it_was(value: Any, ascii_only: Any) -> None:
    """Escaped or not."""
    assert decode(json.dumps(value, ensure_ascii=ascii_only)) == value
