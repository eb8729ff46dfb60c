"""Gather: everything that answering needs, read once from one snapshot of the database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine import Database, Snapshot
from promptql.catalog import Catalog, read_catalog
from promptql.errors import QuestionError
from promptql.question import Question


@dataclass(frozen=True, slots=True)
class Context:
    """The question, the snapshots it is answered from, and their catalog."""

    question: Question
    snapshots: Mapping[str, Snapshot]
    catalog: Catalog
    started: float = field(default_factory=time.perf_counter)


def gather(database: Database, question: Question, collections: Sequence[str] | None) -> Context:
    """One snapshot of the named collections (None: all), and the catalog read from it.

    Raises:
        QuestionError: there is no collection to ask.
        CollectionNotFoundError: a name is unknown (raised by the engine).
    """
    started = time.perf_counter()
    if collections is not None:
        collections = list(dict.fromkeys(collections))
    snapshots = database.snapshot(collections) if collections != [] else {}
    if not snapshots:
        raise QuestionError("there is no collection to ask a question of", code="no_collections")
    return Context(question, snapshots, read_catalog(snapshots), started)
