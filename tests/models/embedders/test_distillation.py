from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import Embedder, ModelError, OnnxEmbedder, distill, load_embedder
from models.embedders.distillation import (
    _principal_components,
    _smooth_inverse_frequencies,
    similarity_correlation,
)
from tests.models.embedders.test_quality import measured_ndcg
from tests.models.embedders.tiny_bert import VOCABULARY, random_weights, reference, write_model
from tests.models.scifact import load_scifact

CLS, SEP = 2, 3


@pytest.fixture
def teacher(tmp_path: Path) -> OnnxEmbedder:
    return OnnxEmbedder(write_model(tmp_path / "teacher"), name="tiny", cache_directory=tmp_path, threads=1)


def test_tokens_are_embedded_each_alone(teacher: OnnxEmbedder) -> None:
    """Between [CLS] and [SEP], as the model saw them in training."""
    expected = [reference([CLS, token, SEP], random_weights()) for token in (4, 9)]
    np.testing.assert_allclose(teacher.embed_tokens(np.array([4, 9], np.int32)), expected, atol=2e-5)
    assert teacher.vocabulary_size == len(VOCABULARY)


def test_components_keep_the_directions_of_largest_variance() -> None:
    """Points along (3, 4) around a mean: one component holds everything, in the direction with positive sum."""
    points = np.array([[3.0, 4.0], [6.0, 8.0], [9.0, 12.0]], dtype=np.float32) + 100
    reduced, variance = _principal_components(points, 1)
    np.testing.assert_allclose(reduced, [[-5], [0], [5]], atol=1e-4)
    assert variance == pytest.approx(1.0)


def test_frequent_tokens_weigh_less() -> None:
    """By hand: a / (a + p) with a = 0.0001."""
    np.testing.assert_allclose(_smooth_inverse_frequencies(np.array([0.0001, 0.0])), [0.5, 1.0])


def test_a_distilled_model_is_a_model(teacher: OnnxEmbedder, tmp_path: Path) -> None:
    """Loaded by its path; progress is reported; nothing unfinished is left."""
    reports: list[tuple[str, float]] = []
    result = distill(teacher, tmp_path / "student", dim=8, progress=lambda *report: reports.append(report))
    student = load_embedder(str(result.directory), cache_directory=tmp_path)
    assert student.embed_documents(["a b"]).shape == (1, 8)
    assert (result.tokens, result.dim) == (len(VOCABULARY), 8)
    assert 0.5 < result.variance <= 1
    assert -1 <= result.similarity_correlation <= 1
    assert reports[0] == ("embedding the tokens", 0.0)
    assert reports[-1] == ("model ready", 1.0)
    assert sorted(path.name for path in result.directory.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_sample_tells_which_tokens_are_frequent(teacher: OnnxEmbedder, tmp_path: Path) -> None:
    """In a sample full of "a", its row is shortened and that of "b" is not."""
    rows = []
    for name, sample in (("with", ["a " * 50, "b"]), ("without", ())):
        result = distill(teacher, tmp_path / name, dim=4, sample=sample)
        student = load_embedder(str(result.directory), cache_directory=tmp_path)
        rows.append(student.embed_documents(["a b"])[0] @ student.embed_documents(["b"])[0])
    assert rows[0] > rows[1]


def test_an_existing_directory_and_an_impossible_dimension_are_refused(teacher: OnnxEmbedder, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    with pytest.raises(ModelError, match="directory exists"):
        distill(teacher, tmp_path, dim=4)
    for dim in (1, 33):
        with pytest.raises(ValueError, match=f"got={dim}"):
            distill(teacher, tmp_path / "student", dim=dim)


def test_correlation_of_a_model_with_itself_is_one(embedder: Embedder) -> None:
    """And less with another."""
    assert similarity_correlation(embedder, embedder) == pytest.approx(1.0)


@pytest.mark.slow
def test_a_student_of_the_default_model_finds_things(embedder: OnnxEmbedder, tmp_path: Path) -> None:
    """SciFact with token frequencies of its own: far below the teacher's .645, far above chance."""
    data = load_scifact()
    result = distill(embedder, tmp_path / "student", sample=list(data.documents.values())[:2000])
    measured = measured_ndcg(load_embedder(str(result.directory), cache_directory=tmp_path), data)
    print(f"SciFact nDCG@10, static: {measured:.4f}, correlation {result.similarity_correlation:.3f}")
    assert measured > 0.34
    assert result.similarity_correlation > 0.65
