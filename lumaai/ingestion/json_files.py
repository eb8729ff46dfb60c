"""Readers of JSON Lines (one document a line) and of JSON (an array of documents, or one)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.record import Record, record_of
from lumaai.ingestion.source import opened_text, read_text, undecodable

LINE_BYTES_MAX = 16 * 1024 * 1024
JSON_BYTES_MAX = 1024 * 1024 * 1024

# Only where a text has such digits can a number in it overflow: checking every number costs three times as much.
_HUGE = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{300}")


def read_json_lines(path: Path) -> Iterator[Record]:
    """The documents of a JSON Lines file; blank lines are passed over, bad ones reported by their number."""
    with opened_text(path) as file:
        for number, line in enumerate(_lines(file), start=1):
            if len(line) > LINE_BYTES_MAX:
                yield Record(number, problem=f"line is too long: maximum={LINE_BYTES_MAX} bytes", bytes=len(line))
            elif line.strip():
                yield _line_record(number, line.rstrip())


def read_json(path: Path) -> Iterator[Record]:
    """The documents of a JSON file: its array's items, or the one object that it is.

    Raises:
        InvalidRequestError: it is not JSON, or neither an array nor an object (code "file_malformed").
    """
    text = read_text(path, bytes_max=JSON_BYTES_MAX)
    try:
        value = decode(text)
    except ValueError as error:
        hint = " (one object a line? name it .jsonl)" if str(error).startswith("Extra data") else ""
        raise InvalidRequestError(f"{path} is not JSON: {error}{hint}", code="file_malformed") from error
    if not isinstance(value, list | dict):
        raise InvalidRequestError(f"{path} holds neither an array nor an object", code="file_malformed")
    items = value if isinstance(value, list) else [value]
    size = len(text) // max(1, len(items))
    for number, item in enumerate(items, start=1):
        yield record_of(number, item, size)


def decode(text: str) -> Any:
    """A JSON value, without what Python's reader adds to the standard.

    Raises:
        ValueError: malformed, NaN or infinite, nested too deep, or with a lone surrogate.
    """
    try:
        parse_float = _finite if _HUGE.search(text) else None
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=parse_float)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\ud" in text or "\\uD" in text:
        _refuse_lone_surrogates(value)
    return value


def _line_record(number: int, line: bytes) -> Record:
    try:
        value = decode(line.decode())
    except UnicodeDecodeError as error:
        problem = f"line is not UTF-8: {undecodable(error)} at column {error.start + 1}"
        return Record(number, problem=problem, bytes=len(line))
    except json.JSONDecodeError as error:
        # The line's number is the record's own; the decoder counts from the line's start.
        return Record(number, problem=f"malformed JSON: {error.msg} at column {error.colno}", bytes=len(line))
    except ValueError as error:
        return Record(number, problem=f"malformed JSON: {error}", bytes=len(line))
    return record_of(number, value, len(line))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines; of one that is too long only so much that it can be seen to be, the rest is passed over."""
    while line := file.readline(LINE_BYTES_MAX + 1):
        rest = line
        while len(rest) > LINE_BYTES_MAX and not rest.endswith(b"\n"):
            rest = file.readline(LINE_BYTES_MAX + 1)
        yield line


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"number is too large for float64: {digits[:40]}")
    return number


def _refuse_lone_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("text is not valid Unicode (a lone surrogate)") from None
