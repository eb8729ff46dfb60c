"""The demo's scenes, in order: read, ingest, search, ask, and how to go on. Each checks what it shows."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lumaai.cli import output
from lumaai.client import Client
from lumaai.demo import corpus
from lumaai.demo.service import running_service
from lumaai.errors import LumaError
from lumaai.progress import DocumentProgress
from lumaai.remote_collection import RemoteCollection
from promptql import Answer

COLLECTION = "python"
BATCH_DOCUMENTS = 128  # an answer every second or so, for the progress bar
PLAIN_WIDTH = 110  # columns, where the output is not a terminal
HITS_SHOWN = 5
SUMMARY_CHARACTERS = 90
HEADING, NAME, FAINT = "bold cyan", "bold", "dim"

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "module": {"type": "keyword"},
    "package": {"type": "keyword"},
    "kind": {"type": "keyword"},
    "name": {"type": "keyword"},
    "owner": {"type": "keyword"},
    "signature": {"type": "text"},
    "summary": {"type": "text"},
    "text": {"type": "text"},
    "parameters": {"type": "integer"},
    "length": {"type": "integer"},
    "deprecated": {"type": "boolean"},
}
# What names a thing and what it is for; its details would blur the vector of a short text.
EMBED: Mapping[str, Mapping[str, Any]] = {"vector": {"from": ["signature", "summary"]}}

Documents = Sequence[corpus.Document]


class DemoError(LumaError):
    """What was to be shown was empty or wrong."""

    default_code = "demo_failed"


@dataclass(frozen=True)
class Search:
    """A search to show, and what may come first."""

    query: str
    first: frozenset[str]
    filter: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Question:
    """A question; `is_right` holds its answer against what plain Python finds in the corpus, `claim` says how."""

    text: str
    is_right: Callable[[Answer, Documents], bool]
    claim: str


def counts_ten_modules(answer: Answer, documents: Documents) -> bool:
    """The counts are those of the ten modules with the most functions (modules may tie for the last place)."""
    counts = Counter(item["module"] for item in documents if item["kind"] == "function")
    expected = [count for _, count in counts.most_common(10)]
    return sorted(_integers(answer.values), reverse=True) == expected


def quotes_output_function(answer: Answer, _: Documents) -> bool:
    """One of the first two quotes is of a function that gives the output of a program."""
    return any(identity in OUTPUT_FUNCTIONS for identity in _cited(answer)[:2])


def averages_parameters(answer: Answer, documents: Documents) -> bool:
    """The figure is the mean over all methods whose parameters are known, to two decimals."""
    counts = [item["parameters"] for item in documents if item["kind"] == "method" and "parameters" in item]
    return len(answer.values) == 1 and math.isclose(answer.values[0], sum(counts) / len(counts), abs_tol=0.005)


def names_longest_signature(answer: Answer, documents: Documents) -> bool:
    """The function named is one that has as many parameters as any."""
    functions = [item for item in documents if item["kind"] == "function" and "parameters" in item]
    most = max(item["parameters"] for item in functions)
    return any(item["name"] in answer.text for item in functions if item["parameters"] == most)


OUTPUT_FUNCTIONS = frozenset({
    "subprocess.check_output", "subprocess.getoutput", "subprocess.getstatusoutput", "subprocess.run",
})  # fmt: skip
SEARCHES = (
    Search("run a command in a shell and capture its output", OUTPUT_FUNCTIONS),
    Search(
        "turn a date written as text into a date",
        frozenset({"datetime.date.fromisoformat", "datetime.datetime.fromisoformat", "datetime.datetime.strptime"}),
    ),
    Search(
        "create a temporary directory that is deleted afterwards",
        frozenset({"tempfile.TemporaryDirectory", "tempfile.mkdtemp"}),
    ),
)
FILTERED = Search(
    "compress a file",
    frozenset({"bz2.BZ2Compressor", "bz2.BZ2File", "gzip.GzipFile", "lzma.LZMAFile", "zipfile.ZipFile"}),
    {"kind": "class", "deprecated": False},
)
QUESTIONS = (
    Question(
        "How many functions does each of the ten largest modules have?", counts_ten_modules, "the counts are right"
    ),
    Question(
        "Which function captures a program's output?",
        quotes_output_function,
        "a function that does is among the first two quotes",
    ),
    Question("What is the average number of parameters of a method?", averages_parameters, "the mean is right"),
    Question("Which function has the most parameters?", names_longest_signature, "the maximum is right"),
)


def show(directory: Path, *, documents: Documents | None = None, console: Console | None = None) -> None:
    """Runs all scenes.

    Args:
        directory: where the demo's database is kept; what is there already is reused.
        documents: a corpus in place of the whole standard library (a test's smaller one).
        console: where it is shown; stdout if not given.

    Raises:
        DemoError: a search or question gave nothing, or something else than plain Python finds.
        LumaError: the service could not start, or refused something.
    """
    console = console or _console()
    started = time.perf_counter()
    documents = _read(console) if documents is None else documents
    with running_service(directory) as client:
        _line(console, f"service   {client.url}, database in {directory}")
        collection = _ingest(client, documents, console)
        for search in (*SEARCHES, FILTERED):
            _search(collection, search, console)
        for question in QUESTIONS:
            _ask(client, question, documents, console)
    _say_how_to_go_on(directory, console)
    _line(console, f"\ndone in {time.perf_counter() - started:.0f} s")


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH)


def _line(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, soft_wrap=True)


def _read(console: Console) -> Documents:
    started = time.perf_counter()
    documents = corpus.read()
    seconds = time.perf_counter() - started
    _line(
        console,
        f"corpus    {len(documents):,} documented things of Python's standard library "
        f"({count_kinds(documents)}), read in {seconds:.1f} s",
    )
    return documents


def count_kinds(documents: Documents) -> str:
    """How many documents there are of each kind: what questions such as "How many modules …?" count."""
    counts = Counter(str(item["kind"]) for item in documents)
    plurals = {"module": "modules", "class": "classes", "function": "functions", "method": "methods"}
    return ", ".join(f"{counts[kind]:,} {name}" for kind, name in plurals.items())


def _ingest(client: Client, documents: Documents, console: Console) -> RemoteCollection:
    collection = _collection(client, {item["id"] for item in documents})
    added = skipped = 0
    with DocumentProgress(console, "ingesting") as progress:
        for start in range(0, len(documents), BATCH_DOCUMENTS):
            batch = documents[start : start + BATCH_DOCUMENTS]
            result = collection.add(batch)
            added, skipped = added + result.added + result.replaced, skipped + result.skipped
            done = start + len(batch)
            progress.at(done, done / len(documents))
    _line(console, _said_of_ingestion(added, skipped, progress.seconds))
    _demand(
        collection.count() == len(documents), f"the collection has {collection.count()} of {len(documents)} documents"
    )
    return collection


def _said_of_ingestion(added: int, skipped: int, seconds: float) -> str:
    if not added:
        return f"ingested  {skipped:,} documents are already there, nothing to embed (compared in {seconds:.1f} s)"
    unchanged = f", {skipped:,} already there," if skipped else ""
    rate = added / max(seconds, 1e-9)
    return (
        f"ingested  {added:,} documents{unchanged} over HTTP in {seconds:.1f} s ({rate:,.0f} documents/s), "
        "embedded and on disk"
    )


def _collection(client: Client, ids: set[str]) -> RemoteCollection:
    """The demo's collection; one that another Python or another version of the demo left behind is made anew."""
    try:
        collection = client.create_collection(COLLECTION, FIELDS, embed=EMBED, exist_ok=True)
    except LumaError as error:
        if error.status != 409:
            raise
        client.drop(COLLECTION)
        return client.create_collection(COLLECTION, FIELDS, embed=EMBED)
    if _all_ids(collection) <= ids:
        return collection
    client.drop(COLLECTION)
    return client.create_collection(COLLECTION, FIELDS, embed=EMBED)


def _all_ids(collection: RemoteCollection) -> set[str]:
    ids: set[str] = set()
    page = collection.scroll()
    while True:
        ids.update(str(document["id"]) for document in page.documents)
        if page.next_cursor is None:
            return ids
        page = collection.scroll(cursor=page.next_cursor)


def _search(collection: RemoteCollection, search: Search, console: Console) -> None:
    started = time.perf_counter()
    hits = collection.search(search.query, limit=HITS_SHOWN, filter=search.filter)
    elapsed = (time.perf_counter() - started) * 1000
    condition = f"  where {json.dumps(search.filter)}" if search.filter else ""
    _line(console, f"\nsearch    {search.query}{condition}", HEADING)
    for hit in hits:
        _line(console, f"  {hit.score:.3f}  {hit.id}", NAME)
        _line(console, f"         {_shortened(hit.document['summary'])}", FAINT)
    _line(console, f"  {hits.milliseconds:.1f} ms in the service, {elapsed:.1f} ms over HTTP")
    _demand(len(hits) > 0, f"nothing was found for: {search.query}")
    _demand(hits[0].id in search.first, f"{hits[0].id} came first for: {search.query}")
    for key, value in (search.filter or {}).items():
        _demand(all(hit.document[key] == value for hit in hits), f"a hit has another {key} than {value}")


def _ask(client: Client, question: Question, documents: Documents, console: Console) -> None:
    started = time.perf_counter()
    answer = client.ask(question.text, collections=[COLLECTION], planner="rules")
    elapsed = (time.perf_counter() - started) * 1000
    _line(console, f"\nquestion  {question.text}", HEADING)
    _line(console, textwrap.indent(answer.text, "  "), NAME)
    for line in output.answer_lines(answer):
        _line(console, f"    {line}", FAINT)
    _demand(bool(answer.text.strip()), f"no answer to: {question.text}")
    _demand(bool(_cited(answer)), f"no citation for: {question.text}")
    _demand(
        question.is_right(answer, documents),
        f"not so, says plain Python over the corpus: {question.claim} ({question.text})",
    )
    _line(console, f"  {elapsed:.1f} ms over HTTP; checked with plain Python: {question.claim}")


def _shortened(text: str) -> str:
    return textwrap.shorten(text, SUMMARY_CHARACTERS, placeholder=" …")


def _cited(answer: Answer) -> list[str]:
    return [identity for item in answer.to_json()["citations"] for identity in item["ids"]]


def _integers(values: Any) -> list[int]:
    """The integers among values and rows of values."""
    if isinstance(values, (list, tuple)):
        return [number for value in values for number in _integers(value)]
    return [values] if isinstance(values, int) else []


def _demand(holds: bool, reason: str) -> None:  # noqa: FBT001 - the claim, and what it means when it fails
    if not holds:
        raise DemoError(f"the demo failed: {reason}")


def _program() -> str:
    """How this very installation is called from this directory."""
    if shutil.which("lumaai"):
        return "lumaai"
    script = Path(sys.executable).with_name("lumaai")
    path = script if script.exists() else Path(sys.executable)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path)) + ("" if path.name == "lumaai" else " -m lumaai")


def _say_how_to_go_on(directory: Path, console: Console) -> None:
    program = _program()
    place = shlex.quote(str(directory))
    url = "http://127.0.0.1:8000"
    body = json.dumps({"query": SEARCHES[0].query, "limit": 3})
    question = json.dumps({"question": QUESTIONS[3].text})
    header = "-H 'content-type: application/json'"
    _line(console, "\nGo on", HEADING)
    for line in (
        f"  make serve DATA={place}        # or: {program} serve --data {place}",
        f"  open {url}/docs in a browser: every call, to try out",
        f"  curl -s {url}/v1/collections/{COLLECTION}/search {header} -d {shlex.quote(body)}",
        f"  curl -s {url}/v1/ask {header} -d {shlex.quote(question)}",
        f'  {program} search {COLLECTION} "parse command line arguments" --url {url}',
    ):
        _line(console, line)
