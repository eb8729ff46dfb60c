"""Collections name their models: precision, other runtimes and services, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lumaai
from lumaai.database import Database
from lumaai.embedders import check_identity, precision_of
from lumaai.errors import ConflictError, InvalidRequestError, LumaError, ModelMismatchError, ModelUnavailableError
from lumaai.model_options import ModelOptions
from models import RemoteAccess
from tests.congruence.conftest import served
from tests.models.embedders.test_static import write_static
from tests.models.embedders.tiny_bert import random_weights, write_model
from tests.models.embedding_server import KEY, Fault, Service, running_service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_service() as running:
        yield running
        assert running.refused == []


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A BERT of 32 numbers, over the letters a to j."""
    return write_model(tmp_path / "tiny")


def opened(tmp_path: Path, **options: Any) -> Database:
    return Database(tmp_path / "data", cache_directory=tmp_path / "cache", model_options=ModelOptions(**options))


def identity(database: Database, name: str = "films") -> dict[str, Any]:
    found: dict[str, Any] = database[name].info().schema["embed"]["vector"]["identity"]
    return found


def test_a_collection_keeps_its_precision(tmp_path: Path, tiny: Path) -> None:
    """The setting is for collections to come; one from before there was a choice is float32."""
    embed = {"vector": {"model": str(tiny)}}
    with opened(tmp_path, precision="int8") as database:
        database.create_collection("films", embed=embed).add([{"id": "1", "text": "a b c"}])
        assert identity(database)["precision"] == "int8"
    with opened(tmp_path, precision="float32") as database:
        assert database["films"].search("a b c")[0].score == pytest.approx(1.0, abs=1e-4)
        database.create_collection("other", embed=embed).add([{"id": "1", "text": "a b c"}])
        assert identity(database, "other")["precision"] == "float32"
        declared = {"vector": {"model": str(tiny), "identity": identity(database, "films")}}
        database.create_collection("same", embed=declared)
        assert identity(database, "same") == identity(database, "films")
        old = {key: value for key, value in identity(database, "other").items() if key != "precision"}
        native = database._native.collection("other").schema.embed["vector"]
        assert precision_of(old) == "float32"
        assert native.identity["precision"] == "float32"


def change_model(directory: Path, change: str) -> None:
    """Other weights, another pooling, another prefix, or the same letters under other numbers."""
    if change == "tokenizer":
        path = directory / "tokenizer.json"
        content = json.loads(path.read_text())
        vocabulary = content["model"]["vocab"]
        vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
        path.write_text(json.dumps(content))
        return
    shutil.rmtree(directory)
    write_model(
        directory,
        weights=random_weights(8) if change == "weights" else random_weights(),
        pooling="cls_token" if change == "pooling" else "mean_tokens",
        prompts={"query": "a "} if change == "prefix" else None,
    )


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("change", ["weights", "pooling", "prefix", "tokenizer"])
def test_a_changed_file_is_refused_and_both_are_named(tmp_path: Path, tiny: Path, change: str, precision: str) -> None:
    """Before anything is embedded with it; what needs no model goes on. Embedded anew, no old vector is taken."""
    with opened(tmp_path, precision=precision) as database:
        database.create_collection("films", embed={"vector": {"model": str(tiny)}}).add([{"id": "1", "text": "a b"}])
        before = identity(database)
        old = database["films"].get(["1"], vectors=True)[0]
    change_model(tiny, change)
    with opened(tmp_path, precision=precision) as database:
        films = database["films"]
        for act in (lambda: films.search("a"), lambda: films.add([{"id": "2", "text": "c"}])):
            with pytest.raises(ModelMismatchError) as failure:
                act()
            assert before["fingerprint"] in failure.value.message
            assert before["revision"] in failure.value.message
            assert failure.value.message.count("fingerprint") == 2
        assert films.count() == 1
        with pytest.raises(ConflictError, match="expected="):
            database.create_collection("films", embed={"vector": {"model": "hashing"}}, exist_ok=True)
        database.reembed("films", str(tiny))
        new = films.get(["1"], vectors=True)[0]
        assert old is not None
        assert new is not None
        assert (new["vector"] == old["vector"]) == (change == "prefix")  # of queries only
        assert films.search("a b")


def test_a_collection_from_before_tokenizations_were_kept_opens(tmp_path: Path, tiny: Path) -> None:
    """What is not known cannot differ."""
    with opened(tmp_path, precision="float32") as database:
        films = database.create_collection("films", embed={"vector": {"model": str(tiny)}})
        old = {key: value for key, value in identity(database).items() if key != "tokenization"}
        assert len(old) == len(identity(database)) - 1
        embedding = replace(films._native.schema.embed["vector"], identity=old)
        check_identity(embedding, database._opened.embedders.get(str(tiny)), "films")
        declared = {"vector": {"model": str(tiny), "identity": old}}
        database.create_collection("other", embed=declared).add([{"id": "1", "text": "a b"}])
        assert database["other"].search("a b", limit=1)[0].id == "1"


def test_prefixes_choose_the_runtime(tmp_path: Path, tiny: Path) -> None:
    """onnx: and static: with directories, by the same weights as without."""
    static = write_static(tmp_path / "static")
    with opened(tmp_path, precision="float32") as database:
        for name, model in [("plain", str(tiny)), ("onnx", f"onnx:{tiny}"), ("static", f"static:{static}")]:
            database.create_collection(name, embed={"vector": {"model": model}})
        prints = [identity(database, name)["fingerprint"] for name in ("plain", "onnx", "static")]
        assert prints[0] == prints[1] != prints[2]
        with pytest.raises(LumaError, match="not static"):
            database.create_collection("wrong", embed={"vector": {"model": f"static:{tiny}"}})


