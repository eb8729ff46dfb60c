"""Everything that can be read from a database, against the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import numpy as np

from engine import Aggregate, Database, Snapshot, parse_filter
from engine.document import decode
from tests.model.generation import IDS, make_filter, make_vector
from tests.model.reference import DIMS, Model, ModelCollection, VectorsOf, encoded

FILTERS = 3
TOLERANCE = 1e-5


def compare(database: Database, model: Model, random: Random) -> None:
    """The whole database."""
    assert database.collections() == sorted(model.collections)
    for name, collection in model.collections.items():
        compare_snapshot(database.collection(name).snapshot(), collection, random)
        assert database.collection(name).stats()["documents"] == len(collection.documents)
    assert database.stats()["collections"] == len(model.collections)


def compare_snapshot(snapshot: Snapshot, model: ModelCollection, random: Random, *, newest: bool = True) -> None:
    """One collection: every document by every way to it, random filters, vectors and counts.

    Args:
        snapshot: of the engine.
        model: as of the same moment.
        random: what chooses filters and queries.
        newest: nothing was written since.
    """
    _compare_documents(snapshot, model, newest=newest)
    for _ in range(FILTERS):
        where = make_filter(random)
        expected = model.matching(where)
        tree = parse_filter(where)
        assert snapshot.ids(snapshot.ordinals(tree)) == expected, where
        assert snapshot.count(tree) == len(expected) == len(snapshot.relation([], tree)), where
    _compare_counts(snapshot)
    for name in DIMS:
        _compare_search(snapshot, model, random, name)
    _compare_vectors(snapshot, model, random)


def _compare_documents(snapshot: Snapshot, model: ModelCollection, *, newest: bool) -> None:
    ordinals = snapshot.ordinals()
    assert (np.diff(ordinals.astype(np.int64)) > 0).all()
    ids = snapshot.ids(ordinals)
    assert ids == list(model.documents), difference(ids, model.documents)
    assert snapshot.count() == len(model.documents)
    scrolled = [encoded(decode(raw)) for raw in snapshot.documents_raw(ordinals)]
    assert scrolled == [encoded(stored.body) for stored in model.documents.values()]
    found = snapshot.get(IDS)
    for id_, document in zip(IDS, found, strict=True):
        stored = model.documents.get(id_)
        assert (document and encoded(document)) == (stored and encoded(stored.body)), id_
    versions = [model.documents[id_].version if id_ in model.documents else None for id_ in IDS]
    given = snapshot.versions(IDS)
    if newest:
        assert given == versions
    else:  # of what was written since, only that a write on condition of it must fail
        assert all((a is None) == (b is None) and (a or 0) >= (b or 0) for a, b in zip(given, versions, strict=True))


def _compare_counts(snapshot: Snapshot) -> None:
    """Count, scroll and the sums of groups agree (promise P13); where every document is in exactly one group."""
    count = snapshot.count()
    for field in ("k", "i", "b", "d", "n"):
        groups = snapshot.relation([field]).group([field], [Aggregate("count", None, "documents")])
        assert sum(groups.column("documents")) == count, field


def _compare_vectors(snapshot: Snapshot, model: ModelCollection, random: Random) -> None:
    for id_ in random.sample(IDS, 5):
        stored = model.documents.get(id_)
        for name, dim in DIMS.items():
            kept = None if stored is None else stored.vectors.get(name)
            rows = np.empty((0, dim), np.float32) if kept is None else kept.rows
            assert snapshot.vectors_of(id_, name).tolist() == rows.tolist(), (id_, name)


def _compare_search(snapshot: Snapshot, model: ModelCollection, random: Random, name: str) -> None:
    """The exact nearest, and as many by the graph as there are; a document's own vector finds it."""
    where = make_filter(random) if random.random() < 0.5 else None
    allowed = set(model.documents if where is None else model.matching(where))
    having = {id_: stored.vectors[name] for id_, stored in model.documents.items() if name in stored.vectors}
    holding = {id_: vectors for id_, vectors in having.items() if id_ in allowed}
    query = make_vector(random, name)
    if holding and random.random() < 0.5:
        query = random.choice([each.rows for each in holding.values()])[0].tolist()
    k = random.choice((1, 3, 10, 100))
    tree = None if where is None else parse_filter(where)
    hits = snapshot.search(np.array(query), k, vector_field=name, where=tree, exact=True)
    best = sorted(((_best(query, rows, name), id_) for id_, rows in holding.items()), reverse=True)
    expected = [score for score, _ in best[:k]]
    assert np.allclose(hits.scores, expected, atol=TOLERANCE), (name, where)
    assert len(set(hits.ids)) == len(hits.ids)
    for id_, score, passage in zip(hits.ids, hits.scores, hits.passages, strict=True):
        assert abs(_best(query, holding[id_], name) - score) < TOLERANCE
        span = None if passage is None else (passage.field, passage.start, passage.end)
        assert span in holding[id_].passages
    assert len(snapshot.search(np.array(query), k, vector_field=name, where=tree)) == min(k, len(holding))


def difference(got: Iterable[str], expected: Iterable[str]) -> str:
    """Which ids are too many, which are missing, or that only the order differs."""
    ours, theirs = list(got), list(expected)
    more, less = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    return f"too many={more} missing={less}" if more or less else f"order: got={ours} expected={theirs}"


def _best(query: Sequence[float], vectors: VectorsOf, name: str) -> float:
    asked, rows = np.array(query, dtype=np.float64), vectors.rows.astype(np.float64)
    if name == "w":
        return -float(np.linalg.norm(rows - asked, axis=1).min())
    return float((rows @ asked / (np.linalg.norm(rows, axis=1) * np.linalg.norm(asked))).max())
