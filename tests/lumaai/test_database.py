"""The embedded database: collections, their declarations, models and questions."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import lumaai
from lumaai.database import Database
from lumaai.errors import (
    ConflictError,
    DatabaseClosedError,
    DatabaseLockedError,
    InvalidRequestError,
    ModelMismatchError,
    ModelUnavailableError,
    NotFoundError,
)
from models.embedders.hashing import HashingEmbedder
from tests.lumaai.films import FILMS, open_database, passage_of


@pytest.fixture
def db(tmp_path: Path) -> Any:
    with open_database(tmp_path / "data") as database:
        yield database


def test_a_collection_without_declarations_embeds_its_text(db: Database) -> None:
    """`{}`: fields are inferred, text goes into "vector" with the default model, whose identity is stored."""
    films = db.create_collection("films")
    films.add(FILMS)
    schema = films.info().schema
    assert schema["fields"]["year"]["type"] == "integer"
    assert schema["fields"]["vector"]["dim"] == 64
    assert schema["fields"]["vector"]["metric"] == "cosine"
    embedder = HashingEmbedder()
    assert schema["embed"]["vector"] == {
        "from": None,
        "model": "all-MiniLM-L6-v2",
        "identity": {"revision": "1", "dim": 64, "normalized": True, "fingerprint": embedder.fingerprint},
        "splitter": "auto",
    }


def test_embed_nothing_embeds_nothing(db: Database) -> None:
    """`embed={}` makes no vector field; text cannot be searched by meaning."""
    films = db.create_collection("films", embed={})
    films.add(FILMS)
    assert films.info().schema["embed"] == {}
    assert "vector" not in films.info().schema["fields"]
    with pytest.raises(InvalidRequestError, match="no embedded vector field: the collection has none"):
        films.search("space")


def test_declared_vector_fields_are_the_callers_to_fill(db: Database) -> None:
    """Without `embed`, a declared vector field is not taken for text."""
    films = db.create_collection("films", {"v": {"type": "vector", "dim": 2}})
    films.add([{"id": "1", "v": [1.0, 0.0], "title": "Alien"}])
    assert films.info().schema["embed"] == {}
    assert films.search(vector=[1.0, 0.0]).ids == ["1"]


@pytest.mark.parametrize("model", ["a" * 5000, "x\0y", "\ud800"])
def test_what_is_no_models_name_is_refused(tmp_path: Path, model: str) -> None:
    """As what the caller has to mend, and never as what the system says of a path."""
    with Database(tmp_path / "data") as database:
        with pytest.raises(InvalidRequestError, match="model name"):
            database.create_collection("films", embed={"vector": {"model": model}})
        database.create_collection("films", embed={"vector": {"model": "hashing"}}).add(FILMS)
        with pytest.raises(InvalidRequestError, match="model name"):
            database.reembed("films", model)


def test_only_the_fields_named_are_embedded(db: Database) -> None:
    """`from` chooses; another model is asked for by its name, and its size fills in what is not declared."""
    films = db.create_collection(
        "films",
        {"plot_vector": {"type": "vector", "metric": "dot"}},
        embed={"plot_vector": {"from": ["plot"], "model": "hashing"}},
    )
    films.add(FILMS)
    assert films.info().schema["fields"]["plot_vector"]["dim"] == 64
    assert films.info().schema["fields"]["plot_vector"]["metric"] == "dot"
    assert films.search(FILMS[0]["plot"]).ids[0] == "1"
    assert passage_of(films.search(FILMS[0]["plot"])[0]).field == "plot"


def test_a_vector_field_must_have_its_models_size(db: Database) -> None:
    """The message names both."""
    with pytest.raises(InvalidRequestError, match="expected=64 got=384") as caught:
        db.create_collection("films", {"vector": {"type": "vector", "dim": 384}}, embed={"vector": {}})
    assert (caught.value.code, caught.value.errors[0].pointer) == ("dimension_mismatch", "/fields/vector/dim")
    assert db.collections() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"year": {"type": "int"}}}, "unknown field type"),
        ({"fields": {"year": 3}}, "expected an object"),
        ({"fields": {"v": {"type": "vector"}}}, "needs its dim"),
        ({"fields": ["year"]}, "expected an object: got=list"),
        ({"embed": {"vector": {"from": "title"}}}, "from must be a list"),
        ({"embed": {"vector": {"model": 7}}}, "model must be a name"),
        ({"embed": {"vector": []}}, "expected an object: got=list"),
        ({"fields": {"vector": {"type": "text"}}, "embed": {"vector": {}}}, "embed names no vector field"),
    ],
)
def test_a_malformed_declaration_says_where(db: Database, options: Any, message: Any) -> None:
    """Code schema_invalid, status 422, and nothing is made."""
    with pytest.raises(InvalidRequestError, match=message) as caught:
        db.create_collection("films", **options)
    assert caught.value.status == 422
    assert caught.value.code == "schema_invalid"
    assert db.collections() == []


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "x" * 129, "ä"])
def test_a_bad_name_is_refused(db: Database, name: Any) -> None:
    """Letters, digits, `_`, `.` and `-`."""
    with pytest.raises(InvalidRequestError):
        db.create_collection(name)


def test_a_collection_is_made_once(db: Database) -> None:
    """Again is a conflict; with exist_ok the same declaration answers what there is, whatever was inferred since."""
    db.create_collection("films").add(FILMS)
    with pytest.raises(ConflictError, match="films"):
        db.create_collection("films")
    assert db.create_collection("films", exist_ok=True).count() == 3


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"fields": {"year": {"type": "number"}}}, "/fields/year"),
        ({"embed": {"vector": {"model": "other"}}}, "/embed/vector"),
        ({"embed": {}}, "/fields/vector"),
        ({"strict": True}, "/strict"),
        ({"embed": {"vector": {"from": ["title"]}}}, "/embed/vector"),
    ],
)
def test_another_declaration_of_the_same_name_is_a_conflict(db: Database, options: Any, place: Any) -> None:
    """The message and the pointer name the first difference; a model is not loaded only to compare."""
    db.create_collection("films").add(FILMS)
    with pytest.raises(ConflictError, match="exists with another schema") as caught:
        db.create_collection("films", exist_ok=True, **options)
    assert caught.value.errors[0].pointer == place


def test_the_declaration_that_info_gives_makes_the_same_collection(db: Database) -> None:
    """The schema goes round: what was inferred can be declared."""
    db.create_collection("films").add(FILMS)
    schema = db["films"].info().schema
    copy = db.create_collection("copy", schema["fields"], embed=schema["embed"], strict=schema["strict"])
    assert copy.info().schema == schema


def test_collections_are_listed_found_and_dropped(db: Database) -> None:
    """By name, sorted; what is not there is NotFoundError."""
    for name in ("b", "a"):
        db.create_collection(name)
    assert db.collections() == ["a", "b"]
    assert db["a"].name == db.collection("a").name == "a"
    db.drop("a")
    assert db.collections() == ["b"]
    for call in (db.collection, db.drop):
        with pytest.raises(NotFoundError) as caught:
            call("a")
        assert (caught.value.status, caught.value.code) == (404, "collection_not_found")


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    """Documents, vectors, schema and the model's identity."""
    with open_database(tmp_path) as db:
        db.create_collection("films").add(FILMS)
        before = db["films"].search("creature on a moon")
    with open_database(tmp_path) as db:
        after = db["films"].search("creature on a moon")
        assert after.items == before.items
        assert db.sequence == before.sequence


