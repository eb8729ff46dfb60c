"""engine.store.keys: byte order is number order, and collections do not touch."""

from __future__ import annotations

import pytest

from engine.store import keys


@pytest.mark.parametrize("make", [lambda n: keys.document_key(1, n), lambda n: keys.vector_key(1, 2, n), keys.log_key])
def test_byte_order_is_number_order(make: object) -> None:
    """Also across byte boundaries."""
    assert callable(make)
    made = [make(n) for n in (0, 1, 255, 256, 65_535, 65_536, 2**32 - 1)]
    assert made == sorted(made)


def test_a_range_holds_its_collection_only() -> None:
    """Every key of a collection lies in its range, and none of its neighbours'."""
    begin, end = keys.collection_range(7)
    for number, inside in ((6, False), (7, True), (8, False)):
        for key in (
            keys.document_key(number, 2**32 - 1),
            keys.id_key(number, "\x00a/😀"),
            keys.vector_key(number, 65_535, 0),
        ):
            assert (begin <= key < end) is inside


def test_a_range_holds_its_idempotency_keys_only() -> None:
    """Also where the number of one collection begins with that of another."""
    begin, end = keys.idempotency_range(1)
    for number, inside in ((0, False), (1, True), (10, False), (11, False), (2, False)):
        for key in ("0", "/", "é" * 255):
            assert (begin <= keys.idempotency_key(number, key) < end) is inside


def test_numbers_are_read_back() -> None:
    """From keys of documents, vectors and the log."""
    assert keys.document_ordinal(keys.document_key(3, 77)) == 77
    assert keys.vector_row(keys.vector_key(3, 4, 78)) == 78
    assert keys.log_sequence(keys.log_key(2**40)) == 2**40
