"""Citations: made from the documents behind each row, and checked against the snapshot before they are given out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine import Snapshot
from promptql.answer import Artifact, Citation
from promptql.evidence import Quote
from promptql.operators.rows import Rows
from promptql.validation import SCORE

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


def claims_of_rows(rows: Rows, artifact: Artifact, keys: Sequence[str], snapshot: Snapshot) -> list[Claim]:
    """For groups one claim a figure; for documents one a row."""
    claims = []
    for index, row in enumerate(artifact.rows):
        ids, count = rows.relation.sources(index, IDS_MAX)
        place = f"{artifact.id}[{index}]"
        if rows.grouped:
            for name in artifact.columns:
                if name not in keys:
                    citation = Citation(f"{place}.{name}", rows.collection, tuple(ids), snapshot.sequence, count)
                    claims.append(Claim(citation))
        else:
            citation = Citation(place, rows.collection, tuple(ids), snapshot.sequence, count)
            claims.append(Claim(citation, cells={name: value for name, value in row.items() if name != SCORE}))
    return claims


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


def verified(claims: Sequence[Claim], snapshot: Snapshot) -> tuple[tuple[Citation, ...], tuple[Citation, ...]]:
    """The citations that the snapshot bears out, and those that it does not."""
    ids = list(dict.fromkeys(id_ for claim in claims for id_ in claim.citation.ids))
    documents = dict(zip(ids, snapshot.get(ids), strict=True))
    good: list[Citation] = []
    bad: list[Citation] = []
    for claim in claims:
        (good if _borne_out(claim, documents, snapshot) else bad).append(claim.citation)
    return tuple(good), tuple(bad)


def _borne_out(claim: Claim, documents: Mapping[str, Any], snapshot: Snapshot) -> bool:
    citation = claim.citation
    if citation.sequence != snapshot.sequence or len(citation.ids) != min(citation.count, IDS_MAX):
        return False
    if any(documents.get(id_) is None for id_ in citation.ids):
        return False
    if claim.quote is not None:
        return _quoted(claim.quote, citation, documents[citation.ids[0]])
    if claim.cells is not None:
        document = documents[citation.ids[0]]
        return all(_same(value, document.get(name)) for name, value in claim.cells.items())
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
