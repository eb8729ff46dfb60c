"""Plain text and Markdown: one document a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lumaai.errors import InvalidRequestError
from lumaai.ingestion import read


def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: str | bytes) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    (record,) = read(name)
    return record


def test_a_text_is_one_document_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is the path as it was given, so that adding the file again replaces it; all of the text is kept."""
    record = document(tmp_path, monkeypatch, "notes.txt", "\ufeffFirst.\n\nSecond é.\n")
    assert record.document == {"id": "notes.txt", "title": "notes", "text": "First.\n\nSecond é.\n"}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("intro\n\n# The *title* #\n\nText\n# Second\n", "The *title*"),
        ("## Only a second level\n", "page"),
        ("```sh\n# a comment\n```\n# Real\n", "Real"),
        ("#hashtag\n", "page"),
    ],
)
def test_markdown_is_titled_by_its_first_heading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: Any, title: Any
) -> None:
    """The first of the first level, outside code; else the file's name."""
    assert document(tmp_path, monkeypatch, "page.md", text).document == {"id": "page.md", "title": title, "text": text}


def test_an_empty_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to find in it."""
    assert document(tmp_path, monkeypatch, "a.txt", " \n").problem == "file is empty"


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"caf\xe9", "it is not UTF-8 (byte 0xe9 at byte 3)"), (b"\x7fELF\x00\x00", "it is binary")],
)
def test_what_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, message: Any) -> None:
    """Binary and other encodings, naming the byte."""
    with pytest.raises(InvalidRequestError) as caught:
        document(tmp_path, monkeypatch, "a.txt", data)
    assert message in str(caught.value)
    assert caught.value.code == "file_not_text"
