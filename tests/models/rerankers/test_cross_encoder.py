from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import InvalidTextError, ModelDamagedError, ModelNotFoundError, ModelUnsupportedError, Reranker
from models.embedders.bert_graph import Precision
from models.embedders.quantization import instruction_set
from models.rerankers.cross_encoder import CrossEncoderReranker
from tests.models.embedders.tiny_bert import random_cross_encoder_weights, reference_score, write_cross_encoder

CLS, SEP, A, B, C = 2, 3, 4, 5, 6


def reranker_of(directory: Path, **options: Any) -> CrossEncoderReranker:
    return CrossEncoderReranker(directory, name="tiny", cache_directory=directory / "cache", threads=1, **options)


@pytest.fixture
def reranker(tmp_path: Path) -> CrossEncoderReranker:
    return reranker_of(write_cross_encoder(tmp_path))


def expected_score(query: list[int], text: list[int]) -> float:
    ids = [CLS, *query, SEP, *text, SEP]
    segments = [0] * (len(query) + 2) + [1] * (len(text) + 1)
    return reference_score(ids, segments, random_cross_encoder_weights())


def test_scores_are_those_that_the_architecture_defines(reranker: CrossEncoderReranker) -> None:
    """Equal to a NumPy implementation, segments and head included, for texts of different lengths in one batch."""
    texts = ["b", "c c a b", "", "a b c"]
    expected = [expected_score([A, B], text) for text in ([B], [C, C, A, B], [], [A, B, C])]
    scores = reranker.score("a b", texts)
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    assert scores.dtype == np.float32
    assert isinstance(reranker, Reranker)
    assert len(set(np.round(scores, 3))) == 4


def test_query_and_text_are_not_exchangeable(reranker: CrossEncoderReranker) -> None:
    """Segments tell them apart."""
    assert abs(reranker.score("a", ["b"])[0] - reranker.score("b", ["a"])[0]) > 1e-3


def test_long_texts_are_cut_and_long_queries_leave_room(reranker: CrossEncoderReranker) -> None:
    """24 positions: the query keeps at most 12 tokens, [CLS] and two [SEP] are kept, the text gets the rest."""
    assert reranker.score("a", ["b " * 100])[0] == pytest.approx(expected_score([A], [B] * 20), abs=2e-5)
    long = reranker.score("a " * 50, ["b " * 50, "c"])
    np.testing.assert_allclose(long, [expected_score([A] * 12, [B] * 9), expected_score([A] * 12, [C])], atol=2e-5)


def test_no_texts_give_no_scores(reranker: CrossEncoderReranker) -> None:
    """An empty array."""
    assert reranker.score("a", []).shape == (0,)


def test_many_threads_get_the_scores_of_one(reranker: CrossEncoderReranker) -> None:
    """They share the session."""
    texts = [word * count for word in ("a ", "b ", "c ") for count in range(1, 9)]
    expected = reranker.score("a b", texts)
    with ThreadPoolExecutor(8) as threads:
        for scores in threads.map(lambda _: reranker.score("a b", texts), range(16)):
            np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.skipif("vnni" not in instruction_set(), reason="without VNNI sums of int8 products may saturate")
def test_int8_scores_are_near(tmp_path: Path, reranker: CrossEncoderReranker) -> None:
    """The same builder; another graph in the cache."""
    rounded = reranker_of(tmp_path, precision=Precision.INT8)
    texts = ["a", "b c", "c a b a", "j i h g"]
    scores = reranker.score("a b", texts)
    assert 0 < np.abs(rounded.score("a b", texts) - scores).max() < 0.1
    assert len(list((tmp_path / "cache").glob("*.onnx"))) == 2


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"architectures": ["BertModel"]}, "BertModel"),
        ({"architectures": ["XLMRobertaForSequenceClassification"], "model_type": "xlm-roberta"}, "XLMRoberta"),
        ({"id2label": {"0": "no", "1": "yes"}}, "got=2"),
    ],
)
def test_other_heads_are_refused_by_name(tmp_path: Path, config: dict[str, Any], named: str) -> None:
    """The error says what was found."""
    with pytest.raises(ModelUnsupportedError, match=named):
        reranker_of(write_cross_encoder(tmp_path, **config))


def test_a_missing_head_is_damage(tmp_path: Path) -> None:
    """An encoder alone gives no scores."""
    weights = random_cross_encoder_weights()
    del weights["classifier.weight"]
    with pytest.raises(ModelDamagedError, match=r"classifier\.weight is missing"):
        reranker_of(write_cross_encoder(tmp_path, weights=weights))
    with pytest.raises(ModelNotFoundError):
        reranker_of(tmp_path / "cache")


def test_what_is_not_text_is_refused(reranker: CrossEncoderReranker) -> None:
    """Query and texts."""
    for query, texts in (("\ud800", ["a"]), ("a", ["b", "\ud800"])):
        with pytest.raises(InvalidTextError):
            reranker.score(query, texts)
