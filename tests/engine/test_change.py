"""engine.change: the change record."""

from __future__ import annotations

from pyroaring import BitMap

from engine.change import Change, decode_change, encode_change


def test_a_change_is_read_back() -> None:
    """With its deleted ordinals, rows and schema."""
    change = Change(2**40, 7, 2**32 - 5, 3, BitMap([1, 2**31]).serialize(), {"v": (5, 6)}, {"fields": {}})
    again = decode_change(encode_change(change))
    assert again == change
    assert list(again.deleted_ordinals()) == [1, 2**31]
