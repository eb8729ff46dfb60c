"""engine.vector.build: which kind is built, and what becomes of one that cannot be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.build import build_vectors, choose_kind, load_vectors, save_vectors
from engine.vector.index import BuildStoppedError
from engine.vector.parameters import DEFAULT
from tests.engine.vector.data import clustered

AUTO = VectorField(64, Metric.L2)


@pytest.mark.parametrize(
    ("rows", "quantization", "kind", "chosen"),
    [
        (10, Quantization.AUTO, IndexKind.FLAT, Quantization.NONE),
        (16_384, Quantization.AUTO, IndexKind.FLAT, Quantization.NONE),  # 4 MiB
        (16_385, Quantization.AUTO, IndexKind.IVF_PQ, Quantization.PQ4),
        (16_385, Quantization.RABITQ, IndexKind.IVF_PQ, Quantization.RABITQ),
        (16_385, Quantization.NONE, IndexKind.HNSW, Quantization.NONE),
        (16_385, Quantization.FP16, IndexKind.HNSW, Quantization.FP16),
        (10, Quantization.FP16, IndexKind.FLAT, Quantization.FP16),
    ],
)
def test_auto_decides_by_size_and_says_why(
    rows: int, quantization: Quantization, kind: IndexKind, chosen: Quantization
) -> None:
    """Up to 4 MiB of vectors are scanned; more are coded, unless the field wants its vectors otherwise."""
    spec, reason = choose_kind(rows, replace(AUTO, quantization=quantization))
    assert (spec.index, spec.quantization) == (kind, chosen)
    assert reason.startswith("auto: ")
    assert "MiB" in reason


def test_a_declared_kind_is_honoured_and_one_that_cannot_be_trained_falls_back() -> None:
    """A graph of three rows is a graph; lists need a thousand rows, and say so where they have fewer."""
    few = clustered(999, 64)
    assert build_vectors(few[:3], replace(AUTO, index=IndexKind.HNSW), 1, lambda: False).kind is IndexKind.HNSW
    for kind in (IndexKind.IVF_FLAT, IndexKind.IVF_PQ):
        flat = build_vectors(few, replace(AUTO, index=kind), 1, lambda: False)
        assert flat.kind is IndexKind.FLAT
        assert flat.info.reason == f"flat instead of {kind}: {kind} needs at least 1000 rows: got=999"
        answer = flat.search(few[:1], 1, allowed=None, parameters=DEFAULT, threads=1)
        assert answer.rows.tolist() == [[0]]
    sq8 = replace(AUTO, index=IndexKind.HNSW, quantization=Quantization.SQ8)
    assert build_vectors(few[:99], sq8, 1, lambda: False).info.reason.endswith("sq8 needs at least 100 rows: got=99")


def test_values_beyond_float16_are_kept_in_float32() -> None:
    """Rather than as infinities."""
    vectors = clustered(50, 64)
    vectors[7, 3] = 70_000
    for kind in (IndexKind.FLAT, IndexKind.HNSW):
        index = build_vectors(vectors, replace(AUTO, index=kind, quantization=Quantization.FP16), 1, lambda: False)
        assert index.info.reason == f"flat instead of {kind}: fp16 holds values up to 65504: got=70000"
        assert index.vectors.tobytes() == vectors.tobytes()


def test_a_graph_is_built_where_codes_do_not_find_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto trusts no codes that miss what is near: the calibration decides, and the reason names its figure."""
    monkeypatch.setattr("engine.vector.build.FLAT_BYTES_MAX", 1024)
    monkeypatch.setattr("engine.vector.build.RECALL_AUTO_MIN", 1.1)
    index = build_vectors(clustered(1_500, 64), AUTO, 1, lambda: False)
    assert index.kind is IndexKind.HNSW
    assert "codes find only" in index.info.reason