def test_another_model_under_the_same_name_fails_at_once_naming_both(tmp_path: Path) -> None:
    """Neither adding nor searching mixes vectors of two models; vectors of one's own still can be used."""
    with open_database(tmp_path, HashingEmbedder(64)) as db:
        db.create_collection("films").add(FILMS)
    with open_database(tmp_path, HashingEmbedder(32)) as db:
        for call in (lambda: db["films"].search("moon"), lambda: db["films"].add([{"title": "New one"}])):
            with pytest.raises(ModelMismatchError, match=r"dim 64.*dim 32") as caught:
                call()
            assert caught.value.code == "model_mismatch"
        assert db["films"].count() == 3


def test_missing_weights_name_the_ways_to_get_them(tmp_path: Path) -> None:
    """The real loader's error, translated; no collection is left behind."""
    with Database(tmp_path / "data", cache_directory=tmp_path / "cache") as db:
        with pytest.raises(ModelUnavailableError, match="no-such-model") as caught:
            db.create_collection("films", embed={"vector": {"model": "no-such-model"}})
        assert caught.value.code == "model_not_found"
        assert db.collections() == []


def test_a_model_is_loaded_once_by_many_threads(tmp_path: Path) -> None:
    """Loading takes a lock; using does not."""
    loads = []

    def load(name: str) -> HashingEmbedder:
        loads.append(name)
        return HashingEmbedder()

    with Database(tmp_path, load_embedder=load) as db:
        db.create_collection("films", embed={"vector": {"model": "m"}})
        threads = [
            threading.Thread(target=lambda i=i: db["films"].add([{"id": str(i), "title": f"Film {i}"}]))
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db["films"].count() == 8
    assert loads == ["m"]


def test_a_directory_in_use_names_its_owner(tmp_path: Path) -> None:
    """A second opener, in this process or another, is told which process has it."""
    with open_database(tmp_path):
        with pytest.raises(DatabaseLockedError, match=r"pid=\d+"):
            open_database(tmp_path)
        code = f"import lumaai; lumaai.connect({str(tmp_path)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "DatabaseLockedError" in done.stderr.splitlines()[-1]


def test_a_path_that_cannot_be_a_directory_is_a_clear_error(tmp_path: Path) -> None:
    """Not a traceback of the system's."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(lumaai.LumaError) as caught:
            open_database(path)
        assert "file" in str(caught.value)


def test_after_closing_calls_say_so(tmp_path: Path) -> None:
    """Closing twice does no harm."""
    db = open_database(tmp_path)
    films = db.create_collection("films")
    db.close()
    db.close()
    for call in (films.count, lambda: db.create_collection("x"), lambda: films.add([{"id": "1"}])):
        with pytest.raises(DatabaseClosedError):
            call()


def test_connect_tells_directories_from_addresses(tmp_path: Path) -> None:
    """A key belongs to an address."""
    with lumaai.connect(tmp_path / "data") as db:
        assert isinstance(db, Database)
    with lumaai.connect("http://127.0.0.1:1", api_key="k") as client:
        assert isinstance(client, lumaai.Client)
    with pytest.raises(InvalidRequestError, match="api_key"):
        lumaai.connect(tmp_path / "data", api_key="k")


@pytest.mark.parametrize("target", ["localhost:8000", "10.0.0.7:8000/", "htp://db:8000", "grpc://db"])
def test_no_directory_is_made_of_a_mistyped_address(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with what an address begins with."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match="http://"):
        lumaai.connect(target)
    assert list(tmp_path.iterdir()) == []


def test_importing_lumaai_is_light() -> None:
    """No index, model, table or server is loaded by the import, and every name it offers can be had."""
    code = (
        "import sys, lumaai\n"
        "heavy = {'faiss', 'onnxruntime', 'pyarrow', 'starlette', 'numpy', 'engine', 'models'} & set(sys.modules)\n"
        "print(heavy, [getattr(lumaai, name) and None for name in lumaai.__all__].count(None) == len(lumaai.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() True"


def test_a_question_is_answered_from_the_documents(db: Database) -> None:
    """The real pipeline over the real engine."""
    db.create_collection("films").add(FILMS)
    answer = db.ask("How many films are there?", planner="rules")
    assert "3" in answer.text
    assert answer.planner == "rules"


@pytest.mark.parametrize(
    ("question", "options"),
    [("", {}), ("x" * 2001, {}), ("How many?", {"planner": "magic"}), ("How many?", {"planner": "llm"})],
)
def test_a_bad_question_is_refused(db: Database, question: Any, options: Any) -> None:
    """Empty, too long, an unknown planner, or an LLM where there is none."""
    db.create_collection("films").add(FILMS)
    with pytest.raises(InvalidRequestError) as caught:
        db.ask(question, **options)
    assert caught.value.status == 422


def test_asking_an_unknown_collection_is_not_found(db: Database) -> None:
    """404, like every other use of it."""
    with pytest.raises(NotFoundError):
        db.ask("How many films?", collections=["films"])


def test_a_language_model_that_cannot_be_had_leaves_the_rules(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planner "auto" answers by rules and says so in the log; "llm" says what is missing; "rules" does not look."""
    monkeypatch.setenv("LUMAAI_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("LUMAAI_LLM_MODEL", raising=False)
    monkeypatch.setattr(logging.getLogger("lumaai"), "propagate", True)
    with lumaai.connect(tmp_path) as db:
        assert isinstance(db, Database)
        db.create_collection("films", embed={}).add(FILMS)
        assert "3" in db.ask("How many films are there?", planner="rules").text
        assert not caplog.records
        assert "3" in db.ask("How many films are there?").text
        assert [record.getMessage() for record in caplog.records if record.name == "lumaai"] == ["llm.unavailable"]
        with pytest.raises(InvalidRequestError, match="LUMAAI_LLM_MODEL"):
            db.ask("How many films are there?", planner="llm")


@pytest.mark.parametrize("name", [5, None, b"films", ["films"]])
def test_a_name_that_is_no_text_is_refused(db: Database, name: Any) -> None:
    """As a LumaError, which callers are told to catch."""
    with pytest.raises(InvalidRequestError, match="name must be a string"):
        db.create_collection(name)


@pytest.mark.parametrize("target", [5, None, b"data", "a\0b", ["data"]])
def test_a_target_that_is_no_path_is_refused(target: Any) -> None:
    """As a LumaError too."""
    with pytest.raises(InvalidRequestError, match="path"):
        lumaai.connect(target)


def test_integers_too_long_to_write_are_refused(db: Database) -> None:
    """Python itself refuses to write more than 4,300 digits, also into messages."""
    huge = 10**5_000
    points = db.create_collection("points", {"v": {"type": "vector", "dim": 2}})
    points.add(ids=["a"], vectors=[[1.0, 0.0]])
    calls: list[Any] = [
        lambda: points.search(vector=[1.0, 0.0], limit=huge),
        lambda: points.search(vector=[1.0, 0.0], offset=-huge),
        lambda: points.search(vector=[1.0, 0.0], params={"ef_search": huge}),
        lambda: points.scroll(limit=huge),
        lambda: points.add([{"n": huge}]),
        lambda: db.create_collection("b", {"v": {"type": "vector", "dim": huge}}),
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError, match=r"integer is too long|too large"):
            call()
