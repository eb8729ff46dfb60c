"""What commands print: plain text that reads well in a terminal and in a file, or JSON for other programs."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lumaai.results import Hit, Hits
    from promptql import Answer

WIDTH = 100
PASSAGE_LINES = 3
CITED_IDS = 5
TITLE_FIELDS = ("title", "name")
TITLE_CHARACTERS = 60
# Control characters but tab and line feed, and those that change the direction of text (Unicode 16, 23.2).
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text of documents as a terminal may show it: what would steer the terminal is written as an escape.

    A document could otherwise clear the screen, change the window's title, or turn what follows it around.
    """
    return _STEERING.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"


def print_json(value: Any) -> None:
    """One line of JSON; indented where a person reads it."""
    print_json_line(value, indent=2 if sys.stdout.isatty() else None)


def print_json_line(value: Any, *, indent: int | None = None) -> None:
    """One line of JSON, whoever reads it; what steers a terminal is escaped, which is the same JSON."""
    typer.echo(plain(json.dumps(value, ensure_ascii=False, indent=indent, default=str)))


def print_csv(text: str) -> None:
    """CSV as it is where a program reads it; a terminal is not steered."""
    typer.echo(plain(text) if sys.stdout.isatty() else text, nl=False)


def print_hits(hits: Hits, *, with_loading: bool) -> None:
    """Rank, score, id, title and best passage of each hit.

    Args:
        hits: what was found.
        with_loading: whether the time includes that of loading the model.
    """
    for rank, hit in enumerate(hits, start=1):
        typer.echo(plain(f"{rank:>3}. {hit.score:.3f}  {hit.id}  {title(hit)}".rstrip()))
        for line in excerpt(hit):
            typer.echo(plain(f"            {line}"))
    loading = ", loading the model included" if with_loading else ""
    typer.echo(f"{plural(len(hits), 'hit')} in {hits.milliseconds:.1f} ms{loading}")


def title(hit: Hit) -> str:
    """What a person knows the document by: its title or name, else its first short text; empty if it has none."""
    texts = {
        name.lower(): " ".join(value.split())
        for name, value in hit.document.items()
        if name != "id" and isinstance(value, str) and value.strip() and value != hit.id
    }
    short = (text for text in texts.values() if len(text) <= TITLE_CHARACTERS)
    named = next((texts[name] for name in TITLE_FIELDS if name in texts), None)
    return textwrap.shorten(named or next(short, ""), TITLE_CHARACTERS, placeholder=" …")


def excerpt(hit: Hit) -> list[str]:
    """The first lines of the passage that was found."""
    if hit.passage is None:
        return []
    text = " ".join(hit.passage.text.split())
    return textwrap.wrap(text, WIDTH - 12, max_lines=PASSAGE_LINES, placeholder=" …")


def print_answer(answer: Answer) -> None:
    """The answer's text, then what it rests on: citations, assumptions, warnings and the steps that ran."""
    typer.echo(plain(answer.text))
    for line in answer_lines(answer):
        typer.echo(plain(f"  {line}"))


def answer_lines(answer: Answer) -> list[str]:
    """One line for each citation, assumption, warning and step, and one for the planner."""
    data = answer.to_json()
    return [
        *(f"cites      {_citation(item)}" for item in data["citations"][:CITED_IDS]),
        *_more(len(data["citations"])),
        *(f"assumes    {item['text']}" for item in data["assumptions"]),
        *(f"warns      {item['detail']}" for item in data["warnings"]),
        *(f"step       {step_line(item)}" for item in steps_with_operations(data)),
        f"planner    {data['planner']}, confidence {data['confidence']:.2f}",
    ]


def steps_with_operations(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps that ran, each with the operation that the plan names for it."""
    operations = {step["id"]: step["op"] for step in (data["plan"] or {}).get("steps", [])}
    return [{"op": operations.get(step["id"], step["id"]), **step} for step in data["steps"]]


def _citation(item: Mapping[str, Any]) -> str:
    ids: Sequence[str] = item.get("ids", [])
    more = f" and {len(ids) - CITED_IDS:,} more" if len(ids) > CITED_IDS else ""
    return f"{item.get('collection', '')}: {', '.join(ids[:CITED_IDS])}{more}"


def _more(count: int) -> list[str]:
    return [f"           … and {plural(count - CITED_IDS, 'more citation')}"] if count > CITED_IDS else []


def step_line(item: Mapping[str, Any]) -> str:
    """What a step did; one within a query of SQL does not know its rows."""
    rows = f"{_count(item.get('rows_in'))} → {_count(item.get('rows_out'))} rows"
    cached = ", from the last time" if item.get("cached") else ""
    return f"{item['op']:<8} {rows}, {item.get('milliseconds', 0.0):.1f} ms{cached}{_asked(item.get('llm'))}"


def _asked(use: dict[str, Any] | None) -> str:
    """What a step asked of language models."""
    if use is None:
        return ""
    parts = [plural(use["calls"], "call"), f"{use['tokens_in']} + {use['tokens_out']} tokens"]
    parts += [f"${use['usd']:.4f}"] if use["usd"] else []
    parts += [f"{use['cache_hits']} known"] if use["cache_hits"] else []
    parts += [f"{use['proxy_decided']} decided without"] if use["proxy_decided"] else []
    return ", " + ", ".join(parts + ([f"{use['failed']} failed"] if use["failed"] else []))


def _count(rows: int | None) -> str:
    return "?" if rows is None else f"{rows:,}"


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one is not padded."""
    lines = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def figure_rows(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Name and value of each figure, those within others by their path; bytes as sizes."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += figure_rows(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            rows += figure_rows({str(place): item for place, item in enumerate(value)}, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", _shown(name, value)))
    return rows


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and "bytes" in name:
        return size(value)
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a number above one: "1.5 MB" of 1,000,000 bytes each."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def moment(made: str | None) -> str:
    """A time as people write it, in UTC: "2025-01-31 12:00:00Z"."""
    return "" if made is None else made.replace("T", " ").replace("+00:00", "Z")


def plural(count: int, noun: str) -> str:
    """The count with its noun: "1 document", "2 documents"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
