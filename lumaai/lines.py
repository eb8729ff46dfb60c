"""Log lines: one JSON object each, without what documents, questions or keys say."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec

PLACES_MAX = 12  # of an exception, the innermost
# What every record has; all else in one came as `extra`.
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class Lines:
    """A file that takes events as lines, whole ones from any thread.

    Args:
        file: where they go; stderr if not given.
    """

    def __init__(self, file: BinaryIO | None = None) -> None:
        self._file = sys.stderr.buffer if file is None else file
        self._lock = threading.Lock()

    def write(self, event: str, fields: Mapping[str, Any], *, level: str = "info") -> None:
        """Write one event with the moment it is told."""
        line = msgspec.json.encode({**fields, "event": event, "timestamp": _now(), "level": level}) + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()


class EventFormatter(logging.Formatter):
    """A record of the standard library's logging as such a line; exceptions come as classes and places.

    Their messages may quote documents, their frames hold keys.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event: dict[str, Any] = {"event": record.getMessage()}
        event.update((name, value) for name, value in record.__dict__.items() if name not in _PLAIN)
        event.update(level=record.levelname.lower(), timestamp=_now())
        if record.exc_info and (error := record.exc_info[1]) is not None:
            event.update(error=type(error).__name__, at=places(error))
        return json.dumps(event, default=repr)


def places(error: BaseException) -> list[str]:
    """Where an exception passed: file, line and function, the innermost last."""
    found: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return found[-PLACES_MAX:]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