def test_no_graph_is_chosen_that_would_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its walk touches any row. Lists read some of their mapped vectors, codes a few: they say why they were chosen."""
    monkeypatch.setattr("engine.vector.room.machine_bytes", lambda: 10 * 2**20)
    monkeypatch.setattr("engine.vector.build.machine_bytes", lambda: 10 * 2**20)
    fits, large = (choose_kind(rows, replace(AUTO, quantization=Quantization.NONE)) for rows in (13_000, 17_000))
    assert fits[0].index is IndexKind.FLAT
    assert large[0].index is IndexKind.IVF_FLAT
    assert large[1].endswith("but a graph needs 6 MiB in memory: there are 10, of which it may have 50%")
    monkeypatch.setattr("engine.vector.build.FLAT_BYTES_MAX", 1024)
    monkeypatch.setattr("engine.vector.build.RECALL_AUTO_MIN", 1.1)
    monkeypatch.setattr("engine.vector.room.machine_bytes", lambda: 2**18)
    index = build_vectors(clustered(1_500, 64), AUTO, 1, lambda: False)
    assert index.kind is IndexKind.IVF_PQ
    assert "codes find only" in index.info.reason
    assert "a graph needs" in index.info.reason
    assert index.search(clustered(1, 64), 3, allowed=None, parameters=DEFAULT, threads=1).rows.shape == (1, 3)


@pytest.mark.parametrize("kind", [IndexKind.FLAT, IndexKind.HNSW, IndexKind.IVF_FLAT, IndexKind.IVF_PQ])
def test_a_build_stops_when_asked(kind: IndexKind) -> None:
    """Between pieces of the rows, or rounds of learning."""
    with pytest.raises(BuildStoppedError):
        build_vectors(clustered(1_000, 64), replace(AUTO, index=kind), 1, lambda: True)


def test_centroids_serve_again_for_segments_of_like_size() -> None:
    """What an older segment learnt is taken over up to four times its rows, and learnt anew beyond."""
    spec = replace(AUTO, index=IndexKind.IVF_PQ)
    first = build_vectors(clustered(1_000, 64), spec, 1, lambda: False)
    second = build_vectors(clustered(2_000, 64, 1), spec, 1, lambda: False, first)
    third = build_vectors(clustered(4_001, 64, 2), spec, 1, lambda: False, first)
    centroids = [index.approximate.ivf.quantizer.reconstruct_n(0, 16).tobytes() for index in (first, second, third)]  # type: ignore[union-attr]
    assert centroids[0] == centroids[1] != centroids[2]
    answer = second.search(clustered(2_000, 64, 1)[5:6], 1, allowed=None, parameters=DEFAULT, threads=1)
    assert answer.rows.tolist() == [[5]]


def test_centroids_that_do_not_fit_are_learnt_anew() -> None:
    """Rows that lie elsewhere would all fall into a few lists, with codes that tell them apart badly."""
    spec = replace(AUTO, index=IndexKind.IVF_PQ)
    old = build_vectors(clustered(1_000, 64), spec, 1, lambda: False)
    elsewhere = (clustered(2_000, 64, 3) * 0.01 + 500).astype(np.float32)
    index = build_vectors(elsewhere, spec, 1, lambda: False, old)
    assert index.info.calibration.best().recall >= 0.97


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """The exact vectors of another segment, another dimension, no index at all."""
    spec = replace(AUTO, index=IndexKind.IVF_PQ)
    index = build_vectors(clustered(1_000, 64), spec, 1, lambda: False)
    save_vectors(index, tmp_path / "a", tmp_path / "a.exact")
    save_vectors(build_vectors(clustered(1_200, 64), spec, 1, lambda: False), tmp_path / "b", tmp_path / "b.exact")
    with pytest.raises(RuntimeError, match="index=1000 vectors=1200"):
        load_vectors(tmp_path / "a", tmp_path / "b.exact", index.info, spec)
    with pytest.raises(RuntimeError, match="another dimension"):
        load_vectors(tmp_path / "a", tmp_path / "a.exact", index.info, VectorField(65))
    (tmp_path / "a.exact").unlink()
    with pytest.raises(RuntimeError):
        load_vectors(tmp_path / "a", tmp_path / "a.exact", index.info, spec)


def test_a_file_that_cannot_be_written_is_the_disks_fault(tmp_path: Path) -> None:
    """An OSError, which upkeep tries again."""
    index = build_vectors(clustered(10, 64), AUTO, 1, lambda: False)
    with pytest.raises(OSError, match="cannot be written"):
        save_vectors(index, tmp_path / "missing" / "i", tmp_path / "missing" / "e")
