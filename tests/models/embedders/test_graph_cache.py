from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models import ModelError
from models.embedders import onnx
from models.embedders.graph_cache import cached_graph
from models.embedders.onnx import OnnxEmbedder
from tests.models.embedders.tiny_bert import write_model


def refuse() -> bytes:
    raise AssertionError("must not be built")


def test_a_graph_is_built_once(tmp_path: Path) -> None:
    """The second call finds the first's file, and no temporary file is left."""
    path = tmp_path / "cache" / "graph.onnx"
    assert cached_graph(path, lambda: b"graph").read_bytes() == b"graph"
    assert cached_graph(path, refuse) == path
    assert sorted(p.name for p in path.parent.iterdir()) == ["graph.onnx", "graph.onnx.sha256"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "checksum"])
def test_a_damaged_graph_is_built_again(tmp_path: Path, damage: str) -> None:
    """One flipped bit is enough."""
    path = cached_graph(tmp_path / "graph.onnx", lambda: b"graph")
    match damage:
        case "flip":
            path.write_bytes(b"graqh")
        case "truncate":
            path.write_bytes(b"gra")
        case "remove":
            path.unlink()
        case _:
            path.with_name("graph.onnx.sha256").write_bytes(b"\xff\xfe")
    assert cached_graph(path, lambda: b"graph").read_bytes() == b"graph"
    assert cached_graph(path, refuse) == path


def test_what_a_killed_builder_left_is_removed(tmp_path: Path) -> None:
    """Old temporary files go, those of a builder at work stay."""
    old, young = tmp_path / "graph.onnx.1.tmp", tmp_path / "graph.onnx.2.tmp"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    cached_graph(tmp_path / "graph.onnx", lambda: b"graph")
    assert not old.exists()
    assert young.exists()


def test_a_cache_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """The message names the directory."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(ModelError, match=r"model cache cannot be used: directory=.*file"):
        cached_graph(tmp_path / "file" / "graph.onnx", lambda: b"graph")


def test_a_graph_that_does_not_load_is_built_again(tmp_path: Path) -> None:
    """Its checksum is right, but it is no graph (written by another version, say)."""
    directory = write_model(tmp_path / "model")
    first = OnnxEmbedder(directory, name="tiny", cache_directory=tmp_path, threads=1)
    (path,) = tmp_path.glob("*.onnx")
    cached_graph(path, lambda: b"no graph", rebuild=True)
    second = OnnxEmbedder(directory, name="tiny", cache_directory=tmp_path, threads=1)
    np.testing.assert_array_equal(first.embed_documents(["a"]), second.embed_documents(["a"]))


def test_the_cache_key_depends_on_weights_configuration_and_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another pooling, another layer norm, another builder: another file."""
    cache = tmp_path / "cache"

    def load(name: str, pooling: str = "mean_tokens", layer_norm_eps: float = 1e-12) -> None:
        directory = write_model(tmp_path / name, pooling=pooling, layer_norm_eps=layer_norm_eps)
        OnnxEmbedder(directory, name="tiny", cache_directory=cache, threads=1)

    load("one")
    load("same")
    assert len(list(cache.glob("*.onnx"))) == 1
    load("pooling", pooling="cls_token")
    load("epsilon", layer_norm_eps=1e-6)
    assert len(list(cache.glob("*.onnx"))) == 3
    monkeypatch.setattr(onnx, "BUILDER_VERSION", "next")
    load("one")
    assert len(list(cache.glob("*.onnx"))) == 4


def load_and_embed(directory: Path, cache: Path) -> list[float]:
    embedder = OnnxEmbedder(directory, name="tiny", cache_directory=cache, threads=1)
    return [float(number) for number in embedder.embed_documents(["a b"])[0]]


def test_concurrent_builders_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Threads and processes start from nothing at once; all get the same vector and one graph is left."""
    directory, cache = write_model(tmp_path / "model"), tmp_path / "cache"
    with multiprocessing.get_context("spawn").Pool(2) as pool, ThreadPoolExecutor(4) as threads:
        processes = pool.starmap_async(load_and_embed, [(directory, cache)] * 4)
        vectors = list(threads.map(load_and_embed, [directory] * 8, [cache] * 8)) + processes.get(60)
    assert all(vector == vectors[0] for vector in vectors)
    assert len(list(cache.glob("*.onnx"))) == 1
    assert list(cache.glob("*.tmp")) == []
