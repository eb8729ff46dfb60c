"""engine.document: what may be stored, and that it comes back exactly."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.document import decode, encode, find_fault, find_id_fault, make_id

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(TEXT, VALUES, max_size=6))
def test_a_document_comes_back_exactly(document: dict[str, Any]) -> None:
    """Numbers keep type, sign and value, keys their order, strings every character: repr tells them all apart."""
    assert find_fault(document) is None
    assert repr(decode(encode(document))) == repr(document)


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1e308, 0.1, 1.0, 2**63, -(2**200), 10**999, "\x00", "\u2028", "😀"])
def test_edge_values_come_back_exactly(value: Any) -> None:
    """Minus zero, subnormals, integers beyond 64 bits and odd characters survive."""
    assert repr(decode(encode({"a": value}))["a"]) == repr(value)


@pytest.mark.parametrize(
    ("value", "code", "pointer"),
    [
        ({"a": math.nan}, "number_not_finite", "/a"),
        ({"a": [1, math.inf]}, "number_not_finite", "/a/1"),
        ({"a": {"b/c~": "\ud800"}}, "text_invalid", "/a/b~1c~0"),
        ({"\ud800": 1}, "text_invalid", ""),
        ({"a": {1: 2}}, "key_invalid", "/a"),
        ({"a": {1, 2}}, "type_unsupported", "/a"),
        ({"a": 10**1000}, "integer_too_long", "/a"),
        ({"a": b"bytes"}, "type_unsupported", "/a"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any, code: str, pointer: str) -> None:
    """Each fault names its code and its JSON Pointer."""
    fault = find_fault(value)
    assert fault is not None
    assert (fault.code, fault.pointer) == (code, pointer)


def test_nesting_is_bounded() -> None:
    """64 levels pass, one more does not."""

    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return value

    assert find_fault(nested(64)) is None
    fault = find_fault(nested(65))
    assert fault is not None
    assert fault.code == "too_deep"


def test_made_ids_are_version_7_and_sort_by_time() -> None:
    """A fresh id is a UUID of version 7, and no two are the same."""
    ids = [make_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert all(id_[14] == "7" and id_[19] in "89ab" and len(id_) == 36 for id_ in ids)
    assert [id_[:13] for id_ in ids] == sorted(id_[:13] for id_ in ids)


@pytest.mark.parametrize(
    ("id_", "code"), [("", "id_invalid"), (7, "id_invalid"), ("\ud800", "id_invalid"), ("é" * 257, "id_too_long")]
)
def test_bad_ids_are_refused(id_: Any, code: str) -> None:
    """An id is a non-empty string of at most 512 bytes of UTF-8."""
    fault = find_id_fault(id_)
    assert fault is not None
    assert fault.code == code


@pytest.mark.parametrize("id_", ["a", "é" * 256, "a/b", "\x00", "😀", " "])
def test_odd_ids_are_allowed(id_: str) -> None:
    """Slashes, NUL, emoji and 512 bytes are fine."""
    assert find_id_fault(id_) is None


def test_stored_bytes_are_plain_json() -> None:
    """What is stored can be spliced into a response."""
    assert json.loads(encode({"id": "1", "a": [1, 2.5, None]})) == {"id": "1", "a": [1, 2.5, None]}
