from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Aggregate, Database
from promptql.answer import Artifact, Citation
from promptql.citations import Claim, claims_of_rows, verified
from promptql.operators.rows import Rows


@pytest.fixture
def good(database: Database) -> Claim:
    """A quotation that is there: "Return" at the start of getcwd's text."""
    snapshot = database.snapshot()["stdlib"]
    citation = Citation("a1[0].sentence", "stdlib", ("os.getcwd",), snapshot.sequence, 1, ((0, 6),), "text")
    return Claim(citation, quote="Return")


def test_what_the_documents_bear_out_is_kept(database: Database, good: Claim) -> None:
    """Spans and cells that agree with the snapshot."""
    cells = Claim(replace(good.citation, spans=(), field=None), cells={"module": "os", "parameters": 0})
    kept, rejected = verified([good, cells], database.snapshot())
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
    kept, rejected = verified(bad, database.snapshot())
    assert kept == ()
    assert len(rejected) == len(bad)


def test_cells_of_a_join_cite_both_sides(database: Database) -> None:
    """A column cites the documents it comes from; a count of the joined rows those of both collections."""
    snapshots = database.snapshot()
    films, library = (snapshots[name].relation() for name in ("movies", "stdlib"))
    names = {"parameters": "parameters", "module": "module"}
    years = films.group(["year"], [Aggregate("count", None, "n")])
    joined, coverage = years.join(library, [("n", "parameters")], names=names)
    assert (coverage.left_rows, coverage.left_matched) == (7, 7)
    table = Artifact("a1", joined.fields, tuple(joined.limit(1).rows()))
    found = claims_of_rows(Rows(joined.limit(1), "movies", grouped=True), table, ("year",), snapshots)
    cells = {(claim.citation.cell, claim.citation.collection): claim.citation.ids for claim in found}
    assert cells == {
        ("a1[0].n", "movies"): ("f0",),
        ("a1[0].parameters", "stdlib"): ("os.listdir",),
        ("a1[0].module", "stdlib"): ("os.listdir",),
    }
    counted = joined.group(["module"], [Aggregate("count", None, "rows")])
    figures = Artifact("a1", counted.fields, tuple(counted.rows()))
    both = claims_of_rows(Rows(counted, "movies", grouped=True), figures, ("module",), snapshots)
    assert {claim.citation.collection for claim in both if claim.citation.cell == "a1[0].rows"} == {"movies", "stdlib"}
    kept, rejected = verified([*found, *both], snapshots)
    assert (len(kept), rejected) == (len(found) + len(both), ())


def test_a_claim_about_another_collection_is_rejected(database: Database, good: Claim) -> None:
    """One that is not among those that were read."""
    stranger = replace(good, citation=replace(good.citation, collection="nothing"))
    kept, rejected = verified([stranger], database.snapshot())
    assert (kept, len(rejected)) == ((), 1)
