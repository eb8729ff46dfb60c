"""Reader of PDF: one document a page, so that a hit names its page.

PDFium (pypdfium2, BSD-3-Clause and Apache-2.0) is the parser that Chrome opens hostile files with. It is not safe for
several threads: a lock guards it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError, TooLargeError
from lumaai.ingestion.extras import library
from lumaai.ingestion.metadata import file_document
from lumaai.ingestion.record import Record
from lumaai.ingestion.source import opened

PDF_BYTES_MAX = 1024 * 1024 * 1024
PAGES_MAX = 10_000
PAGE_CHARACTERS_MAX = 2_000_000
# A file that takes longer is left where it is: what was read of it stays.
SECONDS_MAX = 300.0

_pdfium = threading.Lock()
_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD


def read_pdf(path: Path, name: str) -> Iterator[Record]:
    """The pages that have text, as documents: `id` is the file's with `#page=3` behind it (RFC 8118).

    Raises:
        InvalidRequestError: it is no PDF, is damaged or locked by a password, or has no text at all, as scans have
            none (code "file_malformed").
        TooLargeError: more bytes, pages or time than `PDF_BYTES_MAX`, `PAGES_MAX`, `SECONDS_MAX`.
        NotSupportedError: pypdfium2 is not installed.
    """
    pdfium = library("pypdfium2", "readers", path)
    with opened(path):
        size = path.stat().st_size
    if size > PDF_BYTES_MAX:
        raise TooLargeError(f"{path} is too large: maximum={PDF_BYTES_MAX} got={size} bytes")
    document = _opened(pdfium, path)
    try:
        yield from _pages(pdfium, document, path, name, size)
    finally:
        with _pdfium:
            document.close()


def _opened(pdfium: Any, path: Path) -> Any:
    try:
        with _pdfium:
            return pdfium.PdfDocument(str(path))
    except pdfium.PdfiumError as error:
        locked = getattr(error, "err_code", None) == _PASSWORD_NEEDED or "password" in str(error).lower()
        why = "it is locked by a password" if locked else f"it is not a readable PDF: {error}"
        raise InvalidRequestError(f"cannot read {path}: {why}", code="file_malformed") from error


def _pages(pdfium: Any, document: Any, path: Path, name: str, size: int) -> Iterator[Record]:
    with _pdfium:
        count = len(document)
        facts = document.get_metadata_dict(skip_empty=True)
    if count > PAGES_MAX:
        raise TooLargeError(f"{path} has too many pages: maximum={PAGES_MAX} got={count}")
    title = facts.get("Title", "")
    told = {"author": facts.get("Author", ""), "pages": count}
    deadline, found, share = time.monotonic() + SECONDS_MAX, 0, size // max(1, count)
    for number in range(1, count + 1):
        if time.monotonic() > deadline:
            raise TooLargeError(f"{path} takes too long: {number - 1} of {count} pages read in {SECONDS_MAX:.0f} s")
        try:
            text = _text_of(document, number - 1)
        except pdfium.PdfiumError as error:
            yield Record(number, problem=f"page cannot be read: {error}", bytes=share)
            continue
        if text.strip():
            found += 1
            page = file_document(path, name, title, text, page=number, **told)
            yield Record(number, {**page, "id": f"{name}#page={number}"}, bytes=share)
    if not found:
        raise InvalidRequestError(f"{path} has no text: scanned pages have to be recognised first", code="file_empty")


def _text_of(document: Any, index: int) -> str:
    with _pdfium:
        page = document[index]
        try:
            text_page = page.get_textpage()
            try:
                count = min(text_page.count_chars(), PAGE_CHARACTERS_MAX)
                text: str = text_page.get_text_range(0, count) if count > 0 else ""
            finally:
                text_page.close()
        finally:
            page.close()
    # PDFium marks hyphens at line ends with U+FFFE or U+0002, and ends lines as Windows does.
    joined = text.replace("\ufffe\r\n", "").replace("\x02\r\n", "")
    return joined.replace("\ufffe", "-").replace("\x02", "-").replace("\x00", "").replace("\r\n", "\n")
