"""Pages of a search: one ranking over one state of the collection, made longer as it is paged through.

A ranking of more documents may order those in front another way (a graph is searched harder, a fusion sees more). So
what was given stays as it was given: a longer ranking only adds the documents that are not in it yet.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import engine
from lumaai.search import ROWS_MAX

if TYPE_CHECKING:
    from lumaai import wire

# How many documents are ranked at first, and how many times more when they are used up.
FIRST_ROWS = 100
AHEAD_PAGES = 4


class RankedPages:
    """A search that is paged through. Safe for many threads; the lock lets one make the ranking longer at a time.

    Args:
        collection: its name.
        snapshot: that is searched.
        request: what is asked of it.
        body: what was asked for: how documents are shown, and how many may be ranked.
    """

    def __init__(
        self, collection: str, snapshot: engine.Snapshot, request: engine.SearchRequest, body: wire.SearchRequest
    ) -> None:
        self.collection = collection
        self.snapshot = snapshot
        self.body = body
        self.request = request
        given = None if body.rerank is None else body.rerank.top
        self._rows_max = ROWS_MAX if given is None else min(given, ROWS_MAX)
        self._lock = threading.Lock()
        self._found: engine.Hits | None = None
        self._rows = 0
        self._first_rows = FIRST_ROWS if request.rerank is None else request.rerank.top  # models read slowly
        self._is_whole = False

    def page(self, start: int, limit: int) -> tuple[engine.Hits, int | None]:
        """The hits from `start` on, and where the next page begins; None where there is none."""
        with self._lock:
            found = self._reaching(start + limit + 1)
        end = min(start + limit, len(found))
        return _between(found, start, end), end if end < len(found) else None

    def _reaching(self, rows: int) -> engine.Hits:
        while self._found is None or (len(self._found) < rows and not self._is_whole):
            wanted = min(self._rows_max, max(self._first_rows, rows, AHEAD_PAGES * self._rows))
            rerank = self.request.rerank
            if rerank is not None:
                rerank = replace(rerank, top=max(rerank.top, wanted))
            found = self.snapshot.query(replace(self.request, limit=wanted, offset=0, rerank=rerank))
            self._rows = wanted
            self._is_whole = len(found) < wanted or wanted == self._rows_max
            self._found = found if self._found is None else _joined(self._found, found)
        return self._found


def _between(found: engine.Hits, start: int, end: int) -> engine.Hits:
    return replace(
        found,
        ordinals=found.ordinals[start:end],
        scores=found.scores[start:end],
        parts=found.parts[start:end],
        places=found.places[start:end],
        passages=found.passages[start:end],
    )


def _joined(before: engine.Hits, longer: engine.Hits) -> engine.Hits:
    """What was found before, then what a longer ranking has beside it."""
    new = np.flatnonzero(~np.isin(longer.ordinals, before.ordinals))
    return replace(
        before,
        ordinals=np.concatenate([before.ordinals, longer.ordinals[new]]),
        scores=np.concatenate([before.scores, longer.scores[new]]),
        parts=np.concatenate([before.parts, longer.parts[new]]),
        places=np.concatenate([before.places, longer.places[new]]),
        passages=[*before.passages, *(longer.passages[place] for place in new)],
    )
