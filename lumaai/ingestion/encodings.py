"""Bytes of a text file to text: UTF-8 where they are that, else what the byte order mark or charset-normalizer says."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.extras import library

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Enough to tell an encoding from its likes; the whole of a large file would take minutes.
_GUESSED_BYTES = 128 * 1024
# Control characters that no text has: neither tabs and line ends nor the form feed and escape of terminals.
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_CONTROLS_SHARE_MAX = 0.01
_PROBE_BYTES = 8192
_TELLING_BYTES_MIN = 256


def decoded(path: Path, data: bytes) -> str:
    """The text of a file.

    Raises:
        InvalidRequestError: it is binary, or in no encoding that is recognised (code "file_not_text").
        NotSupportedError: it is not UTF-8, and the library that would recognise it is not installed.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(path, data[len(mark) :], encoding)
    if is_binary(data):
        raise not_text(path, "it is binary")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        first = error.start
    # What is UTF-8 all over has a damaged byte, rather than another encoding.
    if _is_mostly_utf8(data):
        raise not_text(path, f"it is not UTF-8 (byte 0x{data[first]:02x} at byte {first})")
    return _strictly(path, data, _guessed(path, data, first))


def is_binary(data: bytes) -> bool:
    """Whether these are the bytes of something else than text, in any encoding without zero bytes."""
    probe = data[:_PROBE_BYTES]
    return len(_CONTROLS.findall(probe)) > _CONTROLS_SHARE_MAX * len(probe)


def not_text(path: Path, why: str) -> InvalidRequestError:
    """The error for a file that cannot be read as text."""
    return InvalidRequestError(f"{path} cannot be read as text: {why}", code="file_not_text")


def _strictly(path: Path, data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise not_text(path, f"it looks like {encoding} and is not (at byte {error.start})") from error
    if "\x00" in text:
        raise not_text(path, "it is binary")
    return text


def _is_in(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether far more characters beyond ASCII are whole in UTF-8 than are not."""
    text = data[: 16 * _GUESSED_BYTES].decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(1 for character in text if character > "\x7f") - broken
    return whole > 10 * broken


def _guessed(path: Path, data: bytes, first: int) -> str:
    what = f"{path}: it is not UTF-8 (byte 0x{data[first]:02x} at byte {first}); recognising its encoding"
    normalizer = library("charset_normalizer", "readers", what)
    # The part around the first byte that tells.
    start = max(0, first - _GUESSED_BYTES // 2) & ~3
    best = normalizer.from_bytes(data[start : start + _GUESSED_BYTES]).best()
    if best is None:
        raise not_text(path, f"its encoding is not recognised (byte 0x{data[first]:02x} at byte {first})")
    encoding: str = best.encoding
    if len(data) < _TELLING_BYTES_MIN and _is_in(data, "cp1252"):
        return "cp1252"  # of a few words nothing better can be said
    # Every byte has a meaning in cp1252 and its likes, and only there do quotes and dashes have.
    return "cp1252" if encoding in {"latin_1", "ascii"} else encoding
