"""`make eval`: the public question sets through the product: tables become collections, PromptQL answers.

`python -m benchmarks.evaluation [SET[:LIMIT] …]`, sets: wikisql (fold 1), wikitablequestions (dev), spider. Without
arguments all of them in full, and the report is kept in `benchmarks/results/promptql.md`.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.question_sets import (
    Fields,
    Prepared,
    PublicQuestion,
    TableSet,
    spider,
    spider_database,
    wikisql,
    wikitablequestions,
)
from benchmarks.report import machine
from engine import Database, Durability, Field, FieldType, Meaning, Reference, Schema
from models import DEFAULT_MODEL, load_embedder
from promptql import Meanings, PromptQL, PromptQLError
from promptql.catalog import CatalogReader
from promptql.context import gather
from promptql.evaluation.report import UNANSWERED, Outcome, Report, planning_seconds
from promptql.question import Question
from promptql.rules.tables import Tables

NOTES = "## Notes\n"  # in the report, from here on, nothing is written over
TABLES_AT_ONCE = 100  # collections in one database
RESULTS = Path(__file__).parent / "results" / "promptql.md"
NO_EMBEDDER = "tables are not searched"


def field_type(cells: Sequence[Any]) -> FieldType:
    """Of a column as SQLite or a table has it."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int}:
        return FieldType.INTEGER
    return FieldType.NUMBER if kinds and kinds <= {int, float} else FieldType.KEYWORD


def fill(
    database: Database, name: str, fields: Fields, meanings: Mapping[str, Meaning] | None = None, title: str = ""
) -> None:
    """A table as a collection, its rows in order; `title` is what it is called besides its name."""
    types = {field: field_type(cells) for field, cells in fields.items()}
    schema = Schema(
        {field: Field(kind, declared=True) for field, kind in types.items()},
        meanings=dict(meanings or {}),
        meaning=Meaning(synonyms=(title,) if title else ()),
    )
    collection = database.create_collection(name, schema)
    rows = max((len(cells) for cells in fields.values()), default=0)
    documents = []
    for number in range(rows):
        document: dict[str, Any] = {"id": f"row {number:07d}"}
        for field, cells in fields.items():
            cell = cells[number]
            if cell is not None and cell != "":
                document[field] = str(cell) if types[field] is FieldType.KEYWORD and not isinstance(cell, str) else cell
        documents.append(document)
    for begin in range(0, rows, 5_000):
        collection.add(documents[begin : begin + 5_000], durability=Durability.NONE)


@contextmanager
def asking(
    tables: Mapping[str, tuple[Fields, Mapping[str, Meaning]]], titles: Mapping[str, str] | None = None
) -> Iterator[PromptQL]:
    """PromptQL over those tables."""

    def no_embedder(name: str) -> Any:
        raise AssertionError(f"{NO_EMBEDDER}: {name}")

    with tempfile.TemporaryDirectory() as directory, Database.open(directory) as database:
        for name, (fields, meanings) in tables.items():
            fill(database, name, fields, meanings, (titles or {}).get(name, ""))
        yield PromptQL(database, no_embedder, meanings=_meanings())


@cache
def _meanings() -> Meanings:
    """As the product has it: by the default model."""
    directory = Path(tempfile.mkdtemp(prefix="lumaai-evaluation-"))
    return Meanings(cache(lambda: load_embedder(DEFAULT_MODEL, cache_directory=directory)))


def read_tables(prepared: Prepared) -> Tables:
    """A database of Spider as the planner reads it from ours: with what is declared and what is detected."""
    with tempfile.TemporaryDirectory() as directory, Database.open(directory) as database:
        for name, (fields, meanings) in _declared(prepared).items():
            fill(database, name, fields, meanings, prepared.titles.get(name, ""))
        tables = gather(database, CatalogReader(), Question("what is there?"), list(prepared.tables)).tables
    assert tables is not None
    return tables


def outcome(promptql: PromptQL, question: PublicQuestion, collections: Sequence[str]) -> Outcome:
    """What becomes of one question."""
    began, worked = time.perf_counter(), time.process_time()
    try:
        answer = promptql.ask(question.question, collections=list(collections), planner="rules")
    except PromptQLError:
        seconds = time.perf_counter() - began
        return Outcome(question.category, False, UNANSWERED, 0.0, seconds, "error", question.question)
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    rows = [tuple(v) if isinstance(v, list | tuple) else (v,) for v in answer.values]
    right = question.right(rows)
    kind = "right" if right else "wrong" if rows else "empty"
    planning = planning_seconds(answer.usage)
    text, band = question.question, answer.band.value
    return Outcome(question.category, right, band, answer.confidence, seconds, kind, text, planning, processor)


