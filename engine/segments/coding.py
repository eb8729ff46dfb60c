"""Codes for a head that grows faster than it is sealed; who writes makes them, so nobody outruns them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engine.schema import Quantization
from engine.segments.head import Head, HeadView
from engine.segments.segment import Segment
from engine.vector.coded import CodedVectors, wants_codes
from engine.vector.ivf import InvertedLists

log = logging.getLogger(__name__)


def models(segments: Sequence[Segment]) -> dict[str, InvertedLists]:
    """Vector field → the newest codes of it, whose centroids serve other rows."""
    found: dict[str, InvertedLists] = {}
    for segment in segments:
        for name, part in segment.vector_parts().items():
            codes = part.index.approximate
            if isinstance(codes, InvertedLists) and codes.quantization is Quantization.PQ4:
                found[name] = codes
    return found


def wants_coding(head: Head, segments: Sequence[Segment]) -> bool:
    """Whether `code_head` would make any codes. Cheap: it is asked after every write."""
    large = any(vectors.wants_codes(model=True) for vectors in tuple(head.vectors.values()))
    return large and bool(_wanting(head, models(segments)))


def code_head(
    head: Head, view: HeadView, segments: Sequence[Segment], stop: Callable[[], bool]
) -> dict[str, CodedVectors | None]:
    """Vector field → codes of the rows that `view` shows, where they are worth it; None where they find too little.

    Raises:
        BuildStoppedError: `stop` said so.
    """
    known, parts = models(segments), view.vector_parts()
    return {name: parts[name].coded(known.get(name), stop) for name in _wanting(head, known) if name in parts}


def code_rest(
    view: HeadView,
    size: int,
    segments: Sequence[Segment],
    stop: Callable[[], bool],
    before: Mapping[str, CodedVectors],
) -> Mapping[str, CodedVectors]:
    """Vector field → codes of what will be left of a head without its first `size` documents, where it has many rows.

    Args:
        view: the head.
        size: documents that go.
        segments: for centroids.
        stop: see Raises.
        before: what this returned for an earlier view; extended where many rows have come since.

    Raises:
        BuildStoppedError: `stop` said so.
    """
    known, found = models(segments), dict(before)
    for name, part in view.vector_parts().items():
        first = int(np.searchsorted(part.origins.documents, size))
        model, coded = known.get(name) or (part.codes.model if part.codes else None), before.get(name)
        rows, done = len(part.vectors) - first, 0 if coded is None else len(coded)
        if wants_codes(rows, done, part.vectors.shape[1], model=model is not None):
            try:
                left = part.vectors[first:]
                codes = part.coded(model, stop, first) if coded is None else coded.extended(left, stop)
            except (RuntimeError, MemoryError) as error:  # of FAISS; it is compared with as it is
                log.warning("head.not_coded", extra={"reason": str(error)})
                continue
            if codes is not None:
                found[name] = codes
    return found


def _wanting(head: Head, known: Mapping[str, InvertedLists]) -> list[str]:
    fields = tuple(head.vectors.items())
    return [name for name, vectors in fields if vectors.wants_codes(model=name in known)]
