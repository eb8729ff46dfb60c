"""Ingestion: files into a collection, every record accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, NotFoundError, OverloadedError, TooLargeError
from lumaai.ingestion import Failure, IngestSummary, Progress, ingest
from lumaai.ingestion.ingest import FAILURES_KEPT_MAX, OVERLOAD_TRIES
from tests.lumaai.films import CountingEmbedder, open_database

Write = Callable[[str, str], str]


@pytest.fixture
def embedder() -> Any:
    return CountingEmbedder()


@pytest.fixture
def db(tmp_path: Path, embedder: CountingEmbedder) -> Any:
    with open_database(tmp_path / "data", embedder) as database:
        yield database


@pytest.fixture
def films(db: Database) -> Any:
    return db.create_collection("films")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def counts(summary: IngestSummary) -> tuple[int, int, int, int]:
    return summary.added, summary.replaced, summary.skipped, len(summary.failed)


def test_files_of_every_kind_go_in(films: Collection, write: Write, tmp_path: Path) -> None:
    """JSON Lines, JSON, CSV, Parquet, text and Markdown, in one call; all can be searched."""
    pq.write_table(pa.table({"id": ["p"], "title": ["From Parquet"], "year": [2004]}), tmp_path / "d.parquet")
    paths: list[str | Path] = [
        write("a.jsonl", '{"id": "l", "title": "From lines", "year": 2001}\n'),
        write("b.json", '[{"id": "j", "title": "From JSON", "year": 2002}]'),
        write("c.csv", "id,title,year\nc,From CSV,2003\n"),
        tmp_path / "d.parquet",
        write("e.txt", "The text of a plain file."),
        write("f.md", "# Heading\n\nThe text of a page."),
    ]
    summary = ingest(films, paths)
    assert counts(summary) == (6, 0, 0, 0)
    assert summary.documents == films.count() == 6
    assert summary.seconds > 0
    assert films.count({"year": {"$gte": 2002}}) == 3
    assert films.search("plain file text", limit=1).ids == [str(tmp_path / "e.txt")]


def test_adding_the_same_files_again_adds_and_embeds_nothing(
    films: Collection, write: Write, embedder: CountingEmbedder
) -> None:
    """Given ids, ids made from content and ids made from paths are all the same the second time."""
    paths = [
        write("a.jsonl", '{"id": 1, "title": "With id"}\n{"title": "Without"}\n'),
        write("c.csv", "title,year\nRow one,1\nRow two,2\n"),
        write("e.md", "# A page"),
    ]
    assert counts(ingest(films, paths)) == (5, 0, 0, 0)
    embedded = len(embedder.texts)
    assert counts(ingest(films, paths)) == (0, 0, 5, 0)
    assert len(embedder.texts) == embedded


def test_bad_records_are_reported_and_the_others_go_in(db: Database, write: Write) -> None:
    """By file, line and reason: malformed lines, documents that the schema refuses, files that cannot be read."""
    films = db.create_collection("films", {"year": {"type": "integer"}})
    bad = write("a.jsonl", '{"id": "1", "year": 1}\n{oops\n{"id": "2", "year": "soon"}\n[]\n{"id": "3", "year": 3}\n')
    missing = bad.replace("a.jsonl", "missing.csv")
    pdf = write("b.pdf", "%PDF")
    good = write("c.jsonl", '{"id": "4", "year": 4}\n')
    summary = ingest(films, [bad, missing, pdf, good])
    assert counts(summary) == (3, 0, 0, 5)
    by_place = {(f.path, f.position): f.reason for f in summary.failed}
    assert by_place[bad, 2].startswith("malformed JSON: ")
    assert by_place[bad, 4] == "expected an object: got=array"
    assert "expected=integer" in by_place[bad, 3]
    assert "no such file" in by_place[missing, 0]
    assert "it is not a readable PDF" in by_place[pdf, 0]
    assert [hit["id"] for hit in films.scroll().documents] == ["1", "3", "4"]
    assert str(Failure("a.jsonl", 2, "why")) == "a.jsonl:2: why"
    assert str(Failure("a.csv", 0, "why")) == "a.csv: why"


@pytest.mark.parametrize(
    ("line", "reason"), [("{oops", "malformed JSON"), ('{"id": "3", "year": "soon"}', "expected=integer")]
)
def test_strict_stops_at_the_first_bad_record(films: Collection, write: Write, line: Any, reason: Any) -> None:
    """Naming it; batches before it stay, its own does not go in."""
    good = '{"id": "1", "year": 1}\n{"id": "2", "year": 2}\n'
    path = write("a.jsonl", f'{good}{{"id": "4", "year": 4}}\n{line}\n{{"id": "5"}}\n')
    with pytest.raises(
        InvalidRequestError, match=f"{path}: stopped at line 4: .*{reason}.*; 2 documents had gone in before"
    ) as caught:
        ingest(films, [path], strict=True, batch=2)
    assert caught.value.code == "record_invalid"
    assert [d["id"] for d in films.scroll().documents] == ["1", "2"]


def test_a_bad_cell_of_a_typed_collection_costs_its_row_only(db: Database, write: Write) -> None:
    """The other cells of its column are what the field is."""
    films = db.create_collection("films", {"year": {"type": "integer"}, "seen": {"type": "boolean"}})
    path = write("a.csv", "id,year,seen\n1,1901,true\n2,unknown,true\n3,1903,\n4,1904,false\n")
    summary = ingest(films, [path])
    assert counts(summary) == (3, 0, 0, 1)
    assert (summary.failures, summary.notes) == (1, ())
    assert summary.failed[0].position == 3
    assert "field 'year' has the wrong type: expected=integer got=keyword" in summary.failed[0].reason
    assert films.count({"year": {"$lt": 1904}, "seen": True}) == 1
    assert counts(ingest(films, [path])) == (0, 0, 3, 1)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_few_bad_values_do_not_decide_a_new_field(films: Collection, write: Write, suffix: str) -> None:
    """Nearly all are integers: so is the field, and the others are reported, wherever in the file they are."""
    years: list[Any] = [*range(1900, 1930), "unknown", *range(1930, 2000), "soon"]
    if suffix == "csv":
        path = write("a.csv", "id,year\n" + "".join(f"{i},{year}\n" for i, year in enumerate(years)))
    else:
        path = write(
            "a.jsonl", "".join(json.dumps({"id": str(i), "year": year}) + "\n" for i, year in enumerate(years))
        )
    first = 2 if suffix == "csv" else 1
    summary = ingest(films, [path])
    assert counts(summary) == (100, 0, 0, 2)
    assert [failure.position for failure in summary.failed] == [30 + first, 101 + first]
    assert "expected=integer" in summary.failed[0].reason or "no integer" in summary.failed[0].reason
    assert films.count({"year": {"$lt": 1950}}) == 50
    assert counts(ingest(films, [path])) == (0, 0, 100, 2)


def test_strict_stops_at_a_value_that_nearly_all_contradict(films: Collection, write: Write) -> None:
    """At its line, with nothing in."""
    rows = "".join(f"{i},{1900 + i}\n" for i in range(30))
    path = write("a.csv", f"id,year\n{rows}30,unknown\n")
    with pytest.raises(InvalidRequestError, match=r"stopped at line 32: .*; 0 documents had gone in before"):
        ingest(films, [path], strict=True)
    assert films.count() == 0


def test_a_field_of_several_kinds_is_noted(films: Collection, write: Write) -> None:
    """With the first value of the rarest kind; objects alone are json without a note."""
    years: list[Any] = [1901, 1902.5, "unknown", None, [1903]]
    path = write("a.json", json.dumps([{"id": str(i), "year": year, "meta": {"a": i}} for i, year in enumerate(years)]))
    summary = ingest(films, [path])
    assert counts(summary) == (5, 0, 0, 0)
    assert summary.notes == (f"{path}: field year holds numbers and strings ('unknown', item 3): kept as json",)
    assert films.info().schema["fields"]["year"]["type"] == "json"


def test_a_column_kept_as_text_is_noted(films: Collection, write: Write) -> None:
    """And all its cells are strings."""
    path = write("a.csv", "id,year\n1,1901\n2,1902\n3,unknown\n")
    summary = ingest(films, [path])
    assert counts(summary) == (3, 0, 0, 0)
    assert summary.notes == (f"{path}: column year holds 1 value that is no number ('unknown', line 4): kept as text",)
    assert films.get(["1"]) == [{"id": "1", "year": "1901"}]


def test_codes_of_two_files_in_one_call_agree(films: Collection, write: Write) -> None:
    """The second file's column is what the first one's has become, although both fit into one batch."""
    first, second = write("a.csv", "id,zip\n1,01067\n2,10115\n"), write("b.csv", "id,zip\n3,20095\n")
    assert counts(ingest(films, [first, second])) == (3, 0, 0, 0)
    assert films.get(["3"]) == [{"id": "3", "zip": "20095"}]


def test_so_many_failures_are_described_and_all_are_counted(films: Collection, write: Write) -> None:
    """A file of nothing but nonsense does not fill the memory."""
    seen: list[Progress] = []
    summary = ingest(films, [write("a.jsonl", "oops\n" * (FAILURES_KEPT_MAX + 5))], on_progress=seen.append)
    assert (len(summary.failed), summary.failures) == (1000, 1005)
    assert seen[-1].failed == seen[-1].documents == 1005


def test_codes_of_a_second_file_stay_the_text_that_they_were_in_the_first(films: Collection, write: Write) -> None:
    """The collection's own types decide over what a column of one file looks like."""
    first = write("a.csv", "id,zip\n1,01067\n2,10115\n")
    second = write("b.csv", "id,zip\n3,20095\n")
    assert counts(ingest(films, [first])) == (2, 0, 0, 0)
    assert counts(ingest(films, [second])) == (1, 0, 0, 0)
    assert films.get(["3"]) == [{"id": "3", "zip": "20095"}]