def on_tables(questions: Sequence[PublicQuestion], tables: TableSet) -> Report:
    """Questions of one table each."""
    by_table: dict[str, list[PublicQuestion]] = {}
    for question in questions:
        by_table.setdefault(question.table, []).append(question)
    outcomes: list[Outcome] = []
    names = list(by_table)
    for begin in range(0, len(names), TABLES_AT_ONCE):
        chosen = {f"t{number}": name for number, name in enumerate(names[begin : begin + TABLES_AT_ONCE])}
        held: dict[str, tuple[Fields, Mapping[str, Meaning]]] = {
            key: (tables.prepared(name).tables["table"], {}) for key, name in chosen.items()
        }
        with asking(held) as promptql:
            for key, name in chosen.items():
                outcomes += [outcome(promptql, question, [key]) for question in by_table[name]]
        print(
            f"  {len(outcomes)} of {len(questions)}: {sum(o.right for o in outcomes) / len(outcomes):.3f}", flush=True
        )
    return Report(outcomes)


def on_databases(questions: Iterable[PublicQuestion]) -> Report:
    """Questions of Spider: each database is one of ours."""
    by_database: dict[str, list[PublicQuestion]] = {}
    for question in questions:
        by_database.setdefault(question.table, []).append(question)
    outcomes: list[Outcome] = []
    for name, asked in sorted(by_database.items()):
        prepared = spider_database(name)
        with asking(_declared(prepared), prepared.titles) as promptql:
            outcomes += [outcome(promptql, question, list(prepared.tables)) for question in asked]
        print(f"  {name}: {sum(o.right for o in outcomes) / len(outcomes):.3f} so far", flush=True)
    return Report(outcomes)


def _declared(prepared: Prepared) -> dict[str, tuple[Fields, dict[str, Meaning]]]:
    """Tables with what their schema declares: readable names, and references."""
    found: dict[str, tuple[Fields, dict[str, Meaning]]] = {}
    references = {(a, b): Reference(c, d) for a, b, c, d in prepared.references}
    for table, fields in prepared.tables.items():
        meanings = {}
        for field in fields:
            label = prepared.labels.get((table, field))
            reference = references.get((table, field))
            meanings[field] = Meaning(synonyms=(label,) if label else (), references=reference)
        found[table] = (fields, meanings)
    return found


def _sample(questions: Iterable[PublicQuestion], limit: int | None) -> list[PublicQuestion]:
    found = list(questions)
    chosen = found if limit is None or limit >= len(found) else random.Random(1).sample(found, limit)
    gc.collect()
    gc.freeze()  # as the service does with what is there at its start: here all questions of the set
    return chosen


def run_wikisql(limit: int | None = None) -> Report:
    """WikiSQL's fold 1, which trains nothing."""
    questions = _sample((q for q in wikisql() if q.part == "1"), limit)
    return on_tables(questions, TableSet("wikisql-tabfact"))


def run_wikitablequestions(limit: int | None = None) -> Report:
    """WikiTableQuestions' development split, which trains nothing."""
    questions = _sample((q for q in wikitablequestions() if q.part == "dev"), limit)
    return on_tables(questions, TableSet("wikitablequestions"))


def run_spider(limit: int | None = None) -> Report:
    """Spider's development questions."""
    return on_databases(_sample(spider(), limit))


SETS: dict[str, Callable[[int | None], Report]] = {
    "wikisql": run_wikisql,
    "wikitablequestions": run_wikitablequestions,
    "spider": run_spider,
}


def main(arguments: list[str]) -> int:
    """Run the sets named, or all of them in full and keep the report."""
    lines = ["# Questions answered by rules", "", machine(), ""]
    for argument in arguments or SETS:
        name, _, limit = argument.partition(":")
        print(f"{name}:", flush=True)
        report = SETS[name](int(limit) if limit else None)
        lines += [f"## {name}", "", report.to_markdown(), ""]
    text = "\n".join(lines)
    print(text)
    if not arguments:
        RESULTS.write_text(f"{text}\n{_notes()}", encoding="utf-8")
    return 0


def _notes() -> str:
    """What people wrote below the figures of the last report."""
    _, mark, notes = (RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else "").partition(NOTES)
    return mark + notes


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
