"""Reader of HTML: what a reader of the page reads, as Markdown, so that it is split at its headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumaai.errors import TooLargeError
from lumaai.ingestion.encodings import decoded
from lumaai.ingestion.extras import library
from lumaai.ingestion.metadata import file_document
from lumaai.ingestion.record import Record
from lumaai.ingestion.source import read_bytes

HTML_BYTES_MAX = 32 * 1024 * 1024
# The parser takes time by the square of the depth: half a second for 20,000, hours for what fits into the bytes.
DEPTH_MAX = 5_000

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# These are closed by what follows them, or hold nothing.
_UNNESTED = frozenset(
    "p li dt dd tr td th thead tbody tfoot option optgroup rt rp area base br col embed hr img input link meta source "
    "track wbr param html head body".split()
)

_SKIPPED = frozenset(
    "head script style noscript template svg math iframe object nav footer aside form button select dialog canvas "
    "audio video map".split()
)
_BLOCKS = frozenset(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption figure header hgroup html "
    "main ol p section summary table tbody tfoot thead ul".split()
)
_HEADINGS = {f"h{depth}": f"{'#' * depth} " for depth in range(1, 7)}
# A page's own main part is taken for the whole where it has at least this share of the text.
_MAIN_SHARE = 0.4


def read_html(path: Path, name: str) -> Iterator[Record]:
    """The page as one document: its title, its text as Markdown without navigation and scripts, its language.

    Raises:
        InvalidRequestError: it is not text.
        TooLargeError: more than `HTML_BYTES_MAX`, or nested deeper than `DEPTH_MAX`.
        NotSupportedError: selectolax is not installed.
    """
    parser = library("selectolax.lexbor", "readers", path).LexborHTMLParser
    data = read_bytes(path, bytes_max=HTML_BYTES_MAX)
    page = decoded(path, data)
    if _is_too_deep(page):
        raise TooLargeError(f"{path} is nested too deep: maximum={DEPTH_MAX} elements in one another")
    tree = parser(page)
    title = tree.css_first("title") or tree.css_first("h1")
    text = _text_of_page(tree)
    if not text:
        yield Record(1, problem="page has no text", bytes=len(data))
        return
    root = tree.css_first("html")
    language = (root.attributes.get("lang") or "").strip()[:35] if root is not None else None
    named = title.text(deep=True) if title is not None else ""
    yield Record(1, file_document(path, name, named, text, language=language), bytes=len(data))


def _is_too_deep(page: str) -> bool:
    """Whether more elements are open at once than a page has that somebody reads."""
    if page.count("<") <= DEPTH_MAX:
        return False
    depth = 0
    for closes, tag in _TAG.findall(page):
        if tag.lower() not in _UNNESTED:
            depth = max(0, depth - 1) if closes else depth + 1
            if depth > DEPTH_MAX:
                return True
    return False


def _text_of_page(tree: Any) -> str:
    whole = _markdown(tree.body if tree.body is not None else tree.root)
    mains = tree.css("main") or tree.css("article")
    if len(mains) == 1:
        part = _markdown(mains[0])
        if len(part) > _MAIN_SHARE * len(whole):
            return part
    return whole


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the page a text stands.

    Attributes:
        block: tells one block from the others.
        start: what the block begins with in Markdown.
        is_kept: as it is, spaces and all, in a fence.
        table: number of the table that it is a row of; 0 for none.
    """

    block: int
    start: str = ""
    is_kept: bool = False
    table: int = 0
    is_skipped: bool = False


def _markdown(root: Any) -> str:
    """The text below a node. Goes through the tree in its order: nested however deep, nothing recurs."""
    places: dict[int, _Place] = {}
    parts: list[str] = []
    current, open_ = _Place(-1), list[str]()
    table = 0
    for node in root.traverse(include_text=True):
        parent = node.parent
        above = places.get(parent.mem_id, _Place(0)) if parent is not None else _Place(0)
        if node.tag == "-text":
            if above.is_skipped:
                continue
            if above.block != current.block:
                table = _close(parts, current, open_, table)
                current, open_ = above, []
            open_.append(node.text_content or "")
        elif node.tag == "br" and above.block == current.block:
            open_.append("\n")
        else:
            places[node.mem_id] = _place(node.tag, node.mem_id, above)
            if node.tag in {"td", "th"} and current.block == above.block and open_:
                open_.append(" | ")
    _close(parts, current, open_, table)
    return "\n\n".join(parts).replace("\n\n- ", "\n- ").replace("|\n\n|", "|\n|").strip()


def _place(tag: str, number: int, above: _Place) -> _Place:
    if above.is_skipped or tag in _SKIPPED:
        return _Place(above.block, is_skipped=True)
    if above.is_kept:
        return above
    if tag == "pre":
        return _Place(number, is_kept=True)
    if tag == "tr":
        return _Place(number, "| ", table=above.block or 1)
    if above.table:
        return above
    if tag == "li":
        return _Place(number, "- ")
    if tag in _HEADINGS:
        return _Place(number, _HEADINGS[tag])
    return _Place(number) if tag in _BLOCKS else above


def _close(parts: list[str], place: _Place, pieces: list[str], table: int) -> int:
    """Put a block behind the others; the table that it was of, of which the first row is ruled off from the rest."""
    text = "".join(pieces)
    if not text.strip(" |\n\t\r\f"):
        return table
    if place.is_kept:
        parts.append("```\n" + text.strip("\n").replace("```", "` ` `") + "\n```")
        return 0
    lines = [" ".join(line.split()) for line in text.split("\n")] if "\n" in pieces else [" ".join(text.split())]
    body = "\n".join(line for line in lines if line)
    if not place.table:
        parts.append(place.start + body)
        return 0
    parts.append(f"{place.start}{' '.join(body.split())} |")
    if place.table != table:
        parts.append("|" + "---|" * (pieces.count(" | ") + 1))
    return place.table
