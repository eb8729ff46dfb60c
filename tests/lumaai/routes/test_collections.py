from __future__ import annotations

import threading
from typing import Any

import pytest

from engine.segments.vectors import write_vectors
from lumaai.ingestion.manifest import FIELDS
from lumaai.routes import collections
from tests.lumaai.serving import Service, problem_of

SPEC = {"fields": {"year": {"type": "integer"}, "v": {"type": "vector", "dim": 4, "metric": "l2"}}, "embed": {}}


def test_put_makes_then_finds_then_refuses_another(service: Service) -> None:
    """201 when new, 200 when declared the same again, 409 naming the difference otherwise."""
    made = service.put("/v1/collections/things", SPEC)
    assert made.status_code == 201
    body = made.json()
    assert (body["name"], body["documents"]) == ("things", 0)
    assert body["schema"]["fields"]["v"]["dim"] == 4
    assert service.put("/v1/collections/things", SPEC).status_code == 200
    other = {**SPEC, "fields": {"year": {"type": "text"}}}
    problem_of(service.put("/v1/collections/things", other), 409)


def test_the_schema_that_is_shown_can_be_put(service: Service) -> None:
    """What GET shows as `schema` is a body of PUT: 200, nothing differs."""
    service.put("/v1/collections/things", SPEC)
    schema = service.get("/v1/collections/things").json()["schema"]
    assert service.put("/v1/collections/things", schema).status_code == 200


def test_an_empty_body_embeds_with_the_default_model(service: Service) -> None:
    """`{}` embeds text into "vector"; `"embed": {}` embeds nothing."""
    nothing = service.put("/v1/collections/plain", {"embed": {}}).json()
    assert nothing["schema"]["embed"] == {}


def test_lists_of_an_index_are_declared(service: Service) -> None:
    """Kept with the field; a number that is none is refused."""
    spec = {"type": "vector", "dim": 8, "index": "ivf_flat", "nlist": 64}
    made = service.put("/v1/collections/lists", {"fields": {"vector": spec}}).json()
    assert made["schema"]["fields"]["vector"]["nlist"] == 64
    assert service.put("/v1/collections/lists", {"fields": {"vector": spec}}).status_code == 200
    problem_of(service.put("/v1/collections/lists", {"fields": {"vector": {**spec, "nlist": 65}}}), 409)
    problem = problem_of(service.put("/v1/collections/more", {"fields": {"vector": {**spec, "nlist": 0}}}), 422)
    assert problem["errors"][0]["pointer"] == "/fields/vector/nlist"


