"""Keyword search against plain BM25 over dictionaries, through writes, deletes, upkeep and restarts."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine import Database, Schema, parse_filter
from engine.snapshot import Snapshot

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon")
IDS = st.sampled_from([f"d{i}" for i in range(12)])
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
DOCUMENTS = st.lists(st.tuples(IDS, TEXTS, st.integers(0, 5)), min_size=1, max_size=8, unique_by=lambda each: each[0])
K1, B = 1.2, 0.75
SCHEMA = Schema.from_json({"fields": {"text": "text", "n": "integer"}})
Documents = dict[str, dict[str, Any]]


def bm25(documents: Documents, words: list[str]) -> dict[str, float]:
    """Scores of the documents that have any of the words, by the formula; lengths as Tantivy keeps them up to 40."""
    texts = {id_: each["text"].split() for id_, each in documents.items() if each["text"]}
    if not texts:
        return {}
    lengths = np.array([len(text) for text in texts.values()], dtype=float)
    scores: npt.NDArray[np.float64] = np.zeros(len(texts))
    for word in words:
        counts = np.array([text.count(word) for text in texts.values()], dtype=float)
        have = np.count_nonzero(counts)
        idf = math.log(1 + (len(texts) - have + 0.5) / (have + 0.5))
        scores += idf * counts * (K1 + 1) / (counts + K1 * (1 - B + B * lengths / lengths.mean()))
    return {id_: score for id_, score in zip(texts, scores.tolist(), strict=True) if score > 0}


class Words(RuleBasedStateMachine):
    """One collection, a dictionary that mirrors it, and snapshots held with what they must go on finding."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="words-"))
        self.database = Database.open(self.folder / "db", seal_rows=1_000_000)
        self.database.create_collection("c", SCHEMA)
        self.model: Documents = {}
        self.held: list[tuple[Snapshot, Documents]] = []
        self.clean = True  # nothing was deleted since the index was made: its statistics are those of what lives

    @rule(documents=DOCUMENTS)
    def add(self, documents: list[tuple[str, str, int]]) -> None:
        given: list[dict[str, Any]] = [{"id": id_, "text": text, "n": n} for id_, text, n in documents]
        self.clean = self.clean and not any(each["id"] in self.model for each in given)
        self.database.collection("c").add(given)
        self.model.update({each["id"]: each for each in given})

    @rule(ids=st.lists(IDS, min_size=1, max_size=4))
    def delete(self, ids: list[str]) -> None:
        self.clean = self.clean and not any(id_ in self.model for id_ in ids)
        self.database.collection("c").delete(ids=ids)
        for id_ in ids:
            self.model.pop(id_, None)

    @rule()
    def hold(self) -> None:
        self.held = [*self.held[-2:], (self.database.collection("c").snapshot(), dict(self.model))]

    @rule(how=st.sampled_from(["seal", "optimize", "compact", "index", "check"]))
    def tidy(self, how: str) -> None:
        state = self.database.collection("c").state
        match how:
            case "seal":
                state.seal()
            case "optimize":
                state.optimize()
            case "compact":
                self.database.compact()
            case "index":
                state.index_text()
            case _:
                assert self.database.check().problems == []

    @rule()
    def purge(self) -> None:
        self.held = []
        self.database.purge()
        self.clean = True

    @rule()
    def reopen(self) -> None:
        self.held = []
        self.database.close()
        self.database = Database.open(self.folder / "db", seal_rows=1_000_000)

    @rule(
        words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
        k=st.integers(1, 15),
        below=st.integers(0, 6),
    )
    def search(self, words: list[str], k: int, below: int) -> None:
        snapshot = self.database.collection("c").snapshot()
        query = " ".join(words) + " "
        everything = snapshot.keyword(query, 20)
        expected = bm25(self.model, words)
        assert set(everything.ids) == set(expected)
        if self.clean:
            np.testing.assert_allclose(everything.scores, [expected[id_] for id_ in everything.ids], rtol=1e-4)
        order = list(zip(everything.ids, everything.scores.tolist(), everything.ordinals.tolist(), strict=True))
        assert order == sorted(order, key=lambda each: (-each[1], each[2]))
        where = parse_filter({"n": {"$lt": below}})
        hits = snapshot.keyword(query, k, where=where)
        allowed = [id_ for id_, _, _ in order if self.model[id_]["n"] < below][:k]
        assert hits.ids == allowed

    @rule(word=st.sampled_from(WORDS))
    def search_held(self, word: str) -> None:
        for snapshot, model in self.held:
            assert set(snapshot.keyword(f"{word} ", 20).ids) == set(bm25(model, [word]))

    @invariant()
    def count(self) -> None:
        if hasattr(self, "database"):
            assert self.database.collection("c").snapshot().count() == len(self.model)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.held = []
            self.database.close()
            shutil.rmtree(self.folder, ignore_errors=True)


TestWords = Words.TestCase
TestWords.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
