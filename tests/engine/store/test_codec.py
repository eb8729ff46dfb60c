"""engine.store.codec: values as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.document import Passage
from engine.errors import CorruptionError
from engine.store import codec


@pytest.mark.parametrize("passage", [None, Passage("títle", 0, 2**32 - 1)])
def test_a_vector_is_read_back(passage: Passage | None) -> None:
    """Components, ordinal and passage."""
    vector = np.array([1.5, -0.0, 3e38], dtype="<f4")
    found, ordinal, where = codec.decode_vector(codec.encode_vector(vector.tobytes(), 9, passage), 3)
    assert found.tobytes() == vector.tobytes()
    assert (ordinal, where) == (9, passage)


def test_ids_and_documents_are_read_back() -> None:
    """Ordinal and version; the JSON behind a format byte, and behind when it expires."""
    assert codec.decode_id(codec.encode_id(2**32 - 1, 2**63)) == (2**32 - 1, 2**63)
    assert codec.encode_document(b"{}") == b"\x01{}"
    for expires in (codec.NEVER, 0, -1, 1_700_000_000_123_456):
        value = codec.encode_document(b"{}", expires)
        assert (codec.decode_document(value), codec.decode_expiry(value)) == (b"{}", expires)


def test_damage_is_named() -> None:
    """An unknown format, a vector cut short, and a lost value are corruption."""
    with pytest.raises(CorruptionError, match="unknown format"):
        codec.decode_document(b"\x03{}")
    with pytest.raises(CorruptionError, match="unknown format"):
        codec.decode_expiry(b"")
    with pytest.raises(CorruptionError, match="cut short: expected at least 9 got=3"):
        codec.decode_document(b"\x02{}")
    with pytest.raises(CorruptionError, match="cut short: expected=25 got=5"):
        codec.decode_vector(b"12345", 3)
    with pytest.raises(CorruptionError, match="lost a document: number=4"):
        codec.present(None, "document", 4)
