"""Two small collections in a real database: pieces of library documentation, and films."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumaai
from engine import Database, Passage, Schema, VectorRows
from models import Embedder, load_embedder
from promptql import PromptQL
from promptql.answer import Answer
from tests.promptql.domains import FILLED

Document = dict[str, Any]

LIBRARY_FIELDS = {
    "module": "keyword",
    "kind": "keyword",
    "name": "keyword",
    "qualified_name": "keyword",
    "signature": "text",
    "text": "text",
    "parameters": "integer",
    "length": "integer",
    "deprecated": "boolean",
}
FILM_FIELDS = {
    "title": "text",
    "year": "integer",
    "genre": {"type": "keyword", "many": True},
    "director": "keyword",
    "rating": "number",
    "plot": "text",
    "released": "datetime",
}

# module, kind, name, parameters, deprecated, text
_LIBRARY: Sequence[tuple[str, str, str, int | None, bool, str]] = [
    ("os", "module", "os", None, False, "Operating system routines."),
    ("os", "function", "getcwd", 0, False, "Return the current working directory as a string."),
    ("os", "function", "listdir", 1, False, "Return a list of the names of the files in a directory."),
    ("os", "function", "rename", 4, False, "Rename a file or a directory."),
    ("os", "function", "popen", 3, True, "Open a pipe to a command. Old style."),
    ("os", "class", "DirEntry", None, False, "An entry of a directory scan."),
    ("subprocess", "module", "subprocess", None, False, "Run child processes."),
    (
        "subprocess",
        "function",
        "check_output",
        3,
        False,
        "Run a command and return what it prints. This function captures the output of a program, as bytes.",
    ),
    ("subprocess", "function", "run", 6, False, "Run a command and wait for it. Give back its exit status."),
    ("subprocess", "class", "Popen", None, False, "A child process with its pipes."),
    ("asyncio", "module", "asyncio", None, False, "Asynchronous input and output."),
    ("asyncio", "class", "Event", None, False, "A flag that tasks wait for."),
    ("asyncio", "class", "Lock", None, False, "A lock for tasks."),
    ("asyncio", "class", "Child", None, True, "An old class that should not be used."),
    ("asyncio", "function", "sleep", 2, False, "Wait for some seconds without blocking."),
    ("asyncio", "method", "Lock.acquire", 1, False, "Take the lock."),
    ("json", "module", "json", None, False, "Encode and decode JSON."),
    ("json", "function", "dumps", 9, False, "Turn an object into JSON text."),
    ("json", "function", "loads", 7, False, "Turn JSON text into an object."),
]

# title, year, genres, director, rating
_FILMS: Sequence[tuple[str, int, list[str], str, float]] = [
    ("The Matrix", 1999, ["action", "science fiction"], "Lana Wachowski", 8.7),
    ("Alien", 1979, ["horror", "science fiction"], "Ridley Scott", 8.5),
    ("Gladiator", 2000, ["action", "drama"], "Ridley Scott", 8.4),
    ("Blade Runner", 1982, ["science fiction"], "Ridley Scott", 8.0),
    ("Memento", 2000, ["drama"], "Christopher Nolan", 8.3),
    ("Inception", 2010, ["action", "science fiction"], "Christopher Nolan", 8.8),
    ("Heat", 1995, ["action", "drama"], "Michael Mann", 8.2),
    ("Ghost Town", 1988, ["horror"], "Richard Governor", 4.9),
]


def library_documents() -> list[Document]:
    """The library's documents, with ids like "os.getcwd"."""
    documents = []
    for module, kind, name, parameters, deprecated, text in _LIBRARY:
        qualified = module if kind == "module" else f"{module}.{name}"
        document: Document = {
            "id": qualified,
            "module": module,
            "kind": kind,
            "name": name,
            "qualified_name": qualified,
            "text": text,
            "length": len(text),
            "deprecated": deprecated,
        }
        documents.append(document | ({} if parameters is None else {"parameters": parameters}))
    return documents


def film_documents() -> list[Document]:
    """The films, with ids "f0", "f1" and so on."""
    return [
        {
            "id": f"f{index}",
            "title": title,
            "year": year,
            "genre": genre,
            "director": director,
            "rating": rating,
            "plot": f"{title} is a film by {director}.",
            "released": f"{year}-06-15T00:00:00Z",
        }
        for index, (title, year, genre, director, rating) in enumerate(_FILMS)
    ]


def fill(
    database: Database,
    name: str,
    fields: Mapping[str, Any],
    documents: Sequence[Document],
    embedder: Embedder,
    source: str,
) -> None:
    """Make a collection whose `source` field is embedded, one passage a document."""
    vector = {"type": "vector", "dim": embedder.dim}
    embed = {"vector": {"from": [source], "model": embedder.name, "identity": {}}}
    schema = Schema.from_json({"fields": {**fields, "vector": vector}, "embed": embed})
    texts = [document[source] for document in documents]
    rows = VectorRows(
        vectors=embedder.embed_documents(texts),
        documents=np.arange(len(documents)),
        passages=[Passage(source, 0, len(text)) for text in texts],
    )
    database.create_collection(name, schema).add(documents, {"vector": rows})


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """The embedder without weights."""
    return load_embedder("hashing", cache_directory=tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Answer]]:
    """Asks a question of one of the domains, each of which is a database of its own."""
    opened: dict[str, Any] = {}

    def asked(domain: str, question: str) -> Answer:
        if domain not in opened:
            opened[domain] = stack.enter_context(lumaai.connect(tmp_path_factory.mktemp(domain)))
            FILLED[domain](opened[domain])
        answer: Answer = opened[domain].ask(question)
        return answer

    with ExitStack() as stack:
        yield asked


@pytest.fixture
def empty_database(tmp_path: Path) -> Iterator[Database]:
    """A database without collections."""
    with Database.open(tmp_path / "empty") as database:
        yield database


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[Database]:
    """Collections "stdlib" and "movies"; no test writes to it."""
    with Database.open(tmp_path_factory.mktemp("database")) as database:
        fill(database, "stdlib", LIBRARY_FIELDS, library_documents(), embedder, "text")
        fill(database, "movies", FILM_FIELDS, film_documents(), embedder, "plot")
        yield database


@pytest.fixture(scope="session")
def embedder_of(embedder: Embedder) -> Callable[[str], Embedder]:
    """The same embedder for every collection."""
    return lambda _: embedder


@pytest.fixture(scope="session")
def promptql(database: Database, embedder_of: Callable[[str], Embedder]) -> PromptQL:
    """PromptQL without an LLM."""
    return PromptQL(database, embedder_of)
