"""Our vectors beside those of sentence-transformers, with the same weights."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from models import Embedder
from tests.models.scifact import load_scifact

if importlib.util.find_spec("sentence_transformers") is None:
    pytest.skip("needs the extra torch (sentence-transformers)", allow_module_level=True)

WHOLE_DOCUMENTS, PASSAGES = 200, 800
PASSAGE_CHARACTERS = 300
ODD_TEXTS = [
    "",
    " ",
    "\n\t",
    "a",
    "Zürich, naïve café: ½ × ∞ ≠ 東京 😀",
    "x" * 500,
    "word " * 600,
    "\x00\x07 control \u200b characters",
    "[CLS] special [SEP] tokens [MASK]",
    "ALL CAPS and MixedCase",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_vectors_equal_those_of_sentence_transformers(
    embedder: Embedder, model_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cosine of at least 0.9999 for 1,000 real passages and for odd texts, truncation included."""
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(model_directory), device="cpu")
    documents = list(load_scifact().documents.values())
    passages = [text[:PASSAGE_CHARACTERS] for text in documents[WHOLE_DOCUMENTS:][:PASSAGES]]
    texts = ODD_TEXTS + documents[:WHOLE_DOCUMENTS] + passages
    expected = reference.encode(texts, batch_size=32, convert_to_numpy=True)
    cosines = (embedder.embed_documents(texts) * expected).sum(axis=1)
    assert cosines.min() >= 0.9999, texts[int(cosines.argmin())][:100]
