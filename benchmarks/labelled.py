"""Filters whose right answer is known: public texts with labels, 2,000 rows each, and their stored embeddings.

The question a judge would be asked is the predicate's instruction; what it would have to say is in the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

import models
from benchmarks.data import SHARED_DATA, Array, read_jsonl
from lumaai.environment import default_cache_directory

ROWS = 2_000
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Predicate:
    """What rows are asked for, in words, and the rows that it holds for."""

    set: str
    name: str
    instruction: str
    holds: Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class LabelledFilter:
    """Embedded rows, the likeness of each to the instruction, and the label of each.

    Attributes:
        texts: (rows,) what was embedded.
        vectors: (rows, dim) of length 1.
        similarity: (rows,) cosines.
        labels: (rows,) of 0 and 1.
    """

    predicate: Predicate
    texts: list[str]
    vectors: Array
    similarity: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]


def _genre(*names: str) -> Callable[[Row], bool]:
    return lambda row: bool(set(names) & set(row["genres"]))


def _primary(name: str) -> Callable[[Row], bool]:
    return lambda row: bool(row["primary_category"] == name)


def _listed(name: str) -> Callable[[Row], bool]:
    return lambda row: name in row["categories"]


def _article(*names: str) -> Callable[[Row], bool]:
    return lambda row: row["article"] in names


_ARXIV = (
    ("information retrieval", "the paper is about information retrieval, search or recommendation", _listed("cs.IR")),
    ("databases, mainly", "the paper is mainly about databases or data management", _primary("cs.DB")),
    ("digital libraries, mainly", "the paper is mainly about libraries, citations or bibliometrics", _primary("cs.DL")),
    ("language", "the paper is about natural language processing", _listed("cs.CL")),
    ("security", "the paper is about privacy, security or cryptography", _listed("cs.CR")),
)
_NETFLIX = (
    ("documentaries", "the title is a documentary", _genre("Documentaries", "Docuseries")),
    ("for children", "the title is for children or families", _genre("Children & Family Movies", "Kids' TV")),
    ("stand-up comedy", "the title is a stand-up comedy show", _genre("Stand-Up Comedy")),
    ("dramas", "the title is a drama", _genre("Dramas", "TV Dramas")),
)
_FILMS = (
    ("westerns", "the film is a western", _genre("Western")),
    ("silent films", "the film is a silent film", _genre("Silent")),
)
_PLACES = (
    "Newcastle_upon_Tyne", "Warsaw", "Southern_California", "Fresno,_California", "Victoria_(Australia)", "Rhine",
    "Jacksonville,_Florida", "Kenya",
)  # fmt: skip
_LIFE = ("Chloroplast", "Immune_system", "Ctenophora", "Pharmacy", "Black_Death")
_PHYSICS = (
    "Nikola_Tesla", "Steam_engine", "Oxygen", "Force", "Prime_number", "Computational_complexity_theory",
    "Packet_switching", "Geology", "Apollo_program",
)  # fmt: skip
_RELIGION = ("Martin_Luther", "United_Methodist_Church", "Huguenot", "Islamism")
_HISTORY = (
    "Normans",
    "Yuan_dynasty",
    "Genghis_Khan",
    "French_and_Indian_War",
    "Black_Death",
    "Imperialism",
    "Huguenot",
)
_TELEVISION = ("Doctor_Who", "American_Broadcasting_Company", "Sky_(United_Kingdom)")
_PARAGRAPHS = (
    ("science and technology", "the paragraph is about science or technology", _article(*_LIFE, *_PHYSICS)),
    ("history", "the paragraph is about history before 1900", _article(*_HISTORY)),
    ("places", "the paragraph is about a city, a region or a river", _article(*_PLACES)),
    ("religion", "the paragraph is about religion", _article(*_RELIGION)),
    ("life sciences", "the paragraph is about biology or medicine", _article(*_LIFE)),
    ("television", "the paragraph is about television", _article(*_TELEVISION)),
    ("football", "the paragraph is about Super Bowl 50", _article("Super_Bowl_50")),
)  # fmt: skip
_SETS = {"squad-dev": _PARAGRAPHS, "arxiv-ir-db": _ARXIV, "wiki-movies": _FILMS, "netflix-titles": _NETFLIX}
PREDICATES = tuple(Predicate(key, *item) for key, items in _SETS.items() for item in items)


def available() -> bool:
    """Whether the public sets are beside the repository."""
    return all((SHARED_DATA / name).is_dir() for name in {item.set for item in PREDICATES})


def labelled_filter(predicate: Predicate) -> LabelledFilter:
    """The rows of the predicate's set with their labels; vectors are kept in the cache directory between runs."""
    rows, vectors = _embedded(predicate.set)
    query = models.load_embedder(cache_directory=default_cache_directory()).embed_queries([predicate.instruction])
    labels = np.array([predicate.holds(row) for row in rows], dtype=np.int8)
    texts = [f"{row['title']}. {row['text']}" for row in rows]
    return LabelledFilter(predicate, texts, vectors, (vectors @ query[0]).astype(np.float32), labels)


@cache
def _embedded(name: str) -> tuple[list[Row], Array]:
    rows = _rows(name)
    texts = [f"{row['title']}. {row['text']}" for row in rows]
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = default_cache_directory() / "benchmarks" / f"{name}-{key}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, models.load_embedder(cache_directory=default_cache_directory()).embed_documents(texts))
    vectors: Array = np.load(path)
    return rows, vectors


def _rows(name: str) -> list[Row]:
    """2,000 rows that have text, drawn by a fixed generator."""
    rows = [row for row in read_jsonl(SHARED_DATA / name / "corpus.jsonl.gz") if row["text"].strip()]
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:ROWS])
    return [rows[place] for place in chosen]
