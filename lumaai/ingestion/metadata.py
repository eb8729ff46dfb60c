"""What every document that is made from a whole file says of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError

_TITLE_CHARACTERS_MAX = 500


def file_document(path: Path, name: str, title: str, text: str, **facts: Any) -> dict[str, Any]:
    """A document of a file's text.

    Args:
        path: the file, for the time when it was modified.
        name: what it is called in the collection: the document's `id` and `path`.
        title: of the document; the file's name where it is blank.
        text: of it.
        facts: more fields; those that are None or blank are left out.
    """
    shown = clean(" ".join(title.split())[:_TITLE_CHARACTERS_MAX]) or path.stem
    known = {key: value for key, value in facts.items() if value not in (None, "")}
    return {"id": name, "title": shown, "text": clean(text), "path": name, "modified": modified(path), **known}


def modified(path: Path) -> str:
    """When the file was last changed, in UTC, to the second.

    Raises:
        InvalidRequestError: the file is gone (code "file_unreadable").
    """
    try:
        seconds = path.stat().st_mtime
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror}", code="file_unreadable") from error
    try:
        return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"  # a time that no calendar has


def clean(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
