"""Plain text and Markdown: one document a file."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest

from lumaai.errors import InvalidRequestError, NotSupportedError, TooLargeError
from lumaai.ingestion import read
from lumaai.ingestion.text_files import TEXT_BYTES_MAX


def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: str | bytes) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    (record,) = read(name)
    return record


def test_a_text_is_one_document_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is the path as it was given, so that adding the file again replaces it; all of the text is kept."""
    record = document(tmp_path, monkeypatch, "notes.txt", "\ufeffFirst.\n\nSecond é.\n")
    assert record.document == {
        "id": "notes.txt",
        "title": "notes",
        "text": "First.\n\nSecond é.\n",
        "path": "notes.txt",
        "modified": record.document["modified"],
    }
    stamp = dt.datetime.fromisoformat(record.document["modified"]).timestamp()
    assert stamp == int((tmp_path / "notes.txt").stat().st_mtime)


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
    found = document(tmp_path, monkeypatch, "page.md", text).document
    assert (found["id"], found["title"], found["text"]) == ("page.md", title, text)


def test_an_empty_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to find in it."""
    assert document(tmp_path, monkeypatch, "a.txt", " \n").problem == "file is empty"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF\x00\x00", "it is binary"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(1, 32)), "it is binary"),
        (("é" * 40 + "x").encode() + b"\xe9", "it is not UTF-8 (byte 0xe9 at byte 81)"),
        (b"\xff\xfea", "it looks like utf-16-le and is not"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, message: Any) -> None:
    """Binary files, whatever their name; text with damage, naming the byte."""
    with pytest.raises(InvalidRequestError) as caught:
        document(tmp_path, monkeypatch, "a.txt", data)
    assert message in str(caught.value)
    assert caught.value.code == "file_not_text"


PROSE = {
    "cp1252": "Das Café „Größe“ kostet 5 € – für Gäste aus Österreich und für die Müllers. " * 8,
    "cp1251": "Война и мир — роман Льва Толстого, описывающий русское общество в эпоху войн против Наполеона. " * 8,
    "shift_jis": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 12,
    "gb18030": "红楼梦是中国古典四大名著之首，清代作家曹雪芹创作的章回体长篇小说。" * 12,
    "utf-16": "Ein Text in UTF-16, wie Windows ihn schreibt: Grüße.",
}


@pytest.mark.parametrize("encoding", PROSE)
def test_other_encodings_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Any) -> None:
    """By charset-normalizer, or by their byte order mark."""
    record = document(tmp_path, monkeypatch, "a.txt", PROSE[encoding].encode(encoding))
    assert record.document["text"] == PROSE[encoding]


def test_a_short_text_that_is_no_utf8_is_taken_for_western(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four bytes nothing better can be said."""
    assert document(tmp_path, monkeypatch, "a.txt", b"caf\xe9").document["text"] == "café"


def test_without_the_extra_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """UTF-8 needs nothing; all else needs charset-normalizer."""
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert document(tmp_path, monkeypatch, "a.txt", "é").document["text"] == "é"
    with pytest.raises(NotSupportedError, match=r"pip install 'lumaai\[readers\]'") as caught:
        document(tmp_path, monkeypatch, "a.txt", b"caf\xe9")
    assert caught.value.code == "extra_missing"


def test_source_code_is_titled_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its suffix, which says what it is."""
    assert document(tmp_path, monkeypatch, "a.py", "x = 1\n").document["title"] == "a.py"


def test_a_text_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte is none."""
    assert len(document(tmp_path, monkeypatch, "a.txt", "word " * 250_000).document["text"]) == 1_250_000
    with pytest.raises(TooLargeError, match="maximum=15728640 bytes"):
        document(tmp_path, monkeypatch, "a.txt", "x" * (TEXT_BYTES_MAX + 1))
