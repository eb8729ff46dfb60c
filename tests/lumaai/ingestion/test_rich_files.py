"""HTML, PDF and Word documents: their text and what they say of themselves; hostile ones are refused with a reason."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest

from lumaai.errors import InvalidRequestError, LumaError, NotSupportedError, TooLargeError
from lumaai.ingestion import docx_files, pdf_files, read
from tests.lumaai.ingestion.pdf import pdf_of

HTML = """<html lang=en><head><title>Fish &amp; chips</title><style>x{}</style></head><body>
<nav><ul><li>Home</ul></nav><main><h1>Fish</h1><div>A <b>bold</b> word<br>next<p>para <a href=x>link</a> here.</p>tail
</div><ul><li>one<li>two</ul><pre>
 x = 1
   y</pre><table><tr><th>a<th>b<tr><td>1<td><p>2</p></table><script>no()</script></main><footer>f</footer>"""


def documents(path: Path) -> list[dict[str, Any]]:
    return [record.document or {"problem": record.problem} for record in read(path, name=path.name)]


def test_a_page_becomes_markdown(tmp_path: Path) -> None:
    """Headings, lists, code and tables stay what they are; navigation, scripts and footers are left out."""
    path = tmp_path / "a.html"
    path.write_text(HTML)
    (found,) = documents(path)
    assert (found["title"], found["language"], found["path"]) == ("Fish & chips", "en", "a.html")
    assert found["text"] == (
        "# Fish\n\nA bold word\nnext\n\npara link here.\n\ntail\n- one\n- two\n\n```\n x = 1\n   y\n```\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |"
    )


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("<b><i>mis</b>nested</i>", "misnested"),
        ("<p>a<!-- never closed", "a"),
        ("<" * 1000 + "p>x", None),
        ("<div>" * 4_000 + "deep", "deep"),
        ("<p>word" * 20_000, None),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><p>a &e; b", None),
        ("<table><tr><td>1<td>2<tr><td>3<td>4</table>", "| 1 | 2 |\n|---|---|\n| 3 | 4 |"),
    ],
)
def test_broken_pages_are_read_as_browsers_read_them(tmp_path: Path, page: str, text: str | None) -> None:
    """Nothing of them is refused, and no entity brings in another file."""
    path = tmp_path / "a.html"
    path.write_text(page)
    (found,) = documents(path)
    assert "root:" not in found["text"]
    if text is not None:
        assert found["text"] == text


@pytest.mark.parametrize("tag", ["div", "b", "span a=1"])
def test_a_page_nested_too_deep_is_refused(tmp_path: Path, tag: str) -> None:
    """The parser would be at it for hours."""
    path = tmp_path / "a.html"
    path.write_text(f"<{tag}>" * 1_000_000 + "x")
    with pytest.raises(TooLargeError, match="nested too deep: maximum=5000"):
        documents(path)


def test_a_page_without_text_is_reported(tmp_path: Path) -> None:
    """Scripts alone are nothing to find."""
    path = tmp_path / "a.html"
    path.write_text("<script>x()</script>")
    assert documents(path) == [{"problem": "page has no text"}]


def test_the_pages_of_a_pdf_are_documents(tmp_path: Path) -> None:
    """Each says its number; those without text are passed over."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_of(["Of ships", "", "Of harbours"], title="The sea"))
    first, second = documents(path)
    assert (first["id"], first["title"], first["text"]) == ("a.pdf#page=1", "The sea", "Of ships")
    assert (first["page"], first["pages"], first["author"], first["path"]) == (1, 3, "A. Writer", "a.pdf")
    assert (second["id"], second["page"], second["text"]) == ("a.pdf#page=3", 3, "Of harbours")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no pdf", "it is not a readable PDF"),
        (b"", "it is not a readable PDF"),
        (pdf_of(["a"])[:120], "it is not a readable PDF"),
        (pdf_of(["", ""]), "has no text"),
    ],
)
def test_pdfs_that_cannot_be_read_say_why(tmp_path: Path, data: bytes, message: str) -> None:
    """One line a file."""
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    with pytest.raises(InvalidRequestError, match=message):
        documents(path)


