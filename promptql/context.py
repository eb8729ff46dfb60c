"""Gather: everything that answering needs, read once from one snapshot of the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from engine import Database, Snapshot
from promptql.catalog import Catalog, CatalogReader, with_phrases
from promptql.errors import QuestionError
from promptql.lessons import NO_LESSONS, Heard, Lessons
from promptql.meanings import Meanings
from promptql.question import Question
from promptql.rules.tables import Tables
from promptql.rules.values import WORDS_MAX
from promptql.rules.words import STOPWORDS, fold, tokenize

PHRASE_TOKENS_MAX = 60  # words of a question that are looked up; longer questions are prose


@dataclass(frozen=True, slots=True)
class Context:
    """The question, the snapshots it is answered from, their catalog, and their columns where all are tables.

    Attributes:
        meanings: tells what words mean that name nothing; None where no model can.
        related: reads the columns of those that refer to each other, where some are searched too; None where none do.
        beside: reads the columns of one that is searched, as a table; None where there are none, or too many cells.
        heard: the question with words that were learned from feedback in the data's own; None where there are none.
    """

    question: Question
    snapshots: Mapping[str, Snapshot]
    catalog: Catalog
    tables: Tables | None = None
    heard: Heard | None = None
    meanings: Meanings | None = None
    related: Callable[[], Tables | None] = lambda: None
    beside: Callable[[str], Tables | None] = lambda _: None


def gather(
    database: Database,
    reader: CatalogReader,
    question: Question,
    collections: Sequence[str] | None,
    *,
    phrases: bool = True,
    lessons: Lessons = NO_LESSONS,
    meanings: Meanings | None = None,
) -> Context:
    """One snapshot of the named collections (None: all), and the catalog read from it.

    `phrases` looks the question's words up among the values of fields that are too large to be read whole.

    Raises:
        QuestionError: there is no collection to ask.
        CollectionNotFoundError: a name is unknown (raised by the engine).
    """
    if collections is not None:
        collections = list(dict.fromkeys(collections))
    snapshots = database.snapshot(collections) if collections != [] else {}
    if not snapshots:
        raise QuestionError("there is no collection to ask a question of", code="no_collections")
    catalog = reader.read(snapshots)
    if not phrases:
        return Context(question, snapshots, catalog)
    heard = lessons.heard(question.text, catalog)
    said = question.text if heard is None else heard.text
    catalog = with_phrases(catalog, snapshots, _phrases(said))
    tables = reader.tables.read(catalog, snapshots)
    related = partial(reader.tables.related, catalog, snapshots)
    beside = partial(reader.tables.beside, catalog, snapshots)
    return Context(question, snapshots, catalog, tables, heard, meanings, related, beside)


def _phrases(question: str) -> list[str]:
    """The stretches of the question, up to eight words long, that could be values."""
    tokens = tokenize(question)[:PHRASE_TOKENS_MAX]
    spans = ((i, j) for i in range(len(tokens)) for j in range(i, min(len(tokens), i + WORDS_MAX)))
    phrases = (question[tokens[i].start : tokens[j].end] for i, j in spans)
    return [phrase for phrase in dict.fromkeys(phrases) if fold(phrase) not in STOPWORDS]