def test_progress_counts_every_record_and_ends_at_one(films: Collection, write: Write) -> None:
    """Called after each batch and each file; never backwards."""
    first = write("a.jsonl", "".join(json.dumps({"id": str(i), "n": i}) + "\n" for i in range(50)) + "oops\n")
    second = write("b.txt", "text")
    seen: list[Progress] = []
    ingest(films, [first, second], batch=20, on_progress=seen.append)
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert seen[-1].fraction == 1.0
    assert (seen[-1].documents, seen[-1].failed) == (52, 1)
    assert len(seen) == 5


def test_a_collection_that_is_gone_ends_it(films: Collection, db: Database, write: Write) -> None:
    """What refuses everything is no bad record."""
    path = write("a.jsonl", '{"id": "1"}\n')
    db.drop("films")
    with pytest.raises(NotFoundError):
        ingest(films, [path])
    with pytest.raises(NotFoundError):
        ingest(db["films"], [path])


class Narrow:
    """A real collection behind the limits of a service: batches of two at most, and busy now and then."""

    def __init__(self, collection: Collection, *, busy: int = 0) -> None:
        self.collection, self.busy = collection, busy

    def info(self) -> Any:
        return self.collection.info()

    def add(self, documents: Any, *, atomic: Any) -> Any:
        if self.busy:
            self.busy -= 1
            raise OverloadedError("busy", retry_after=0.001)
        if len(documents) > 2 or any(len(str(document)) > 200 for document in documents):
            raise TooLargeError("too large: maximum=2")
        return self.collection.add(documents, atomic=atomic)


def test_batches_that_are_too_large_for_the_service_are_halved(films: Collection, write: Write) -> None:
    """Down to single documents; one that is too large by itself is reported by its line."""
    lines = [json.dumps({"id": str(i), "text": "x" * (300 if i == 3 else 5)}) for i in range(6)]
    summary = ingest(Narrow(films), [write("a.jsonl", "\n".join(lines))])
    assert counts(summary) == (5, 0, 0, 1)
    assert (summary.failed[0].position, summary.failed[0].reason) == (4, "too large: maximum=2")


def test_a_busy_service_is_asked_again_a_bounded_number_of_times(films: Collection, write: Write) -> None:
    """Then its error is the answer."""
    path = write("a.jsonl", '{"id": "1"}\n')
    assert counts(ingest(Narrow(films, busy=OVERLOAD_TRIES - 1), [path])) == (1, 0, 0, 0)
    with pytest.raises(OverloadedError):
        ingest(Narrow(films, busy=OVERLOAD_TRIES), [path])


def test_the_batch_must_hold_something(films: Collection) -> None:
    """At least one document."""
    with pytest.raises(InvalidRequestError, match="batch must be at least 1"):
        ingest(films, [], batch=0)
