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
from lumaai.database import default_cache_directory

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


PREDICATES = (
    Predicate("arxiv-ir-db", "information retrieval (any category)", "the paper is about information retrieval, search or recommendation", _listed("cs.IR")),
    Predicate("arxiv-ir-db", "databases (primary)", "the paper is mainly about databases or data management", _primary("cs.DB")),
    Predicate("arxiv-ir-db", "digital libraries (primary)", "the paper is mainly about digital libraries, citations or bibliometrics", _primary("cs.DL")),
    Predicate("arxiv-ir-db", "language (any category)", "the paper is about natural language processing", _listed("cs.CL")),
    Predicate("arxiv-ir-db", "vision (any category)", "the paper is about images or computer vision", _listed("cs.CV")),
    Predicate("arxiv-ir-db", "security (any category)", "the paper is about privacy, security or cryptography", _listed("cs.CR")),
    Predicate("netflix-titles", "documentaries", "the title is a documentary", _genre("Documentaries", "Docuseries")),
    Predicate("netflix-titles", "for children", "the title is for children or families", _genre("Children & Family Movies", "Kids' TV")),
    Predicate("netflix-titles", "stand-up comedy", "the title is a stand-up comedy show", _genre("Stand-Up Comedy", "Stand-Up Comedy & Talk Shows")),
    Predicate("netflix-titles", "dramas", "the title is a drama", _genre("Dramas", "TV Dramas")),
    Predicate("wiki-movies", "westerns", "the film is a western", _genre("Western")),
    Predicate("wiki-movies", "science fiction", "the film is science fiction", _genre("Science Fiction")),
    Predicate("wiki-movies", "silent films", "the film is a silent film", _genre("Silent")),
    Predicate("squad-dev", "places", "the paragraph is about a city, a region or a river", _article("Newcastle_upon_Tyne", "Warsaw", "Southern_California", "Fresno,_California", "Victoria_(Australia)", "Rhine", "Jacksonville,_Florida", "Kenya")),
    Predicate("squad-dev", "life sciences", "the paragraph is about biology or medicine", _article("Chloroplast", "Immune_system", "Ctenophora", "Pharmacy", "Black_Death")),
    Predicate("squad-dev", "football", "the paragraph is about Super Bowl 50", _article("Super_Bowl_50")),
)  # fmt: skip


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
