"""Commands for models and for embedding anew: what they print, and with which exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

import lumaai
from tests.congruence.conftest import served
from tests.lumaai.conftest import Run
from tests.lumaai.films import FILMS
from tests.models.embedders.tiny_bert import write_model


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the caller's; a cache and a working directory of the test's own."""
    for name in [name for name in os.environ if name.startswith("LUMAAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LUMAAI_MODEL", "hashing")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny", max_seq_length=16)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        database.create_collection("films").add(FILMS)
    return tmp_path / "data"


@pytest.fixture
def url(data: Path, tmp_path: Path) -> Iterator[str]:
    with lumaai.Database(data, default_model="hashing") as database, served(database, tmp_path) as address:
        yield address


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def failed(result: Result, *parts: str, code: int = 1) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr


def test_models_are_listed_and_described(run: Run, tiny: Path) -> None:
    """For people and for pipes."""
    assert "all-MiniLM-L6-v2" in done(run("models", "list"))
    (listed,) = json.loads(done(run("models", "list", "--json")))
    assert (listed["name"], listed["licence"]) == ("all-MiniLM-L6-v2", "apache-2.0")
    described = json.loads(done(run("models", "info", tiny, "--json")))
    assert (described["dim"], described["pooling"], described["max_tokens"]) == (32, "mean", 14)
    assert described["checksum"].startswith(described["revision"])
    assert "revision" in done(run("models", "info", f"onnx:{tiny}"))


def test_a_model_is_prepared_and_measured(run: Run, tiny: Path, tmp_path: Path) -> None:
    """Its graph lies in the cache afterwards."""
    prepared = json.loads(done(run("models", "prepare", tiny, "--precision", "int8", "--json")))
    assert (prepared["precision"], prepared["dim"]) == ("int8", 32)
    assert list((tmp_path / "cache" / "lumaai").glob("*.onnx"))
    measured = json.loads(done(run("models", "bench", tiny, "--seconds", "0.1", "--json")))
    assert measured["documents_per_second"] > 0
    assert measured["query_p50_milliseconds"] <= measured["query_p99_milliseconds"]


def test_a_model_is_distilled(run: Run, tiny: Path, tmp_path: Path) -> None:
    """Into a directory that is a model then; what exists is not written over."""
    (tmp_path / "sample.txt").write_text("a b c\nd e f\n", encoding="utf-8")
    made = json.loads(done(run("models", "distill", tiny, "static", "--dim", "8", "--sample", "sample.txt", "--json")))
    assert (made["dim"], made["model"]) == (8, "static:static")
    assert json.loads(done(run("models", "info", "static", "--json")))["kind"] == "static"
    failed(run("models", "distill", tiny, "static", "--dim", "8"), "exists")
    failed(run("models", "distill", tiny, "other", "--dim", "99"), "from 2 to 32", code=2)
    failed(run("models", "distill", "hashing", "other"), "BERT-family")


def test_what_is_no_model_says_why(run: Run, tiny: Path) -> None:
    """Unknown names, damaged weights, a tokenizer of another model, other architectures, wrong precisions."""
    failed(run("models", "info", "nonsense"), "model not found", "Ways to get it")
    failed(run("models", "prepare", tiny, "--precision", "int4"), "precision must be one of")
    config = json.loads((tiny / "config.json").read_text(encoding="utf-8"))
    for change, words in [
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, "GPT2LMHeadModel"),
        ({"vocab_size": 5}, "tokenizer does not fit"),
    ]:
        (tiny / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
        failed(run("models", "prepare", tiny), words)
    (tiny / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tiny / "model.safetensors").write_bytes((tiny / "model.safetensors").read_bytes()[:-100])
    failed(run("models", "prepare", tiny), "damaged")


def test_a_collection_is_embedded_anew(run: Run, data: Path) -> None:
    """Of a directory."""
    assert (
        done(run("reembed", "films", "--model", "hashing:16"))
        == "films is embedded with hashing:16 now (3 documents)\n"
    )
    state = json.loads(done(run("reembed", "films", "--model", "hashing:32", "--json")))
    assert (state["state"], state["documents"]) == ("done", 3)
    assert done(run("reembed", "films", "--cancel")) == "films stays with its model\n"
    failed(run("reembed", "films"), code=2)
    failed(run("reembed", "nothing", "--model", "hashing"), "nothing")


def test_a_collection_of_a_service_is_embedded_anew(run: Run, url: str) -> None:
    """Polled until it is done; directories are refused."""
    assert "hashing:16 now" in done(run("reembed", "films", "--model", "hashing:16", "--url", url))
    with lumaai.connect(url) as client:
        state = client.reembedding("films")
        assert state is not None
        assert (state.state, state.model, state.total) == ("done", "hashing:16", 3)
        assert client["films"].search("robots and a simulation", limit=1)[0].id
    failed(run("reembed", "films", "--model", "static:x", "--url", url), "over HTTP")