def test_huge_pdfs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, pages and time; what was read before the time was up stays."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_of(["a", "b", "c"]))
    monkeypatch.setattr(pdf_files, "PAGES_MAX", 2)
    with pytest.raises(TooLargeError, match="too many pages: maximum=2 got=3"):
        documents(path)
    monkeypatch.setattr(pdf_files, "PDF_BYTES_MAX", 10)
    with pytest.raises(TooLargeError, match="maximum=10"):
        documents(path)
    monkeypatch.undo()
    monkeypatch.setattr(pdf_files, "SECONDS_MAX", -1.0)
    with pytest.raises(TooLargeError, match="takes too long: 0 of 3 pages"):
        documents(path)


def word(path: Path) -> None:
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "Report", "A. Writer"
    document.add_heading("Results", level=1)
    document.add_paragraph("Ships sail.")
    document.add_heading("Detail", level=2)
    document.add_paragraph("one", style="List Bullet")
    document.add_paragraph("two", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, [("a", "b"), ("1", "2")], strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.save(str(path))


def test_a_word_document_becomes_markdown(tmp_path: Path) -> None:
    """Headings by their styles, lists, tables in their place."""
    word(tmp_path / "a.docx")
    (found,) = documents(tmp_path / "a.docx")
    assert (found["title"], found["author"]) == ("Report", "A. Writer")
    expected = "# Results\n\nShips sail.\n\n## Detail\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    assert found["text"] == expected


def rewritten(source: Path, target: Path, part: str, old: bytes, new: bytes) -> None:
    """A copy of an archive with one part changed."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as after:
        for entry in before.infolist():
            data = before.read(entry)
            after.writestr(entry.filename, data.replace(old, new, 1) if entry.filename == part else data)


def test_external_entities_bring_nothing_in(tmp_path: Path) -> None:
    """The file that they name stays where it is."""
    (tmp_path / "secret").write_text("TOP SECRET")
    word(tmp_path / "a.docx")
    declared = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{(tmp_path / "secret").as_uri()}">]><w:document'.encode()
    rewritten(tmp_path / "a.docx", tmp_path / "b.docx", "word/document.xml", b"<w:document", declared)
    rewritten(tmp_path / "b.docx", tmp_path / "c.docx", "word/document.xml", b"Ships sail.", b"&e;")
    try:
        found = documents(tmp_path / "c.docx")
    except LumaError:
        return
    assert "SECRET" not in str(found)


def test_billions_of_laughs_are_not_expanded(tmp_path: Path) -> None:
    """Entities within entities, a thousand million of them."""
    word(tmp_path / "a.docx")
    lines = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    declared = f'<!DOCTYPE x [<!ENTITY l0 "ha">{lines}]><w:document'.encode()
    rewritten(tmp_path / "a.docx", tmp_path / "b.docx", "word/document.xml", b"<w:document", declared)
    rewritten(tmp_path / "b.docx", tmp_path / "c.docx", "word/document.xml", b"Ships sail.", b"&l9;")
    try:
        (found,) = documents(tmp_path / "c.docx")
    except LumaError:
        return
    assert len(found["text"]) < 1000


def test_zip_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the archive says that it unpacks to: a hundred megabytes of nothing in a hundred kilobytes."""
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * (100 * 1024 * 1024))
    assert path.stat().st_size < 200_000
    with pytest.raises(TooLargeError, match="unpacks to too much"):
        documents(path)
    word(tmp_path / "b.docx")
    monkeypatch.setattr(docx_files, "ENTRIES_MAX", 3)
    with pytest.raises(TooLargeError, match="unpacks to too much"):
        documents(tmp_path / "b.docx")


@pytest.mark.parametrize("data", [b"no zip", b"PK\x03\x04" + b"x" * 50, b""])
def test_what_is_no_word_document_says_so(tmp_path: Path, data: bytes) -> None:
    """One line a file."""
    path = tmp_path / "a.docx"
    path.write_bytes(data)
    with pytest.raises(InvalidRequestError, match="is not a readable Word document"):
        documents(path)


def test_an_archive_of_something_else_says_so(tmp_path: Path) -> None:
    """A ZIP file is not enough."""
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(InvalidRequestError, match="is not a readable Word document"):
        documents(path)


@pytest.mark.parametrize(
    ("name", "module"), [("a.html", "selectolax.lexbor"), ("a.pdf", "pypdfium2"), ("a.docx", "docx")]
)
def test_without_the_extra_the_error_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    """`pip install 'lumaai[readers]'`, for each of them."""
    (tmp_path / name).write_text("x")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotSupportedError, match=r"not installed: pip install 'lumaai\[readers\]'"):
        documents(tmp_path / name)
