"""What can go wrong with a text index; both are mended by building it again from the store.

EngineError
├── TextIndexDamagedError    its files are not as they were written
└── TextIndexOutdatedError   it was made for other fields, languages or rules
"""

from __future__ import annotations

from types import TracebackType

from engine.errors import EngineError


class TextIndexDamagedError(EngineError):
    """The files of a text index are missing or not as they were written, or it can no longer be written to."""

    code = "text_index_damaged"


class TextIndexOutdatedError(EngineError):
    """A text index was made for other fields or languages, or by another version of the analysis."""

    code = "text_index_outdated"


class tantivy_errors:  # noqa: N801  (read as a verb: `with tantivy_errors("searched"):`)
    """Tantivy's errors as ours: it raises ValueError and OSError, and panics over bytes that it did not write.

    A class, since searches are short: a generator's context costs three times as much.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None or isinstance(error, TextIndexDamagedError):
            return
        if isinstance(error, ValueError | OSError) or type(error).__name__ == "PanicException":  # which pyo3 hides
            raise TextIndexDamagedError(f"text index cannot be {self._what}: reason={error}") from error
