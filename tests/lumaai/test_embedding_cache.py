"""Vectors of texts are kept: what is embedded twice, what is counted, what a purge leaves, what a dead Redis costs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

import lumaai
from lumaai.database import Database
from lumaai.embedding_cache import CACHE_FILE
from lumaai.errors import InvalidRequestError, ModelUnavailableError
from lumaai.model_options import ModelOptions
from lumaai.settings import load_settings
from models import Vectors
from models.embedders.hashing import HashingEmbedder
from tests.congruence.conftest import served
from tests.models.caches.conftest import RedisServer, redis_server

__all__ = ["redis_server"]  # a fixture


class Counting(HashingEmbedder):
    """Counts what it embeds, and is worth a cache."""

    is_cheap = False

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[str] = []
        self.queries: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.documents += texts
        return super().embed_documents(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        self.queries += texts
        return super().embed_documents(texts)


@pytest.fixture
def counting() -> Counting:
    return Counting()


def database_at(path: Path, counting: Counting, **options: object) -> Database:
    return Database(path, load_embedder=lambda _: counting, model_options=ModelOptions(**options))  # type: ignore[arg-type]


def test_no_text_is_embedded_twice(tmp_path: Path, counting: Counting) -> None:
    """Documents that come back, texts that stand in several collections, queries that are repeated; also later."""
    with database_at(tmp_path, counting) as database:
        for name in ("a", "b"):
            database.create_collection(name).add([{"id": "1", "text": "one"}, {"id": "2", "text": "two"}])
        database["a"].delete(ids=["1"])
        database["a"].add([{"id": "9", "text": "one"}])
        assert counting.documents == ["one", "two"]
        for _ in range(3):
            assert database["a"].search("one", limit=1)[0].id == "9"
        assert counting.queries == ["one"]  # a query is no document: models put other prefixes before it
        figures = database.stats()["embedding_cache"]
        assert figures == {"kind": "sqlite", "hits": {"memory": 5, "sqlite": 0}, "misses": 3, "hit_rate": 5 / 8}
        memory = database.stats()
        assert 0 < memory["memory"]["embeddings_bytes"] < memory["memory_limits"]["embeddings_bytes"]
    with database_at(tmp_path, counting) as database:
        database["b"].add([{"id": "3", "text": "one"}])
        database["b"].search("one")
        assert database.stats()["embedding_cache"]["hits"] == {"memory": 0, "sqlite": 2}
    assert (counting.documents, counting.queries) == (["one", "two"], ["one"])


def test_its_memory_is_a_share_of_the_one_cap(tmp_path: Path, counting: Counting) -> None:
    """A tenth."""
    with Database(tmp_path, load_embedder=lambda _: counting, memory_bytes_max=50_000_000) as database:
        assert database.stats()["memory_limits"]["embeddings_bytes"] == 5_000_000


@pytest.mark.parametrize(("kind", "asked"), [("none", 2), ("memory", 1)])
def test_other_kinds_leave_no_file(tmp_path: Path, counting: Counting, kind: str, asked: int) -> None:
    """None forgets at once, memory with the process."""
    with database_at(tmp_path, counting, cache=kind) as database:
        films = database.create_collection("films")
        films.add([{"id": "1", "text": "one"}])
        films.add([{"id": "2", "text": "one"}])
    assert len(counting.documents) == asked
    assert not (tmp_path / CACHE_FILE).exists()


def test_a_purge_forgets_what_was_embedded(tmp_path: Path, counting: Counting) -> None:
    """In memory and in the file; also a file that this process would not use."""
    with database_at(tmp_path, counting) as database:
        films = database.create_collection("films")
        films.add([{"id": "1", "text": "secret"}])
        content = counting.embed_documents(["secret"])[0].tobytes()
        films.delete(ids=["1"])
        assert any(content in path.read_bytes() for path in tmp_path.glob(f"{CACHE_FILE}*"))
        database.purge()
        assert not any(content in path.read_bytes() for path in tmp_path.glob(f"{CACHE_FILE}*"))
        counting.documents.clear()
        films.add([{"id": "1", "text": "secret"}])
        assert counting.documents == ["secret"]
    with database_at(tmp_path, counting, cache="none") as database:
        database.purge()
    assert not list(tmp_path.glob(f"{CACHE_FILE}*"))


def test_a_file_that_cannot_be_used_costs_speed_only(
    tmp_path: Path, counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once."""
    (tmp_path / "data").mkdir()
    with database_at(tmp_path / "data", counting) as database:
        (tmp_path / "data" / CACHE_FILE).mkdir()
        films = database.create_collection("films")
        with caplog.at_level(logging.WARNING):
            for place in range(3):
                films.add([{"id": str(place), "text": f"text {place}"}])
        assert [each.message for each in caplog.records].count("cache.unusable") <= 1
        assert films.search("text 1", limit=1)[0].id == "1"