def test_a_service_embeds(tmp_path: Path, service: Service) -> None:
    """The key goes to the configured address only."""
    access = RemoteAccess(service.url, KEY)
    with opened(tmp_path, embeddings=access) as database:
        for name, model in [("own", "openai:m"), ("named", f"openai:m@{service.url}")]:
            films = database.create_collection(name, embed={"vector": {"model": model}})
            films.add([{"id": "1", "text": "one word"}, {"id": "2", "text": "another"}])
            assert films.search("one word", limit=1)[0].id == "1"
    with running_service() as other, opened(tmp_path / "2", embeddings=access) as database:
        other.key = "sk-another"
        with pytest.raises(ModelUnavailableError) as failure:
            database.create_collection("films", embed={"vector": {"model": f"openai:m@{other.url}"}})
        assert (failure.value.code, failure.value.status) == ("remote_model_error", 502)
        assert KEY not in failure.value.message


@pytest.mark.parametrize(
    ("fault", "code", "status", "retryable"),
    [
        (Fault(change=lambda _: "nonsense"), "remote_model_reply", 502, False),
        (Fault(change=lambda answer: {**answer, "data": answer["data"][:0]}), "remote_model_reply", 502, False),
        (
            Fault(change=lambda answer: {**answer, "data": [{**row, "embedding": [1.0]} for row in answer["data"]]}),
            "remote_model_reply",
            502,
            False,
        ),
        (Fault(status=400), "remote_model_error", 502, False),
    ],
)
def test_what_a_service_does_wrong_stores_nothing(
    tmp_path: Path, service: Service, fault: Fault, code: str, status: int, retryable: bool
) -> None:
    """Nonsense, another count or dimension, a refusal: a clear error with its status; the next write works."""
    with opened(tmp_path, embeddings=RemoteAccess(service.url, KEY)) as database:
        films = database.create_collection("films", embed={"vector": {"model": "openai:m"}})
        service.fail(fault)
        with pytest.raises(ModelUnavailableError) as failure:
            films.add([{"id": "1", "text": "one"}])
        assert (failure.value.code, failure.value.status, failure.value.retryable) == (code, status, retryable)
        assert films.count() == 0
        assert films.add([{"id": "1", "text": "one"}]).added == 1


def test_over_http_models_are_names(tmp_path: Path, tiny: Path, service: Service) -> None:
    """Neither directories nor addresses: those are for the service's operator to say."""
    with (
        opened(tmp_path, embeddings=RemoteAccess(service.url, KEY)) as database,
        served(database, tmp_path) as url,
        lumaai.connect(url) as client,
    ):
        for model in (str(tiny), f"onnx:{tiny}", f"torch:{tiny}", "static:x", "hub:a/b", f"openai:m@{service.url}"):
            with pytest.raises(LumaError, match=r"is a name|right shape"):
                client.create_collection("films", embed={"vector": {"model": model}})
            with pytest.raises(LumaError, match="is a name"):
                client.reembed("films", model)
        assert service.requests == []
        client.create_collection("films", embed={"vector": {"model": "openai:m"}}).add([{"id": "1", "text": "one"}])


@pytest.mark.parametrize(
    ("text", "stored"),
    [("", True), ("   \n", True), ("a\x00b" * 10, True), ("\x89PNG\r\n\x1a\n" + "\x00\x01" * 500, True)],
)
def test_odd_texts_are_stored_or_refused_never_half(tmp_path: Path, tiny: Path, text: str, stored: bool) -> None:
    """Empty and blank texts have no vector; what was binary is text like any other once it is a string."""
    with opened(tmp_path) as database:
        films = database.create_collection("films", embed={"vector": {"model": str(tiny)}})
        assert films.add([{"id": "1", "text": text}]).added == 1
        document = films.get(["1"], vectors=True)[0]
        assert document is not None
        assert document["text"] == text
        assert ("vector" in document) == bool(text.strip("\x00 \n"))


def test_a_lone_surrogate_is_refused_with_its_place(tmp_path: Path, tiny: Path) -> None:
    """And nothing of the batch is stored; not atomic, the others are."""
    with opened(tmp_path) as database:
        films = database.create_collection("films", embed={"vector": {"model": str(tiny)}})
        batch: list[Any] = [
            {"id": "1", "text": "a b"},
            {"id": "2", "text": "bad \ud800"},
            {"id": "3", "text": b"bytes"},
        ]
        with pytest.raises(InvalidRequestError) as failure:
            films.add(batch)
        assert [each.index for each in failure.value.errors] == [1, 2]
        assert films.count() == 0
        result = films.add(batch, atomic=False)
        assert (result.added, [each.index for each in result.errors]) == (1, [1, 2])


def test_a_megabyte_is_split_not_cut(tmp_path: Path, tiny: Path) -> None:
    """Its last words are found."""
    with opened(tmp_path, precision="float32") as database:
        films = database.create_collection("films", embed={"vector": {"model": str(tiny)}})
        films.add([{"id": "long", "text": "a b c d " * 2_000 + "j j i j"}])
        vectors = films.get(["long"], vectors=True)
        passages = database._native.collection("films").snapshot().vectors_of("long", "vector")
        assert len(passages) > 100
        assert films.search("j j i j")[0].passage.text.endswith("j j i j")  # type: ignore[union-attr]
        assert vectors[0] is not None
