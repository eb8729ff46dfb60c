"""What a language model said of texts before, by what it was asked and of what: shared by all questions, in memory.

Not on disk, as the embedding cache is: a judgement may repeat what a document said, and what was deleted and purged
must be in no file.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models import JSON

BYTES_MAX = 64 << 20
_ENTRY_BYTES = 200  # of the dictionary's own, for each entry
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model said of one input, and how sure it was, 0 to 1; None where it did not say."""

    value: JSON
    confidence: float | None = None


class Judgements:
    """A bounded cache of verdicts; what was used longest ago goes first. Safe for many threads.

    `_lock` guards the entries. Inputs themselves are not kept, only their digests.

    Args:
        bytes_max: of keys and values, about.
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Verdict | None:
        """What is known; None where nothing is."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
        value, confidence = json.loads(found)
        return Verdict(value, confidence)

    def put(self, key: bytes, verdict: Verdict) -> None:
        """Keep a verdict."""
        content = json.dumps([verdict.value, verdict.confidence], ensure_ascii=False).encode(errors="surrogatepass")
        with self._lock:
            self._forget(key)
            self._entries[key] = content
            self._bytes += _size(content)
            while self._bytes > self._bytes_max and self._entries:
                self._forget(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _forget(self, key: bytes) -> None:
        content = self._entries.pop(key, None)
        if content is not None:
            self._bytes -= _size(content)


def judgement_key(model: str, asked: Mapping[str, Any], text: str) -> bytes:
    """What stands for a question of a model about a text: its kind, instruction and schema are in `asked`."""
    digest = hashlib.blake2b(json.dumps([model, asked], sort_keys=True).encode(), digest_size=_DIGEST_BYTES)
    digest.update(text.encode(errors="surrogatepass"))
    return digest.digest()


def _size(content: bytes) -> int:
    return len(content) + _DIGEST_BYTES + _ENTRY_BYTES
