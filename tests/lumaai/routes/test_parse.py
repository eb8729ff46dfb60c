"""lumaai.routes.parse: JSON of any size, in pieces that hold up nobody for long."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from lumaai.errors import InvalidRequestError, TooLargeError
from lumaai.routes import parse
from lumaai.routes.parse import INLINE_BYTES_MAX, INLINE_PARTS_MAX, LEVELS_MAX, is_quick, parse_large, read_large

NEST = b"[" * 50 + b"]" * 50


@pytest.mark.parametrize(
    ("content", "quick"),
    [
        (b'{"query": "space opera", "limit": 10}', True),
        (b'{"vector": [' + b",".join([b"0.12345"] * 3_072) + b"]}", True),
        (b'"' + b"x" * (INLINE_BYTES_MAX - 2) + b'"', True),
        (b'"' + b"x" * INLINE_BYTES_MAX + b'"', False),
        (b"[" + b",".join([b"[]"] * INLINE_PARTS_MAX) + b"]", False),
        (b"[" + b",".join([b"1"] * 30_000) + b"]", False),
        (b"[" + b",".join([b'{"a":1}'] * (INLINE_PARTS_MAX // 2)) + b"]", False),
        (b"[" + b",".join([NEST] * 42) + b"]", False),
    ],
)
def test_what_is_small_is_quick_unless_it_has_many_parts(content: bytes, quick: bool) -> None:
    """A vector of 3,072 numbers is quick; so many lists, objects, keys or items as fit into the same are not."""
    assert is_quick(content) is quick


@pytest.mark.parametrize(
    "value",
    [
        {
            "a": [[n, {"b": [n / 2, None, "é\n"]}] for n in range(5_000)],
            "c": {"d": {str(n): [n] for n in range(9_000)}},
        },
        [{"a": [[]]}] * 40_000,
        [1, "x", None] + [[]] * 40_000,
        {"only": "x" * 100_000},
        "text" * 20_000,
        12,
    ],
)
def test_pieces_make_the_same_value(value: Any) -> None:
    """Whatever is split, and where scalars stand between lists."""
    content = json.dumps(value).encode()
    assert parse_large(content) == value
    assert parse_large(b" \n" + content + b"\t") == value


def test_values_deeper_than_pieces_go_are_read_as_one() -> None:
    """Levels that are not looked through make no difference to the value."""
    value: Any = [[n] for n in range(20_000)]
    for _ in range(LEVELS_MAX + 3):
        value = {"a": value}
    assert parse_large(json.dumps(value).encode()) == value


def test_no_piece_is_large_that_has_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the parser reads 32 kB at most of 400 kB of lists in lists."""
    sizes = []

    def reading(content: bytes) -> Any:
        sizes.append(len(content))
        return json.loads(content)

    monkeypatch.setattr(parse, "from_json", reading)
    content = b'{"filter": {"a": [' + b",".join([NEST] * 4_000) + b"]}}"
    assert len(parse_large(content)["filter"]["a"]) == 4_000
    assert max(sizes) <= parse.PIECE_BYTES_MAX


def test_garbage_is_not_collected_meanwhile() -> None:
    """As many lists as start hundreds of collections start none, and afterwards there are some again."""
    content = b"[" + b",".join([NEST] * 2_400) + b"]"
    seen: list[str] = []

    def collecting(phase: str, _: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(collecting)
    try:
        with parse.no_collections():
            value = parse_large(content)
            assert seen == []
        assert gc.isenabled()
        assert len(value) == 2_400
        with pytest.raises(InvalidRequestError):
            read_large(content[:-1])
        assert gc.isenabled()
    finally:
        gc.callbacks.remove(collecting)


def test_a_fault_is_placed_in_the_whole() -> None:
    """400 with the line and column of the body, as if it had been read as one."""
    content = b'{"documents": [\n' + b",\n".join([b'{"a": [1]}'] * 10_000) + b',\n{"a": [1}]}'
    with pytest.raises(InvalidRequestError, match="line 10002 column 9") as caught:
        parse_large(content)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_more_lists_than_any_body_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three bytes that become sixty are counted before."""
    monkeypatch.setattr(parse, "PARTS_MAX", 10_000)
    with pytest.raises(TooLargeError, match="maximum=10000 got=10002") as caught:
        parse_large(b"[" + b",".join([b"{}"] * 10_001) + b"]")
    assert caught.value.code == "too_many_values"


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("wrapped", [b'{"documents": [%b]}', b'{"a": {"b": %b}}', b'[["x", {"y": [%b, 1]}]]'])
def test_many_lists_may_not_be_nested_deeper_than_documents(wrapped: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """422 as soon as one is found that is; so many that are not, or one that is among few, are read."""
    monkeypatch.setattr(parse, "DEEP_PARTS_MIN", 5_000)
    outside = wrapped.count(b"[") + wrapped.count(b"{")
    fitting = nested(parse.DEPTH_MAX - outside - 1)
    many = b",".join([fitting] * 400)
    assert json.loads(wrapped % (b"[%b]" % many)) == parse_large(wrapped % (b"[%b]" % many))
    deeper = nested(parse.DEPTH_MAX - outside)
    few = wrapped % (b"[%b]" % b",".join([deeper] * 40))
    assert parse_large(few) == json.loads(few)
    with pytest.raises(InvalidRequestError, match="nested too deeply: maximum=64") as caught:
        parse_large(wrapped % (b"[%b]" % b",".join([fitting] * 200 + [deeper] + [fitting] * 200)))
    assert (caught.value.status, caught.value.code) == (422, "too_deep")


def test_brackets_in_strings_are_no_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, open or closed: what tells is the value."""
    monkeypatch.setattr(parse, "DEEP_PARTS_MIN", 5_000)
    value = {"documents": [{"text": "[" * 500}, {"text": "]{" * 300, "a": [{}, []]}] * 100}
    assert parse_large(json.dumps(value).encode()) == value
