"""An answer as text for people and other programs: Markdown and CSV. Pure functions, no engine needed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptql.answer import Answer, Citation

TABLE_ROWS_MAX = 20
CELL_CHARACTERS_MAX = 80
IDS_SHOWN = 5
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\dT00:00:00(\.0+)?Z")


def shown(value: Any) -> str:
    """A value for reading: floats to two places, long text cut, midnights as days."""
    match value:
        case None:
            return "–"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return f"{value:.2f}".rstrip("0").rstrip(".")
        case str() if _MIDNIGHT.fullmatch(value):
            return value[:10]
        case list():
            text = ", ".join(shown(item) for item in value)
        case _:
            text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= CELL_CHARACTERS_MAX else text[: CELL_CHARACTERS_MAX - 1] + "…"


def markdown_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """At most 20 rows, and how many more there are."""
    lines = _table_lines(columns, rows[:TABLE_ROWS_MAX])
    if total > TABLE_ROWS_MAX:
        lines += ["", f"… and {total - TABLE_ROWS_MAX} more."]
    return "\n".join(lines)


def _table_lines(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| " + " | ".join(map(_cell, columns)) + " |", "|" + "|".join(" --- " for _ in columns) + "|"]
    return lines + ["| " + " | ".join(_cell(shown(row[name])) for name in columns) + " |" for row in rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def answer_to_markdown(answer: Answer) -> str:
    """The text of an answer, what it assumed and warns of, and its sources."""
    parts = [answer.text]
    for title, lines in (
        ("Assumptions", [item.text for item in answer.assumptions]),
        ("Warnings", [item.detail for item in answer.warnings]),
    ):
        if lines:
            parts.append(f"**{title}**\n\n" + "\n".join(f"- {line}" for line in lines))
    if answer.citations:
        sources = [f"{mark}. {_source(citation)}" for mark, citation in enumerate(answer.citations, 1)]
        parts.append("**Sources**\n\n" + "\n".join(sources))
    return "\n\n".join(parts) + "\n"


def _source(citation: Citation) -> str:
    named = ", ".join(citation.ids[:IDS_SHOWN])
    more = citation.count - min(len(citation.ids), IDS_SHOWN)
    place = f", {citation.field} {_spans(citation)}" if citation.field else ""
    return f"`{citation.cell}`: {citation.collection} {named}{f' and {more} more' if more > 0 else ''}{place}"


def _spans(citation: Citation) -> str:
    return ", ".join(f"{start}–{end}" for start, end in citation.spans)


def answer_to_csv(answer: Answer) -> str:
    """The rows of an answer's table (RFC 4180), whole values; of one without a table, its values."""
    table = next((artifact for artifact in answer.artifacts if artifact.id == answer.artifact), None)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if table is not None:
        writer.writerow(table.columns)
        writer.writerows([_plain(row[name]) for name in table.columns] for row in table.rows)
    else:
        writer.writerow(["value"])
        rows = (value if isinstance(value, tuple) else (value,) for value in answer.values)
        writer.writerows([_plain(value) for value in row] for row in rows)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """A value as a cell: missing ones empty, lists and objects as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