def test_collections_are_listed_by_name(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted; cursors go on after a name, and are made by the service alone."""
    monkeypatch.setattr(collections, "PAGE_COLLECTIONS", 2)
    for name in ("b", "a", "c"):
        service.put(f"/v1/collections/{name}", {"embed": {}})
    answer = service.get("/v1/collections").json()
    assert [item["name"] for item in answer["collections"]] == ["a", "b"]
    rest = service.get("/v1/collections", params={"cursor": answer["next_cursor"]}).json()
    assert [item["name"] for item in rest["collections"]] == ["c"]
    assert rest["next_cursor"] is None
    for forged in ("a", answer["next_cursor"][:-2] + "AA", "A" + answer["next_cursor"][1:]):
        assert service.get("/v1/collections", params={"cursor": forged}).status_code in (410, 422)
    service.post("/v1/collections/a/documents", {"documents": [{"id": "1"}, {"id": "2"}]})
    scroll = service.post("/v1/collections/a/scroll", {"limit": 1}).json()["next_cursor"]
    problem_of(service.get("/v1/collections", params={"cursor": scroll}), 422, "cursor_invalid")
    problem_of(service.post("/v1/collections/a/scroll", {"cursor": answer["next_cursor"]}), 422, "cursor_invalid")


def test_a_dropped_collection_is_gone(service: Service) -> None:
    """204, then 404 for everything under its name; a second drop is 404 too."""
    service.put("/v1/collections/things", SPEC)
    assert service.delete("/v1/collections/things").status_code == 204
    problem_of(service.get("/v1/collections/things"), 404, "collection_not_found")
    problem_of(service.post("/v1/collections/things/count"), 404, "collection_not_found")
    problem_of(service.delete("/v1/collections/things"), 404, "collection_not_found")


@pytest.mark.parametrize("name", [".hidden", "a b", "ä", "a" * 129, "%2E%2E", "semi;colon"])
def test_names_outside_the_alphabet_are_refused(service: Service, name: str) -> None:
    """422 on PUT; there can be nothing under them, so 404 on GET."""
    problem_of(service.put(f"/v1/collections/{name}", {"embed": {}}), 422)
    problem_of(service.get(f"/v1/collections/{name}"), 404, "collection_not_found")


@pytest.mark.parametrize(
    "body",
    [{}, {"embed": {}}, {"fields": FIELDS}, {"fields": FIELDS, "embed": {}, "strict": True},
     {"fields": FIELDS, "embed": {}, "ttl": {"seconds": 5}}],
)  # fmt: skip
def test_what_is_kept_of_files_has_names_of_its_own(service: Service, body: object) -> None:
    """Nothing else can be declared under them; what a client of ours makes there is in no list of collections."""
    path = "/v1/collections/_files.things"
    problem_of(service.put(path, body), 422, "name_reserved")
    problem_of(service.get(path), 404, "collection_not_found")
    assert service.put(path, {"fields": FIELDS, "embed": {}}).status_code == 201
    service.post(f"{path}/documents", {"documents": [{"id": "file:1", "kind": "file"}]})
    service.put("/v1/collections/things", {"embed": {}})
    service.post("/v1/collections/things/documents", {"documents": [{"id": "1"}]})
    assert [item["name"] for item in service.get("/v1/collections").json()["collections"]] == ["things"]
    assert [item["collection"] for item in service.get("/v1/changes").json()["changes"]] == ["things"]
    assert service.post("/v1/sql", {"sql": "SHOW TABLES"}).json()["rows"] == [["things"]]


@pytest.mark.parametrize("model", ["a" * 5000, "a" * 300, "x\u0000y", "", "\n"])
def test_what_is_no_models_name_is_refused(service: Service, model: str) -> None:
    """Wherever one is taken: 422, never a path that the system cannot have."""
    problem_of(service.put("/v1/collections/things", {"embed": {"v": {"model": model}}}), 422)
    assert service.put("/v1/collections/things", {"fields": {"title": "text"}, "embed": {"v": {}}}).status_code == 201
    problem_of(service.post("/v1/collections/things/reembedding", {"model": model}), 422)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"fields": {"a": {"type": "colour"}}}, "/fields/a"),
        ({"fields": {"a": {"type": "vector", "dim": 0}}}, "/fields/a/dim"),
        ({"fields": {"a": {"type": "vector", "dim": True}}}, "/fields/a/dim"),
        ({"fields": {"a": {"type": "text", "dim": 3}}}, "/fields/a/dim"),
        ({"fields": {"a": {"type": "vector", "dim": 3, "metric": "manhattan"}}}, "/fields/a/metric"),
        ({"fields": []}, "/fields"),
        ({"unknown": 1}, "/unknown"),
        ({"strict": 1}, "/strict"),
        ([], ""),
        ({"embed": {"v": {"model": "/etc"}}}, "/embed/v/model"),
    ],
)
def test_malformed_schemas_are_refused_with_their_place(service: Service, body: object, pointer: str) -> None:
    """422 and a JSON Pointer to what is wrong."""
    problem = problem_of(service.put("/v1/collections/things", body), 422)
    assert [item["pointer"] for item in problem["errors"]] == [pointer]
    problem_of(service.get("/v1/collections/things"), 404)


def test_a_model_that_is_not_here_is_the_callers_mistake(service: Service) -> None:
    """422 and not 503: nothing of the service's own is missing."""
    body = {"embed": {"v": {"model": "no-such-model"}}}
    problem_of(service.put("/v1/collections/things", body), 422, "model_not_found")


def test_stats_and_optimize(points: Service) -> None:
    """Stats count documents; optimizing keeps them."""
    assert points.post("/v1/collections/points/optimize", {"wait": True}).status_code == 204
    assert points.get("/v1/collections/points/stats").json()["documents"] == 3
    assert points.get("/v1/stats").status_code == 200


def test_what_is_being_built_is_in_stats(points: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an index is built, with how far it is; not before, and not afterwards."""
    path, gate, standing = "/v1/collections/points", threading.Event(), threading.Event()

    def running() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = points.get(f"{path}/stats").json()["running"]
        return found

    def wait_in_build(*arguments: Any) -> None:
        standing.set()
        assert gate.wait(30)
        write_vectors(*arguments)

    monkeypatch.setattr("engine.segments.segment.write_vectors", wait_in_build)
    assert running() == []
    assert points.post(f"{path}/optimize", {"wait": False}).status_code in {202, 204}
    try:
        assert standing.wait(30)
        (job,) = running()
        assert (job["documents"], job["kind"]) == (3, "seal")
        assert 0 <= job["share"] <= 1
        assert job["stage"]
    finally:
        gate.set()
    assert points.post(f"{path}/optimize", {"wait": True}).status_code == 204
    assert running() == []
