from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Database
from promptql.answer import Citation
from promptql.citations import Claim, verified


@pytest.fixture
def good(database: Database) -> Claim:
    """A quotation that is there: "Return" at the start of getcwd's text."""
    snapshot = database.snapshot()["stdlib"]
    citation = Citation("a1[0].sentence", "stdlib", ("os.getcwd",), snapshot.sequence, 1, ((0, 6),), "text")
    return Claim(citation, quote="Return")


def test_what_the_documents_bear_out_is_kept(database: Database, good: Claim) -> None:
    """Spans and cells that agree with the snapshot."""
    cells = Claim(replace(good.citation, spans=(), field=None), cells={"module": "os", "parameters": 0})
    kept, rejected = verified([good, cells], database.snapshot()["stdlib"])
    assert kept == (good.citation, cells.citation)
    assert rejected == ()


def test_what_they_do_not_bear_out_is_rejected(database: Database, good: Claim) -> None:
    """Another text, an unknown document, a wrong count, another sequence, another cell: each is found."""
    citation = good.citation
    bad = [
        replace(good, quote="Remove"),
        replace(good, citation=replace(citation, spans=((1, 7),))),
        replace(good, citation=replace(citation, field="module")),
        replace(good, citation=replace(citation, ids=("nobody",))),
        replace(good, citation=replace(citation, count=2)),
        replace(good, citation=replace(citation, sequence=citation.sequence + 1)),
        Claim(citation, cells={"module": "re"}),
    ]
    kept, rejected = verified(bad, database.snapshot()["stdlib"])
    assert kept == ()
    assert len(rejected) == len(bad)
