"""Citations: made from the documents behind each row, and checked against the snapshot before they are given out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine import Snapshot, value_at
from promptql.answer import Artifact, Citation
from promptql.catalog import ID
from promptql.evidence import Quote
from promptql.operators.rows import Rows

IDS_MAX = 20  # documents named in one citation; its count tells how many there are


@dataclass(frozen=True, slots=True)
class Claim:
    """A citation with what it is to bear out.

    Attributes:
        quote: the text that its span must hold.
        cells: values that the one document must hold, by field.
    """

    citation: Citation
    quote: str | None = None
    cells: Mapping[str, Any] | None = None


def claims_of_rows(
    rows: Rows, artifact: Artifact, keys: Sequence[str], snapshots: Mapping[str, Snapshot]
) -> list[Claim]:
    """For documents one claim a row; else one a figure and collection, so that joins cite both their sides.

    Args:
        rows: as many as the artifact shows.
        artifact: the table.
        keys: columns that tell groups apart, and are no figures.
        snapshots: of all collections that rows may come from.
    """
    if rows.grouped or len(rows.relation.sources_behind) > 1:
        columns = [name for name in artifact.columns if name not in keys] or list(artifact.columns)
        return [
            claim
            for index in range(len(artifact.rows))
            for name in columns
            for claim in _cell_claims(rows, artifact, index, name, snapshots)
        ]
    stored = {ID, *snapshots[rows.collection].fields}
    claims = []
    for index, row in enumerate(artifact.rows):
        ids, count = rows.relation.sources(index, IDS_MAX)
        sequence = snapshots[rows.collection].sequence
        citation = Citation(f"{artifact.id}[{index}]", rows.collection, tuple(ids), sequence, count)
        cells = {name: value for name, value in row.items() if name in stored and count == 1}
        claims.append(Claim(citation, cells=cells))
    return claims


def _cell_claims(
    rows: Rows, artifact: Artifact, index: int, name: str, snapshots: Mapping[str, Snapshot]
) -> Iterator[Claim]:
    place = f"{artifact.id}[{index}].{name}"
    found = rows.relation.provenance(index, name, IDS_MAX)
    for source in found:
        sequence = snapshots[source.collection].sequence
        yield Claim(Citation(place, source.collection, source.ids, sequence, source.count))
    if not found:  # a count of nothing rests on the collection as a whole
        yield Claim(Citation(place, rows.collection, (), snapshots[rows.collection].sequence, 0))


def claims_of_quotes(
    quotes: Sequence[Quote], artifact: Artifact, column: str, collection: str, snapshot: Snapshot
) -> list[Claim]:
    """One claim a sentence, with its span."""
    return [
        Claim(
            Citation(
                cell=f"{artifact.id}[{index}].{column}",
                collection=collection,
                ids=(quote.id,),
                sequence=snapshot.sequence,
                count=1,
                spans=((quote.start, quote.end),),
                field=quote.field,
            ),
            quote=quote.text,
        )
        for index, quote in enumerate(quotes)
    ]


def verified(
    claims: Sequence[Claim], snapshots: Mapping[str, Snapshot]
) -> tuple[tuple[Citation, ...], tuple[Citation, ...]]:
    """The citations that the snapshots bear out, and those that they do not."""
    wanted: dict[str, dict[str, None]] = {}
    for claim in claims:
        wanted.setdefault(claim.citation.collection, {}).update(dict.fromkeys(claim.citation.ids))
    documents = {
        name: dict(zip(ids, snapshots[name].get(list(ids)), strict=True))
        for name, ids in wanted.items()
        if name in snapshots
    }
    good: list[Citation] = []
    bad: list[Citation] = []
    for claim in claims:
        found = documents.get(claim.citation.collection)
        is_good = found is not None and _borne_out(claim, found, snapshots[claim.citation.collection])
        (good if is_good else bad).append(claim.citation)
    return tuple(good), tuple(bad)


def _borne_out(claim: Claim, documents: Mapping[str, Any], snapshot: Snapshot) -> bool:
    citation = claim.citation
    if citation.sequence != snapshot.sequence or len(citation.ids) != min(citation.count, IDS_MAX):
        return False
    if any(documents.get(id_) is None for id_ in citation.ids):
        return False
    if claim.quote is not None:
        return _quoted(claim.quote, citation, documents[citation.ids[0]])
    if claim.cells:
        document = documents[citation.ids[0]]
        return all(_same(value, value_at(document, name)) for name, value in claim.cells.items())
    return True


def _quoted(quote: str, citation: Citation, document: Mapping[str, Any]) -> bool:
    text = document.get(citation.field or "")
    return isinstance(text, str) and "".join(text[start:end] for start, end in citation.spans) == quote


def _same(shown: Any, stored: Any) -> bool:
    """Whether a cell is the document's value; datetimes may be written in another form of the same moment."""
    if shown == stored:
        return True
    if isinstance(shown, list) and not isinstance(stored, list):
        return shown == [stored]
    return (
        isinstance(shown, str)
        and isinstance(stored, str)
        and _moment(shown) is not None
        and _moment(shown) == _moment(stored)
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
