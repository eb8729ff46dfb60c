"""What can go wrong with a text index; both are mended by building it again from the store.

EngineError
├── TextIndexDamagedError    its files are not as they were written
└── TextIndexOutdatedError   it was made for other fields, languages or rules
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import EngineError


class TextIndexDamagedError(EngineError):
    """The files of a text index are missing or not as they were written, or it can no longer be written to."""

    code = "text_index_damaged"


class TextIndexOutdatedError(EngineError):
    """A text index was made for other fields or languages, or by another version of the analysis."""

    code = "text_index_outdated"


@contextmanager
def tantivy_errors(what: str) -> Iterator[None]:
    """Tantivy's errors as ours: it raises ValueError and OSError, and panics over bytes that it did not write."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise TextIndexDamagedError(f"text index cannot be {what}: reason={error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3's, which no module exports
            raise
        raise TextIndexDamagedError(f"text index cannot be {what}: reason={error}") from error
