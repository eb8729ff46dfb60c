"""Results: sequences that print well and keep their shape over HTTP."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lumaai.errors import ErrorDetail
from lumaai.results import (
    BatchHits,
    CollectionInfo,
    DeleteResult,
    Hit,
    Hits,
    PassageHit,
    ScrollPage,
    WriteResult,
)

ALIEN = Hit("1", 0.75, {"id": "1", "title": "Alien", "plot": "In space."}, PassageHit("plot", 0, 9, "In space."))
HEAT = Hit("2", 0.5, {"id": "2", "title": "Heat"})
FOUND = Hits((ALIEN, HEAT), sequence=7, milliseconds=1.25)


def test_hits_are_a_sequence() -> None:
    """Length, iteration, index, slice, ids, scores and documents, best first."""
    assert len(FOUND) == 2
    assert [hit.id for hit in FOUND] == FOUND.ids == ["1", "2"]
    assert FOUND[0] is ALIEN
    assert FOUND[1:] == (HEAT,)
    assert FOUND.scores.dtype == np.float32
    assert FOUND.scores.tolist() == [0.75, 0.5]
    assert FOUND.documents[1]["title"] == "Heat"


def test_hits_print_a_line_for_each_of_the_first_ten() -> None:
    """A notebook shows rank, id, score and the passage's text, else the first text of the document."""
    assert repr(FOUND) == (
        "2 hits in 1.2 ms (sequence 7)\n  1. Hit('1', 0.7500, 'In space.')\n  2. Hit('2', 0.5000, 'Heat')"
    )
    assert repr(Hits((HEAT,) * 12, 7, 1.0)).endswith("\n     … and 2 more")


def test_a_long_text_is_cut_where_it_is_printed() -> None:
    """At most 80 characters on one line."""
    hit = Hit("1", 1.0, {"id": "1", "text": "word\n" * 100})
    assert len(repr(hit)) < 110
    assert "\\n" not in repr(hit)


@pytest.mark.parametrize(
    "result",
    [
        ALIEN,
        HEAT,
        FOUND,
        Hits((), 1, 0.5, {"method": "flat"}),
        WriteResult(3, "sync", 1, 2, 4, (ErrorDetail("/documents/1", "c", "m", index=1),), ("a", "b")),
        DeleteResult(2, 5),
        CollectionInfo("films", 3, 9, {"fields": {}, "embed": {}, "strict": False}),
        ScrollPage([{"id": "1"}], "next"),
    ],
    ids=lambda result: type(result).__name__,
)
def test_results_survive_json(result: Any) -> None:
    """to_json, JSON text, from_json: an equal result."""
    assert type(result).from_json(json.loads(json.dumps(result.to_json()))) == result


def test_batch_hits_pad_short_rows_with_nan() -> None:
    """Scores are one (queries, limit) array; JSON carries only what was found."""
    found = BatchHits.of([["a", "b"], ["c"]], [[0.5, 0.25], [1.0]], 3, 4, 1.5)
    expected = np.array([[0.5, 0.25, np.nan], [1.0, np.nan, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(found.scores, expected)
    assert found.to_json()["scores"] == [[0.5, 0.25], [1.0]]
    back = BatchHits.from_json(json.loads(json.dumps(found.to_json())), limit=3)
    assert back.ids == found.ids
    np.testing.assert_array_equal(back.scores, expected)
