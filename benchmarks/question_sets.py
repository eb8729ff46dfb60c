"""The public sets of questions over tables and databases: as tables in memory, and with their own rules."""

from __future__ import annotations

import gzip
import re
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from benchmarks.data import SHARED_DATA, read_jsonl
from promptql.evaluation.scoring import same_denotation, same_rows, same_values
from promptql.rules.columns import View
from promptql.rules.joins import Joined
from promptql.rules.links import Headers

HELD_TABLES = 6  # one in so many of WikiTableQuestions' training tables is kept from training, to tune on
PREPARED_MAX = 400
Fields = dict[str, list[Any]]
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")


@dataclass(frozen=True)
class PublicQuestion:
    """A question of a public set.

    Attributes:
        tables: names of the tables that it is asked of (one, or a whole database's, under the database's name).
        right: whether an answer's rows are right, by the set's own rule.
        part: what it may be used for: a fold, "train", "held" or "dev", or a database.
    """

    question: str
    table: str
    right: Callable[[Sequence[Sequence[Any]]], bool] = field(repr=False)
    part: str
    category: str


@dataclass(frozen=True)
class Prepared:
    """Tables in memory, as the planner reads them."""

    tables: Mapping[str, Fields]
    view: View
    headers: Headers
    joined: Joined | None = None
    references: tuple[tuple[str, str, str, str], ...] = ()
    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)


class TableSet:
    """The tables of WikiSQL or WikiTableQuestions; the last few hundred stay prepared."""

    def __init__(self, name: str) -> None:
        self._tables = {row["_id"]: row for row in read_jsonl(SHARED_DATA / name / "tables.jsonl.gz")}
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()

    def prepared(self, name: str) -> Prepared:
        """One table."""
        known = self._prepared.get(name)
        if known is None:
            fields = fields_of(self._tables[name])
            view = View({"table": fields})
            known = self._prepared[name] = Prepared({"table": fields}, view, Headers(view))
            if len(self._prepared) > PREPARED_MAX:
                self._prepared.popitem(last=False)
        return known


def fields_of(table: Mapping[str, Any]) -> Fields:
    """Column name → cells; empty and repeated names are numbered."""
    fields: Fields = {}
    for place, header in enumerate(table["header"]):
        name = re.sub(r"\s+", " ", header).strip() or f"column {place + 1}"
        base, number = ("ID" if name == "id" else name), 2
        name = base
        while name in fields:
            name, number = f"{base} {number}", number + 1
        fields[name] = typed([row[place] if place < len(row) else "" for row in table["rows"]])
    return fields


def typed(cells: Sequence[str]) -> list[Any]:
    """Text as numbers where all of it is, as ingestion types the columns of a CSV file; empty cells are missing."""
    held = [cell for cell in cells if cell.strip()]
    if not held or not all(_NUMBER.fullmatch(cell.strip()) for cell in held):
        return list(cells)
    whole = all("." not in cell for cell in held)
    return [None if not cell.strip() else int(cell) if whole else float(cell) for cell in cells]


def wikisql() -> Iterator[PublicQuestion]:
    """WikiSQL over TabFact's tables; parts are folds "1" to "9"."""
    for row in read_jsonl(SHARED_DATA / "wikisql-tabfact" / "questions.jsonl.gz"):
        category = row["sql"]["agg"] or "value"
        yield PublicQuestion(row["question"], row["table_id"], _values_rule(row["answer"]), str(row["fold"]), category)


def _values_rule(answer: Sequence[Any]) -> Callable[[Sequence[Sequence[Any]]], bool]:
    return lambda rows: all(len(row) == 1 for row in rows) and same_values(answer, [row[0] for row in rows])


