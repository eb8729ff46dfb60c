"""A file as bytes and text, with clear errors where it is neither readable nor text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lumaai.errors import InvalidRequestError, TooLargeError

# What has a zero byte this early is no text in any encoding that is read here.
_PROBE_BYTES = 8192
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading.

    Raises:
        InvalidRequestError: it is missing, a directory, or may not be read (code "file_unreadable").
    """
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise InvalidRequestError(f"cannot read {path}: it is no regular file", code="file_unreadable")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {_reason(error)}", code="file_unreadable") from error


@contextmanager
def opened_text(path: Path) -> Iterator[BinaryIO]:
    """The file behind its byte order mark, known not to be binary.

    Raises:
        InvalidRequestError: as `opened`; or it is binary or UTF-16 (code "file_not_text").
    """
    with opened(path) as file:
        head = file.read(_PROBE_BYTES)
        if head.startswith(_UTF16_BOMS):
            raise _not_text(path, "it is UTF-16; convert it to UTF-8")
        if b"\x00" in head:
            raise _not_text(path, "it is binary")
        file.seek(len(_BOM) if head.startswith(_BOM) else 0)
        yield file


def read_bytes(path: Path, *, bytes_max: int) -> bytes:
    """The whole file.

    Raises:
        InvalidRequestError: as `opened`.
        TooLargeError: it has more than `bytes_max` bytes.
    """
    with opened(path) as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise TooLargeError(f"{path} is too large to be read whole: maximum={bytes_max} bytes")
    return data


def read_text(path: Path, *, bytes_max: int) -> str:
    """The whole file as text.

    Raises:
        InvalidRequestError: as `opened_text`; or it is not UTF-8, naming the byte and its place.
        TooLargeError: it has more than `bytes_max` bytes.
    """
    with opened_text(path) as file:
        data = file.read(bytes_max + 1)
        start = file.tell() - len(data)
    if len(data) > bytes_max:
        raise TooLargeError(f"{path} is too large to be read whole: maximum={bytes_max} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, start) from error


def not_utf8(path: Path, error: UnicodeDecodeError, start: int = 0) -> InvalidRequestError:
    """The error for a file in another encoding; `start` is where the decoded bytes begin in the file."""
    return _not_text(path, f"it is not UTF-8 ({undecodable(error)} at byte {start + error.start})")


def undecodable(error: UnicodeDecodeError) -> str:
    """The byte that is not UTF-8."""
    return f"byte 0x{error.object[error.start]:02x}"


def _not_text(path: Path, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} cannot be read as text: {why}", code="file_not_text")


def _reason(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "it is a directory: name the files in it"
        case PermissionError():
            return "no permission"
        case _:
            return error.strerror or str(error)
