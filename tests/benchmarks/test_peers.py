"""benchmarks.peers: the worker's protocol, and how an effort is chosen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers.comparison import Material, _cheapest
from benchmarks.peers.process import Peer, PeerError
from benchmarks.peers.worker import PEERS, Worker

EFFORTS = [{"share": 0.1}, {"share": 0.5}, {"share": 1.0}]


class Exhaustive:
    """A peer in numpy, whose effort is the share of rows that it looks at."""

    version = "exhaustive 1"
    efforts = EFFORTS

    def __init__(self, directory: Path) -> None:
        assert not directory.exists()

    def ingest(self, vectors: Any, buckets: Any) -> None:
        self._vectors, self._buckets = vectors, buckets

    def finish(self) -> None: ...

    def prepare(self, effort: dict[str, Any]) -> None:
        self._seen = int(effort["share"] * len(self._vectors))

    def search(self, query: Any, below: int | None) -> list[int]:
        distances = ((self._vectors[: self._seen] - query) ** 2).sum(1)
        if below is not None:
            distances[self._buckets[: self._seen] >= below] = np.inf
        return [int(i) for i in np.argsort(distances)[:10]]


def test_a_peer_that_is_not_installed_says_so(tmp_path: Path) -> None:
    """The other side's exception arrives as one line."""
    peer = Peer(Path(sys.executable), "lancedb", tmp_path)
    with pytest.raises(PeerError, match="lancedb open: ModuleNotFoundError"):
        peer.__enter__()


def test_a_peer_that_ends_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote last is in the message."""
    peer = Peer(Path(sys.executable), "lancedb", tmp_path / "missing")
    with pytest.raises(OSError, match="missing"):
        peer.__enter__()

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "lancedb.py").write_text("import os, sys\nsys.stderr.write('bad library')\nos._exit(1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with pytest.raises(PeerError, match=r"lancedb has ended: .*bad library"):
        Peer(Path(sys.executable), "lancedb", tmp_path).__enter__()


def test_the_cheapest_effort_that_reaches_the_recall_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little effort is passed over, too much not tried."""
    monkeypatch.setitem(PEERS, "exhaustive", Exhaustive)
    monkeypatch.setattr("benchmarks.peers.comparison.fashion_mnist", _small)
    material, worker = Material(tmp_path), Worker("exhaustive", tmp_path / "peer")
    worker.open()
    spent = worker.ingest(material.files["vectors"], material.files["buckets"])
    asked: list[float] = []

    class Local:
        efforts = Exhaustive.efforts

        def ask(self, do: str, **arguments: Any) -> Any:
            asked.append(arguments["effort"]["share"])
            return getattr(worker, do)(**arguments)

    assert spent["finished"] >= spent["stored"]
    assert _cheapest(material, Local(), None, 0.98) == ({"share": 1.0}, 1.0)  # type: ignore[arg-type]
    assert _cheapest(material, Local(), None, 0.30)[0] == {"share": 0.5}  # type: ignore[arg-type]
    assert asked == [0.1, 0.5, 1.0, 0.1, 0.5]


def test_filters_have_a_truth_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recall under a filter is against the nearest that are allowed."""
    monkeypatch.setattr("benchmarks.peers.comparison.fashion_mnist", _small)
    material = Material(tmp_path)
    allowed = np.flatnonzero(material.buckets < 100)
    distances = ((material.base[allowed] - material.queries[:, None]) ** 2).sum(2)

    found = allowed[np.argsort(distances, axis=1)[:, :10]].tolist()

    assert material.recall(found, 100) == 1.0
    assert material.recall(found, None) < 0.5


def _small() -> Any:
    random = np.random.default_rng(0)
    base, queries = random.standard_normal((3_000, 8)), random.standard_normal((30, 8))
    return base.astype(np.float32), queries.astype(np.float32), None
