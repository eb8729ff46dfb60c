"""Requests as bytes, and bytes as responses, cut anywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumaai.http.message import HEAD_BYTES_MAX, ProtocolError, Reader, Request, Response


def test_a_request_is_head_and_body_in_one() -> None:
    """RFC 9112, section 3."""
    request = Request("POST", "/v1/x?a=1", {"accept": "*/*"}, b"{}")
    expected = b"POST /p/v1/x?a=1 HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\ncontent-length: 2\r\n\r\n{}"
    assert request.encode("h:1", "/p") == expected
    assert b"content-length" not in Request("GET", "/", {}).encode("h")


@pytest.mark.parametrize("value", ["a\r\nhost: other", "a\nb", "a\x00"])
def test_a_header_cannot_become_two(value: str) -> None:
    """Whatever it is made of."""
    with pytest.raises(ValueError, match="header"):
        Request("GET", "/", {"idempotency-key": value}).encode("h")


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
PROVISIONAL = b"HTTP/1.1 100 Continue\r\nx-early: 1\r\n\r\n" + WHOLE


@given(st.sampled_from([WHOLE, CHUNKED, PROVISIONAL]), st.lists(st.integers(0, 90), max_size=6))
def test_a_response_may_come_in_any_pieces(content: bytes, cuts: list[int]) -> None:
    """The same status, headers and body, and a connection that can be used again."""
    reader = Reader()
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for begin, end in itertools.pairwise(places):
        if begin < end:
            assert not reader.is_whole
            reader.feed(content[begin:end])
    assert (reader.status, reader.take(), reader.is_whole, reader.is_reusable) == (200, b"hello", True, True)
    assert "x-early" not in reader.headers


@pytest.mark.parametrize(
    ("content", "reusable"),
    [
        (WHOLE.replace(b"content-length", b"connection: close\r\ncontent-length"), False),
        (WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_connections_end_when_the_service_says_so(content: bytes, reusable: bool) -> None:
    """`Connection: close`, and HTTP/1.0 without keep-alive."""
    reader = Reader()
    reader.feed(content)
    assert (reader.is_whole, reader.is_reusable) == (True, reusable)


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """RFC 9112, 6.3, the last case; nothing follows on such a connection."""
    reader = Reader()
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    reader.feed(b"lo")
    assert not reader.is_whole
    reader.feed(b"")
    assert (reader.take(), reader.is_whole, reader.is_reusable) == (b"hello", True, False)


@pytest.mark.parametrize(
    "content",
    [b"", WHOLE[:-1], CHUNKED[:-7], b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n",
     b"HTTP/1.1 200 OK\r\nx: " + b"y" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n"],
    ids=["nothing", "short", "chunks", "head", "another protocol", "long head"],
)  # fmt: skip
def test_what_is_no_whole_response_is_an_error(content: bytes) -> None:
    """Cut off, not HTTP, or larger than a head can be."""
    reader = Reader()

    def take_all() -> None:
        if content:
            reader.feed(content)
        reader.feed(b"")

    with pytest.raises(ProtocolError):
        take_all()


def test_numbers_that_json_does_not_have_are_read() -> None:
    """NaN, as Python writes it; whole numbers of any size exactly."""
    assert Response(200, {}, b"[12345678901234567890123]").json() == [12345678901234567890123]
    assert str(Response(200, {}, b"[NaN]").json()) == "[nan]"
    with pytest.raises(ValueError, match="Expecting"):
        Response(200, {}, b"<html>").json()
