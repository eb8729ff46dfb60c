"""Sets in BEIR's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumaai.errors import InvalidRequestError
from lumaai.quality import read_folder
from tests.lumaai.quality.conftest import QRELS, write_set


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_is_read(tmp_path: Path, packed: bool) -> None:
    """Plain or compressed; only judged queries, only the fields that are indexed, blank ones left out."""
    found = read_folder(write_set(tmp_path / "ships", packed=packed))
    assert (found.name, found.judgements) == ("ships", QRELS)
    assert found.queries == {"q1": "ships", "q2": "flour oven"}
    assert found.documents[0] == {"id": "d1", "title": "Ships", "text": "Ships cross the ocean under sail."}
    assert found.documents[3] == {"id": "d4"}
    assert read_folder(tmp_path / "ships", fields=["title"]).documents[0] == {"id": "d1", "title": "Ships"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("corpus.jsonl", '{"_id": "d1"\n', "corpus.jsonl line 1 is not JSON"),
        ("corpus.jsonl", '{"text": "x"}\n', "corpus.jsonl line 1 is no object with _id"),
        ("corpus.jsonl", '{"_id": "d1"}\n', "no document has text in title or text"),
        ("queries.jsonl", '{"_id": "q1", "text": "ships"}\n', "judges a query that is not in queries.jsonl: 'q2'"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "test.tsv has no judgements"),
        ("qrels/test.tsv", "q1\td1\t1\nq1 d2 1\n", "test.tsv line 2 is not query, document and grade"),
    ],
)
def test_a_malformed_set_names_the_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The file and the line."""
    with pytest.raises(InvalidRequestError, match=message):
        read_folder(write_set(tmp_path / "ships", files={name: text}))


def test_what_is_no_set_says_what_is_missing(tmp_path: Path) -> None:
    """The judgements are looked for first."""
    with pytest.raises(InvalidRequestError, match=r"there is no qrels/test\.tsv, nor the same with \.gz"):
        read_folder(tmp_path)
