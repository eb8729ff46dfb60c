"""Reader of Word documents (.docx): paragraphs, lists and tables as Markdown, so that they are split at headings."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError, TooLargeError
from lumaai.ingestion.extras import library
from lumaai.ingestion.metadata import file_document
from lumaai.ingestion.record import Record
from lumaai.ingestion.source import opened

# A document is a ZIP archive: what it unpacks to is bounded before anything is unpacked.
ENTRIES_MAX = 10_000
UNPACKED_BYTES_MAX = 256 * 1024 * 1024
XML_BYTES_MAX = 64 * 1024 * 1024
TEXT_CHARACTERS_MAX = 15 * 1024 * 1024

_HEADING = re.compile(r"heading ([1-6])$", re.IGNORECASE)


def read_docx(path: Path, name: str) -> Iterator[Record]:
    """The document as one: its title, its text as Markdown, its author.

    Raises:
        InvalidRequestError: it is no Word document, or damaged (code "file_malformed").
        TooLargeError: it unpacks to more than `UNPACKED_BYTES_MAX`.
        NotSupportedError: python-docx is not installed.
    """
    docx = library("docx", "readers", path)
    size = _check_archive(path)
    try:
        document = docx.Document(str(path))
        text = _markdown(docx, document)
        facts = document.core_properties
        title, author = facts.title or "", facts.author or ""
    # The library answers damage with whatever went wrong: KeyError, ValueError, lxml's and its own errors.
    except Exception as error:
        raise InvalidRequestError(
            f"{path} is not a readable Word document: {type(error).__name__}: {error!s:.200}", code="file_malformed"
        ) from error
    if not text:
        yield Record(1, problem="document has no text", bytes=size)
        return
    if len(text) > TEXT_CHARACTERS_MAX:
        raise TooLargeError(f"{path} has too much text: maximum={TEXT_CHARACTERS_MAX} got={len(text)} characters")
    yield Record(1, file_document(path, name, title or _first_heading(text), text, author=author), bytes=size)


def _check_archive(path: Path) -> int:
    """The file's size, if what it holds can be unpacked without harm."""
    with opened(path) as file:
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise InvalidRequestError(
                f"{path} is not a readable Word document: {error}", code="file_malformed"
            ) from error
        size = file.seek(0, 2)
    # What is unpacked is never more than what the archive says, or its checksum fails.
    unpacked = sum(entry.file_size for entry in entries)
    largest = max((entry.file_size for entry in entries if entry.filename.endswith((".xml", ".rels"))), default=0)
    if len(entries) > ENTRIES_MAX or unpacked > UNPACKED_BYTES_MAX or largest > XML_BYTES_MAX:
        raise TooLargeError(
            f"{path} unpacks to too much: maximum={UNPACKED_BYTES_MAX} bytes, {XML_BYTES_MAX} of one part, "
            f"{ENTRIES_MAX} parts; got={unpacked}, {largest}, {len(entries)}"
        )
    return size


def _markdown(docx: Any, document: Any) -> str:
    blocks: list[str] = []
    for item in document.iter_inner_content():
        is_table = isinstance(item, docx.table.Table)
        blocks += [block for block in (_table(item) if is_table else _paragraph(item),) if block]
    return "\n\n".join(blocks).replace("\n\n- ", "\n- ").strip()


def _paragraph(paragraph: Any) -> str:
    text = paragraph.text.strip()
    if not text:
        return ""
    style = (paragraph.style.name or "") if paragraph.style is not None else ""
    if heading := _HEADING.match(style):
        return f"{'#' * int(heading[1])} {' '.join(text.split())}"
    if style == "Title":
        return f"# {' '.join(text.split())}"
    return f"- {text}" if style.startswith("List") else text


def _table(table: Any) -> str:
    rows = []
    for row in table.rows:
        cells, seen = [], set[int]()
        for cell in row.cells:
            # A cell that spans several columns comes once for each.
            if id(cell._tc) not in seen:  # noqa: SLF001 - python-docx has no public name for it
                seen.add(id(cell._tc))  # noqa: SLF001
                cells.append(" ".join(cell.text.split()))
        rows.append(f"| {' | '.join(cells)} |")
    if not any(row.strip("| ") for row in rows):
        return ""
    return "\n".join([rows[0], "|" + "---|" * rows[0].count(" | ") + "---|", *rows[1:]])


def _first_heading(text: str) -> str:
    first = text.partition("\n")[0]
    return first.lstrip("# ") if first.startswith("# ") else ""
