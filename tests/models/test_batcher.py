from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models import BatchingEmbedder, Embedder, InvalidTextError, ModelError, QueueFullError, Vectors
from models.batcher import SLICE_CHARACTERS
from models.embedders.hashing import HashingEmbedder

WAIT_SECONDS = 10


class GatedEmbedder(HashingEmbedder):
    """The hashing embedder, which records its runs and holds each until the gate is open."""

    def __init__(self) -> None:
        super().__init__(8)
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.runs: list[tuple[str, list[str]]] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._record("documents", texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._record("queries", texts)

    def _record(self, kind: str, texts: Sequence[str]) -> Vectors:
        self.runs.append((kind, list(texts)))
        self.started.release()
        assert self.gate.wait(WAIT_SECONDS)
        return super().embed_documents(texts)


@pytest.fixture
def gated() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def wait_until(condition: object) -> None:
    """Poll a callable until it is true."""
    assert callable(condition)
    pause = threading.Event()
    for _ in range(WAIT_SECONDS * 200):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("did not happen")


def test_it_is_an_embedder_with_the_same_vectors() -> None:
    """Order is kept although slices are made by length; the protocol's other members pass through."""
    plain = HashingEmbedder(8)
    texts = ["word " * count for count in range(1200, 0, -7)]
    with BatchingEmbedder(plain) as batching:
        assert isinstance(batching, Embedder)
        np.testing.assert_array_equal(batching.embed_documents(texts), plain.embed_documents(texts))
        np.testing.assert_array_equal(batching.embed_queries(texts[:3]), plain.embed_queries(texts[:3]))
        assert batching.embed_queries([]).shape == (0, 8)
        assert (batching.name, batching.dim, batching.fingerprint) == (plain.name, 8, plain.fingerprint)
        assert batching.token_offsets("a b").tolist() == [[0, 1], [2, 3]]


def test_queries_that_wait_are_joined(gated: GatedEmbedder, threads: ThreadPoolExecutor) -> None:
    """Five callers arrive during the first run: one more run serves them all."""
    with BatchingEmbedder(gated) as batching:
        first = threads.submit(batching.embed_queries, ["first"])
        assert gated.started.acquire(timeout=WAIT_SECONDS)
        rest = [threads.submit(batching.embed_queries, [f"query {number}"]) for number in range(5)]
        wait_until(lambda: len(batching._queries._queue) == 5)
        gated.gate.set()
        vectors = [future.result(WAIT_SECONDS) for future in [first, *rest]]
    assert [len(texts) for _, texts in gated.runs] == [1, 5]
    for number, vector in enumerate(vectors[1:]):
        np.testing.assert_array_equal(vector, HashingEmbedder(8).embed_queries([f"query {number}"]))


def test_documents_go_in_slices_and_a_query_goes_between(gated: GatedEmbedder, threads: ThreadPoolExecutor) -> None:
    """Eight long documents are eight runs; the query is not the last of the nine."""
    documents = ["word " * (SLICE_CHARACTERS // 5) for _ in range(8)]
    with BatchingEmbedder(gated) as batching:
        ingest = threads.submit(batching.embed_documents, documents)
        assert gated.started.acquire(timeout=WAIT_SECONDS)
        query = threads.submit(batching.embed_queries, ["query"])
        wait_until(lambda: len(gated.runs) == 2)
        gated.gate.set()
        query.result(WAIT_SECONDS)
        ingest.result(WAIT_SECONDS)
    assert [kind for kind, _ in gated.runs] == ["documents", "queries"] + ["documents"] * 7


def test_an_embedder_says_how_much_it_takes_at_once(gated: GatedEmbedder) -> None:
    """What a card or a service does in one run is not handed on in slices that suit a processor."""
    gated.gate.set()
    texts = ["word " * 100] * 40
    with BatchingEmbedder(gated) as batching:
        batching.embed_documents(texts)
    assert len(gated.runs) == 5
    gated.runs.clear()
    gated.slice_characters = 40 * 500  # type: ignore[attr-defined]
    with BatchingEmbedder(gated) as batching:
        batching.embed_documents(texts)
    assert [len(run) for _, run in gated.runs] == [40]


def test_a_call_does_not_fail_for_its_company(threads: ThreadPoolExecutor) -> None:
    """Three calls are joined in one run, which fails for the text of one of them: the others are answered."""

    class Failing(GatedEmbedder):
        def embed_queries(self, texts: Sequence[str]) -> Vectors:
            vectors = super().embed_queries(texts)
            if "bad" in texts:
                raise RuntimeError("the model failed")
            return vectors

    gated = Failing()
    with BatchingEmbedder(gated) as batching:
        first = threads.submit(batching.embed_queries, ["first"])
        assert gated.started.acquire(timeout=WAIT_SECONDS)
        rest = [threads.submit(batching.embed_queries, [text]) for text in ("good", "bad", "fine")]
        wait_until(lambda: len(batching._queries._queue) == 3)
        gated.gate.set()
        assert first.result(WAIT_SECONDS).shape == (1, 8)
        failures = [future.exception(WAIT_SECONDS) for future in rest]
    assert [type(failure) for failure in failures] == [type(None), RuntimeError, type(None)]
    assert [len(texts) for _, texts in gated.runs] == [1, 3, 1, 1, 1]


def test_a_full_queue_says_retry(gated: GatedEmbedder, threads: ThreadPoolExecutor) -> None:
    """The third caller is refused, the two before it are served, and then there is room again."""
    with BatchingEmbedder(gated, queries_max=2) as batching:
        waiting = [threads.submit(batching.embed_queries, ["q"]) for _ in range(2)]
        wait_until(lambda: batching._queries._callers == 2)
        with pytest.raises(QueueFullError, match="retry later") as caught:
            batching.embed_queries(["one too many"])
        assert caught.value.retryable
        gated.gate.set()
        assert all(future.result(WAIT_SECONDS).shape == (1, 8) for future in waiting)
        assert batching.embed_queries(["again"]).shape == (1, 8)


def test_errors_reach_their_callers_and_the_queue_goes_on() -> None:
    """Text is checked before it is joined with others; a failing model fails the call, not the thread."""

    class Failing(HashingEmbedder):
        def embed_queries(self, texts: Sequence[str]) -> Vectors:
            if "bad" in texts:
                raise RuntimeError("the model failed")
            return super().embed_queries(texts)

    with BatchingEmbedder(Failing(8)) as batching:
        with pytest.raises(InvalidTextError, match="index=1"):
            batching.embed_queries(["fine", "\ud800"])
        with pytest.raises(RuntimeError, match="the model failed"):
            batching.embed_queries(["bad"])
        assert batching.embed_queries(["good"]).shape == (1, 8)


def test_closing_answers_what_is_queued_and_refuses_the_rest(gated: GatedEmbedder, threads: ThreadPoolExecutor) -> None:
    """No caller is left hanging, and closing twice is nothing."""
    batching = BatchingEmbedder(gated)
    waiting = threads.submit(batching.embed_queries, ["q"])
    assert gated.started.acquire(timeout=WAIT_SECONDS)
    closing = threads.submit(batching.close)
    gated.gate.set()
    closing.result(WAIT_SECONDS)
    assert waiting.result(WAIT_SECONDS).shape == (1, 8)
    batching.close()
    with pytest.raises(ModelError, match="closed"):
        batching.embed_documents(["late"])


def test_many_threads_get_their_own_vectors() -> None:
    """Sixteen threads, mixed queries and documents, each answer its own."""
    plain = HashingEmbedder(32)
    texts = [f"text {number} " * (1 + number % 7) for number in range(200)]
    with BatchingEmbedder(plain) as batching, ThreadPoolExecutor(16) as pool:
        embed = [batching.embed_queries, batching.embed_documents]
        vectors = list(pool.map(lambda number: embed[number % 2]([texts[number]]), range(200)))
    np.testing.assert_array_equal(np.concatenate(vectors), plain.embed_documents(texts))
