from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import Embedder, InvalidTextError
from models.embedders.hashing import HashingEmbedder


@given(text=st.text(), dim=st.integers(2, 100))
def test_vectors_are_repeatable_and_of_length_one(text: str, dim: int) -> None:
    """Two embedders agree on any text, the empty one included."""
    first, second = (HashingEmbedder(dim).embed_documents([text]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-5)


def test_texts_that_share_words_are_nearer() -> None:
    """Two of three words shared against none."""
    query, near, far = HashingEmbedder(256).embed_queries(["red green blue", "Red green grey", "one two three"])
    assert query @ near > query @ far


def test_it_is_an_embedder() -> None:
    """The protocol holds, shapes and refusals included."""
    embedder = HashingEmbedder(8)
    assert isinstance(embedder, Embedder)
    assert embedder.embed_documents([]).shape == (0, 8)
    assert embedder.token_offsets("it's 5").tolist() == [[0, 2], [2, 3], [3, 4], [5, 6]]
    with pytest.raises(InvalidTextError):
        embedder.embed_queries(["\udfff"])
    with pytest.raises(ValueError, match="at least 2"):
        HashingEmbedder(1)
