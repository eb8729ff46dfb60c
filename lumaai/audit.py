"""The audit log: one JSON line for each administrative act, done or refused. Names, never contents or secrets."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lumaai.errors import InvalidRequestError
from lumaai.telemetry import Telemetry

# Of names in lines: those of collections, snapshots and keys are shorter, and what is none may be anything.
_NAME_CHARACTERS_MAX = 140


class AuditLog:
    """Writes acts into the request log and, where there is one, into a file that only its owner may read.

    Lines are appended with one `write` each, so that several processes may share a file. The lock guards its end.

    Args:
        telemetry: the request log.
        path: the file; made if it is missing.

    Raises:
        InvalidRequestError: it cannot be written (code "audit_log_unusable").
    """

    def __init__(self, telemetry: Telemetry, path: Path | None) -> None:
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self._file: int | None = None
        if path is not None:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError as error:
                message = f"audit log cannot be written: {path}: {error.strerror or error}"
                raise InvalidRequestError(message, code="audit_log_unusable") from error

    def note(
        self, act: str, *, caller: str, targets: dict[str, str], status: int, request: str, code: str | None
    ) -> None:
        """Note one act.

        Args:
            act: what was asked for: the id of an operation.
            caller: who asked: see `Caller.id`.
            targets: names of what it was done to.
            status: that it was answered with; from 400 on it was refused or failed.
            request: its id.
            code: of the error, where there was one.
        """
        named = {name: value[:_NAME_CHARACTERS_MAX] for name, value in targets.items()}
        fields: dict[str, Any] = {"act": act, "caller": caller, **named, "status": status, "id": request}
        if code is not None:
            fields["code"] = code
        self._telemetry.audit(fields)
        if self._file is not None:
            time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            line = msgspec.json.encode({"timestamp": time, "event": "audit", **fields}) + b"\n"
            with self._lock, suppress(OSError):  # a full disk is told by what the act itself answers
                if self._file is not None:
                    os.write(self._file, line)

    def close(self) -> None:
        """Close the file; later acts are in the request log only."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
