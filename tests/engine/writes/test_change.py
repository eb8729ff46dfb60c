"""engine.writes.change: the change record."""

from __future__ import annotations

import msgspec
from pyroaring import BitMap

from engine.writes.change import Change, decode_change, encode_change


def test_a_change_is_read_back() -> None:
    """With its deleted ordinals, rows and schema."""
    deleted = BitMap([1, 2**31]).serialize()
    change = Change(2**40, 7, 2**32 - 5, 3, deleted, {"v": (5, 6)}, {"fields": {}}, ["a", "é"])
    again = decode_change(encode_change(change))
    assert again == change
    assert list(again.deleted_ordinals()) == [1, 2**31]


def test_a_change_of_format_1_is_read() -> None:
    """It names no ids of deleted documents."""
    deleted = BitMap([1]).serialize()
    fields = {"sequence": 1, "collection": 2, "first_ordinal": 3, "documents": 0, "deleted": deleted, "rows": {}}
    assert decode_change(msgspec.msgpack.encode(fields)) == Change(1, 2, 3, 0, deleted, {})