def test_readers_write_no_file(tmp_path: Path, counting: Counting) -> None:
    """A directory that is only read keeps queries in memory."""
    with database_at(tmp_path, counting, cache="none") as database:
        database.create_collection("films").add([{"id": "1", "text": "one"}])
    with Database(tmp_path, load_embedder=lambda _: counting, read_only=True) as database:
        database["films"].search("one")
        database["films"].search("one")
        assert database.stats()["embedding_cache"]["kind"] == "memory"
    assert counting.queries == ["one"]
    assert not (tmp_path / CACHE_FILE).exists()


def test_redis_is_shared_and_its_death_costs_speed_only(
    tmp_path: Path, counting: Counting, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Two databases share vectors; after its death all goes on, a purge says what it could not do, once is warned."""
    options = {"cache": "redis", "redis_url": redis_server.url}
    with (
        database_at(tmp_path / "a", counting, **options) as first,
        database_at(tmp_path / "b", counting, **options) as second,
    ):
        first.create_collection("films").add([{"id": "1", "text": "one"}])
        second.create_collection("films").add([{"id": "1", "text": "one"}])
        assert counting.documents == ["one"]
        assert second.stats()["embedding_cache"]["hits"] == {"memory": 0, "redis": 1}
        first.purge()
        redis_server.kill()
        with caplog.at_level(logging.WARNING):
            for place in range(3):
                second["films"].add([{"id": f"n{place}", "text": f"text {place}"}])
            assert second["films"].search("text 1", limit=1)[0].id == "n1"
        assert [each.message for each in caplog.records].count("cache.failed") == 1
        second["films"].delete(ids=["n0"])
        with pytest.raises(ModelUnavailableError, match="try again") as failure:
            second.purge()
        assert (failure.value.code, failure.value.status, failure.value.retryable) == ("cache_unavailable", 503, True)
        assert second["films"].count() == 3


def test_the_hit_rate_is_in_the_metrics(tmp_path: Path, counting: Counting) -> None:
    """Beside the memory that it takes."""
    import httpx

    with database_at(tmp_path / "data", counting) as database, served(database, tmp_path) as url:
        with lumaai.connect(url) as client:
            films = client.create_collection("films")
            films.add([{"id": "1", "text": "one"}, {"id": "2", "text": "one"}])
            films.add([{"id": "3", "text": "one"}])
        text = httpx.get(f"{url}/metrics").text
    assert 'lumaai_embedding_texts_total{found_in="memory"}' in text
    assert 'lumaai_memory_bytes{kind="embeddings_bytes"}' in text
    rate = float(text.split("\nlumaai_embedding_cache_hit_rate ")[1].split("\n")[0])
    assert 0.3 <= rate <= 0.7


def test_settings_say_which_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis needs its address, which no message shows."""
    monkeypatch.setenv("LUMAAI_EMBEDDING_CACHE", "redis")
    with pytest.raises(InvalidRequestError, match="LUMAAI_REDIS_URL"):
        load_settings()
    monkeypatch.setenv("LUMAAI_REDIS_URL", "redis://:password@localhost/0")
    options = load_settings().model_options
    assert (options.cache, options.redis_url) == ("redis", "redis://:password@localhost/0")
    assert "password" not in repr(options)
    assert "password" not in repr(load_settings())
    with pytest.raises(InvalidRequestError, match="settings are wrong"):
        load_settings(embedding_cache="disk")
    with pytest.raises(InvalidRequestError, match="cache must be one of"):
        ModelOptions(cache="disk")  # type: ignore[arg-type]