def wikitablequestions() -> Iterator[PublicQuestion]:
    """WikiTableQuestions; of its training tables some are "held" from training."""
    for row in read_jsonl(SHARED_DATA / "wikitablequestions" / "questions.jsonl.gz"):
        held = zlib.crc32(row["table_id"].encode()) % HELD_TABLES == 0
        part = row["split"] if row["split"] != "train" else "held" if held else "train"
        first = row["question"].lower().split()
        category = "how many" if first[:2] == ["how", "many"] else first[0] if first else ""
        category = category if category in ("who", "what", "which", "how many", "when", "where") else "other"
        yield PublicQuestion(row["question"], row["table_id"], _denotation_rule(row["answers"]), part, category)


def _denotation_rule(answers: Sequence[str]) -> Callable[[Sequence[Sequence[Any]]], bool]:
    return lambda rows: all(len(row) == 1 for row in rows) and same_denotation(answers, [row[0] for row in rows])


@lru_cache(maxsize=32)
def sqlite(name: str) -> sqlite3.Connection:
    """A database of Spider."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(gzip.decompress((SHARED_DATA / "spider" / "databases" / f"{name}.sqlite.gz").read_bytes()))
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection


def spider() -> Iterator[PublicQuestion]:
    """Spider's development questions; parts are databases, categories by what the gold query does."""
    for row in read_jsonl(SHARED_DATA / "spider" / "questions.jsonl.gz"):
        query = row["query"].lower()
        nested = len(re.findall(r"\bselect\b", query)) > 1
        category = "nested" if nested else "join" if re.search(r"\bjoin\b", query) else "single"
        yield PublicQuestion(
            row["question"], row["db_id"], _rows_rule(row["db_id"], row["query"]), row["db_id"], category
        )


def _rows_rule(database: str, query: str) -> Callable[[Sequence[Sequence[Any]]], bool]:
    ordered = bool(re.search(r"order\s+by", query, re.IGNORECASE))

    @lru_cache(maxsize=1)
    def gold() -> list[tuple[Any, ...]]:
        return sqlite(database).execute(query).fetchall()

    return lambda rows: same_rows(gold(), rows, ordered=ordered)


@lru_cache(maxsize=32)
def spider_database(name: str) -> Prepared:
    """A database of Spider in memory, with its official readable names, and related as the planner finds it."""
    from benchmarks.evaluation import read_tables  # which reads questions from here

    schema = next(row for row in read_jsonl(SHARED_DATA / "spider" / "schemas.jsonl.gz") if row["db_id"] == name)
    connection = sqlite(name)
    tables: dict[str, Fields] = {}
    labels: dict[tuple[str, str], str] = {}
    stored = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for number, table in enumerate(schema["table_names_original"]):
        if table not in stored or table.startswith("sqlite_"):
            continue
        cursor = connection.execute(f'SELECT * FROM "{table}"')
        columns, rows = [item[0] for item in cursor.description], cursor.fetchall()
        tables[table] = {("ID" if name == "id" else name): [row[i] for row in rows] for i, name in enumerate(columns)}
        known = {column.lower(): column for column in tables[table]}
        for (owner, label), (_, original) in zip(schema["column_names"], schema["column_names_original"], strict=True):
            if owner == number and original.lower() in known:
                labels[table, known[original.lower()]] = label
    titles = dict(zip(schema["table_names_original"], schema["table_names"], strict=True))
    view = View(tables, titles, labels)
    declared = Prepared(tables, view, Headers(view), None, tuple(_references(schema, view)), labels, titles)
    read = read_tables(declared)
    return replace(declared, view=read.view, headers=read.headers, joined=read.joined)


def _references(schema: Mapping[str, Any], view: View) -> Iterator[tuple[str, str, str, str]]:
    known = {(view.names[column.table].lower(), column.name.lower()): column for column in view.columns}
    for pair in schema["foreign_keys"]:
        ends = []
        for column in pair:
            owner, original = schema["column_names_original"][column]
            found = known.get((schema["table_names_original"][owner].lower(), original.lower()))
            if found is not None:
                ends.append((view.names[found.table], found.name))
        if len(ends) == 2:
            yield (*ends[0], *ends[1])
