"""NumPy's files as bytes of strangers, and base64 in place of vectors."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest

from lumaai.arrays import _usual_head, array_of_npy, with_arrays
from lumaai.errors import InvalidRequestError


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floating_point_numbers_of_any_kind_are_read(kind: str, order: Any) -> None:
    """float32, whatever width, byte order and order of axes they came in."""
    given = np.array([[1.0, 0.5, -2.0], [3.0, 0.25, 8.0]])
    read = array_of_npy(npy(np.array(given, dtype=kind, order=order)))
    assert read.dtype == np.float32
    assert read.tolist() == given.tolist()


def test_the_quick_way_reads_what_numpy_reads() -> None:
    """One vector of float32, of any length."""
    for size in (0, 1, 384, 100_000):
        given = np.arange(size, dtype=np.float32)
        assert array_of_npy(npy(given)).tolist() == given.tolist()
        assert _usual_head(io.BytesIO(npy(given))) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\x93NUMPY",
        npy(np.ones(4))[:-1],
        npy(np.ones(4)) + b"x",
        npy(np.ones(4, dtype=np.int64)),
        npy(np.array(["text"])),
        npy(np.ones(2)).replace(b"(2,)", b"(9,)"),
        npy(np.ones((1, 2))).replace(b"(1, 2)", b"(-1,2)"),
        npy(np.ones(2)).replace(b"(2,), }         ", b"(10**12,), }    "),
        npy(np.ones(2)).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"),
    ],
)
def test_what_is_no_such_array_is_refused(content: bytes) -> None:
    """400, also where the head promises more than there is: no memory is taken for promises."""
    with pytest.raises(InvalidRequestError) as found:
        array_of_npy(content)
    assert (found.value.status, found.value.code) == (400, "invalid_npy")


def test_objects_are_not_unpickled() -> None:
    """A pickle would run code of the sender's."""
    file = io.BytesIO()
    np.save(file, np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidRequestError):
        array_of_npy(file.getvalue())


def test_base64_becomes_a_vector_where_a_vector_is_meant() -> None:
    """Of the named fields only; what is no base64 of whole numbers stays the text that it is."""
    text = base64.b64encode(np.array([1.0, -0.5], dtype="<f4").tobytes()).decode()
    documents = [{"id": text, "v": text, "t": text}, {"v": "words"}, {"v": "AAA="}, {"v": [1.0]}, "no document"]
    first, *rest = with_arrays(documents, ["v"])
    assert first["v"].tolist() == [1.0, -0.5]
    assert (first["id"], first["t"]) == (text, text)
    assert rest == documents[1:]
