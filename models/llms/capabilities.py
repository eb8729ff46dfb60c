"""What an endpoint was found to take, remembered by address and model: in memory, and in a file if wanted."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from models.errors import LLMError
from models.llms.providers import StructuredMode

log = logging.getLogger(__name__)

FILE_NAME = "llm_capabilities.json"
FILE_BYTES_MAX = 1 << 20
REMEMBERED_SECONDS_MAX = 30 * 86_400.0  # servers are upgraded: what an old one could not do is asked again
REFUSED_STATUS = frozenset({400, 422, 501})  # of a request that may be taken if it is made otherwise


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How requests to an endpoint are made.

    Attributes:
        structured: how JSON is asked for; None: not known yet.
        temperature: whether the model takes one.
        limit_swapped: whether the limit of a reply has its other name.
        stream_usage: whether a stream may be asked to say what it cost.
    """

    structured: StructuredMode | None = None
    temperature: bool = True
    limit_swapped: bool = False
    stream_usage: bool = True

    def after(self, error: LLMError) -> Capabilities | None:
        """What to try after a refusal that names a parameter; None if it names none that can be left out."""
        if error.details.get("status") not in REFUSED_STATUS:
            return None
        words = error.details.get("parameter") or str(error)
        if self.temperature and "temperature" in words:
            return replace(self, temperature=False)
        if not self.limit_swapped and ("max_tokens" in words or "max_completion_tokens" in words):
            return replace(self, limit_swapped=True)
        if self.stream_usage and "stream_options" in words:
            return replace(self, stream_usage=False)
        return None

    def weaker(self, error: LLMError, modes: Sequence[StructuredMode]) -> Capabilities | None:
        """The next weaker way to structured output after a refusal; None if there is none."""
        if error.details.get("status") not in REFUSED_STATUS or self.structured not in modes:
            return None
        rest = modes[modes.index(self.structured) + 1 :]
        return replace(self, structured=rest[0]) if rest else None


class CapabilityStore:
    """Remembers capabilities by address and model. Safe for many threads; of two processes the last writer is read.

    The file holds hashes of addresses, which may have something secret in them, and no keys.

    Args:
        directory: where the file is kept, made if missing; None keeps all in memory.
        now: seconds since 1970.
    """

    def __init__(self, directory: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._path = None if directory is None else directory / FILE_NAME
        self._now = now
        self._known: dict[str, Capabilities] = {}
        self._lock = threading.Lock()  # guards what is known, and the file among this process's threads

    def get(self, url: str, model: str) -> Capabilities:
        """What is known; the best is assumed of what is not."""
        key = _key(url, model)
        with self._lock:
            if key not in self._known:
                self._known[key] = _from_json(self._read().get(key), self._now()) or Capabilities()
            return self._known[key]

    def put(self, url: str, model: str, found: Capabilities) -> None:
        """Remember what was found; nothing is written that is known already."""
        key = _key(url, model)
        with self._lock:
            if self._known.get(key) == found:
                return
            self._known[key] = found
            log.info("llm.capabilities_found", extra={"model": model, "structured": found.structured})
            if self._path is not None:
                self._write({**self._read(), key: {**asdict(found), "found": self._now()}})

    def _read(self) -> dict[str, object]:
        """The file's entries; a missing or damaged one has none: all can be found again."""
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                entries = json.loads(file.read(FILE_BYTES_MAX))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("llm.capabilities_unreadable", extra={"reason": type(error).__name__})
            return {}
        return entries if isinstance(entries, dict) else {}

    def _write(self, entries: dict[str, object]) -> None:
        assert self._path is not None
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(entries), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:  # costs a probe the next time, never an answer
            log.warning("llm.capabilities_unwritable", extra={"reason": type(error).__name__})


def _key(url: str, model: str) -> str:
    return hashlib.blake2b(f"{url.rstrip('/')}\n{model}".encode(), digest_size=16).hexdigest()


def _from_json(entry: object, now: float) -> Capabilities | None:
    if not isinstance(entry, dict):
        return None
    found, flags = entry.get("found"), [entry.get(name) for name in ("temperature", "limit_swapped", "stream_usage")]
    if not (isinstance(found, int | float) and 0 <= now - found <= REMEMBERED_SECONDS_MAX):
        return None
    if not all(isinstance(flag, bool) for flag in flags):
        return None
    try:
        structured = None if entry.get("structured") is None else StructuredMode(str(entry["structured"]))
    except ValueError:  # of another version
        return None
    return Capabilities(structured, *map(bool, flags))
