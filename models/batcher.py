"""Joins the embed calls of many threads into few runs of the model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

import numpy as np

from models.embedder import Embedder, TokenOffsets, Vectors, check_texts
from models.errors import ModelError, QueueFullError

SLICE_CHARACTERS = 4096  # padding included: about 1,000 tokens, one run of a model on CPU
YIELD_SECONDS = 0.05  # how long a slice of documents steps back for queries; bounded, so that it starves neither


class _Waiting:
    """Texts of one caller on their way to the model."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.done = threading.Event()
        self.vectors: Vectors | None = None
        self.error: Exception | None = None


class _Lane:
    """One queue and the thread that empties it. While a run is under way, callers gather for the next one.

    The condition guards `_queue`, `_callers`, `_running` and `_closed`.
    """

    def __init__(
        self,
        name: str,
        embed: Callable[[Sequence[str]], Vectors],
        callers_max: int,
        characters: int,
        before: Callable[[], None],
    ) -> None:
        self._name, self._embed, self._callers_max, self._before = name, embed, callers_max, before
        self._characters = characters
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._callers = 0
        self._running = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"embed-{name}", daemon=True)
        self._thread.start()

    def embed(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Fill `vectors`, slice by slice; blocks until done."""
        with self._condition:
            if self._callers >= self._callers_max:
                raise QueueFullError(
                    f"too many calls wait for the model, retry later: queue={self._name} limit={self._callers_max}",
                    limit=self._callers_max,
                )
            self._callers += 1
        try:
            for rows in _slices(texts, self._characters):
                vectors[rows] = self._embed_slice([texts[row] for row in rows])
        finally:
            with self._condition:
                self._callers -= 1

    def wait_idle(self) -> None:
        """Wait until nothing is queued or running, at most `YIELD_SECONDS`."""
        with self._condition:
            self._condition.wait_for(lambda: not self._queue and not self._running, YIELD_SECONDS)

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._thread.join()

    def _embed_slice(self, texts: Sequence[str]) -> Vectors:
        waiting = _Waiting(texts)
        with self._condition:
            if self._closed:
                raise ModelError("embedder is closed")
            self._queue.append(waiting)
            self._condition.notify_all()
        waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.vectors is not None
        return waiting.vectors

    def _work(self) -> None:
        """Runs until closed and empty: what was queued before closing is still answered."""
        while True:
            with self._condition:
                self._running = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
            self._before()
            with self._condition:
                joined = self._take()
                self._running = True
            self._run(joined)

    def _take(self) -> list[_Waiting]:
        joined = [self._queue.popleft()]
        characters = _padded(joined[0].texts)
        while self._queue and (characters := characters + _padded(self._queue[0].texts)) <= self._characters:
            joined.append(self._queue.popleft())
        return joined

    def _run(self, joined: list[_Waiting]) -> None:
        try:
            vectors = self._embed([text for waiting in joined for text in waiting.texts])
            bounds = np.cumsum([len(waiting.texts) for waiting in joined])[:-1]
            for waiting, part in zip(joined, np.split(vectors, bounds), strict=True):
                waiting.vectors = part
        except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
            if len(joined) > 1 and not getattr(error, "retryable", False):
                for waiting in joined:  # a text that a service refuses is its caller's alone
                    self._run([waiting])
                return
            for waiting in joined:
                waiting.error = error
        for waiting in joined:
            waiting.done.set()


class BatchingEmbedder:
    """An embedder for a service: concurrent calls share runs, and queries go before documents.

    Queries and documents have a queue and a thread each. Documents go in slices of about one run of the model;
    before each slice, waiting queries are let through, so a long ingestion never delays a query by more than the
    run that is under way, beside which it may already start. Nothing waits for company: what arrives during one
    run is joined in the next. Where joined calls fail, each is tried by itself.

    Args:
        embedder: does the work; must be safe to call from two threads. Its `slice_characters`, if it has any, is what
            one run takes at best, padding included.
        queries_max: calls to `embed_queries` that may wait at once; `documents_max` likewise.
    """

    def __init__(self, embedder: Embedder, *, queries_max: int = 256, documents_max: int = 64) -> None:
        self._embedder = embedder
        self.name, self.revision = embedder.name, embedder.revision
        self.dim, self.max_tokens = embedder.dim, embedder.max_tokens
        self.normalized, self.fingerprint = embedder.normalized, embedder.fingerprint
        self.precision: str | None = getattr(embedder, "precision", None)
        self.tokenization: str | None = getattr(embedder, "tokenization", None)
        size: int = getattr(embedder, "slice_characters", SLICE_CHARACTERS)
        self._queries = _Lane("queries", embedder.embed_queries, queries_max, size, lambda: None)
        self._documents = _Lane("documents", embedder.embed_documents, documents_max, size, self._queries.wait_idle)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; see `Embedder`.

        Raises:
            QueueFullError: too many calls are waiting; the same call may succeed later.
            InvalidTextError: an element is not text.
            ModelError: the embedder is closed.
        """
        return self._through(self._queries, texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; raises what `embed_queries` does."""
        return self._through(self._documents, texts)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; not queued."""
        return self._embedder.token_offsets(text)

    def close(self) -> None:
        """Answer what is queued, then refuse new calls; idempotent. The embedder itself stays usable."""
        self._documents.close()
        self._queries.close()

    def __enter__(self) -> BatchingEmbedder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _through(self, lane: _Lane, texts: Sequence[str]) -> Vectors:
        check_texts(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        lane.embed(texts, vectors)
        return vectors


def _slices(texts: Sequence[str], characters: int) -> Iterator[list[int]]:
    """Rows in order of length, in groups of at most so many characters when padded, or a single row."""
    rows: list[int] = []
    for row in sorted(range(len(texts)), key=lambda row: len(texts[row])):
        if rows and (len(rows) + 1) * len(texts[row]) > characters:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _padded(texts: Sequence[str]) -> int:
    return len(texts) * max(map(len, texts))
