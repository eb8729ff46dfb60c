"""Objects in documents, asked about as a user does: on the command line and over HTTP, with equal answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lumaai.conftest import Run
from tests.lumaai.serving import Service

BOATS: list[dict[str, Any]] = [
    {
        "id": f"b{i}",
        "title": f"{('Grey', 'Swift', 'Old', 'Wide')[i % 4]} {('Heron', 'Otter', 'Gull')[i % 3]}",
        "berths": 2 + i % 5,
        "harbour": {
            "name": f"{('Stone', 'Sand')[i % 2]} Quay",
            "town": ("Oslo", "Turin", "Graz")[i % 3],
            "fee": 10.5 + i,
            "opened": f"19{50 + i}-04-01",
        },
    }
    for i in range(12)
]
OSLO = [boat for boat in BOATS if boat["harbour"]["town"] == "Oslo"]
MEANS = {
    town: sum(boat["harbour"]["fee"] for boat in BOATS if boat["harbour"]["town"] == town) / 4
    for town in ("Oslo", "Turin", "Graz")
}
QUESTIONS: list[tuple[str, Any]] = [
    ("How many boats are in Oslo?", [len(OSLO)]),
    ("total berths in Oslo", [sum(boat["berths"] for boat in OSLO)]),
    ("average fee by town of the harbour", [[town, mean] for town, mean in sorted(MEANS.items(), key=lambda i: -i[1])]),
    ("how many different harbours", [2]),
    ("boats whose harbour opened before 1952", ["Grey Heron", "Swift Otter"]),
]


@pytest.fixture
def boats(service: Service) -> Service:
    assert service.put("/v1/collections/boats", {"embed": {}}).status_code == 201
    assert service.post("/v1/collections/boats/documents", {"documents": BOATS}).status_code == 200
    return service


@pytest.fixture
def place(tmp_path: Path, run: Run) -> Path:
    file = tmp_path / "boats.jsonl"
    file.write_text("".join(f"{json.dumps(boat)}\n" for boat in BOATS))
    assert run("add", "boats", file, "--db", tmp_path / "db").exit_code == 0
    return tmp_path / "db"


def test_questions_over_http(boats: Service) -> None:
    """Figures, groups and dates of leaves, with every citation borne out."""
    for question, values in QUESTIONS:
        answer = boats.post("/v1/ask", {"question": question}).json()
        assert (question, answer["answer"]["values"]) == (question, pytest.approx(values) if values == [2] else values)
        assert answer["citations"]
        assert not [warning for warning in answer["warnings"] if "citation" in warning["code"]]


def test_questions_on_the_command_line(place: Path, run: Run) -> None:
    """The same answers in this process; explaining and validating a plan name its leaves."""
    for question, values in QUESTIONS:
        answer = json.loads(run("ask", question, "--db", place, "--planner", "rules", "--json").stdout)
        assert (question, answer["answer"]["values"]) == (question, values)
    explained = run("plan", QUESTIONS[2][0], "--db", place, "--planner", "rules", "--explain")
    assert "harbour.fee" in explained.stdout
    file = place.parent / "plan.json"
    file.write_text(run("plan", QUESTIONS[2][0], "--db", place, "--planner", "rules").stdout)
    assert run("validate", file, "--db", place).exit_code == 0
    file.write_text(file.read_text().replace("harbour.fee", "harbour.free"))
    refused = run("validate", file, "--db", place)
    assert (refused.exit_code, "harbour.fee" in refused.stderr) == (1, True)


def test_other_ways_to_read_know_leaves_too(boats: Service) -> None:
    """Facets, statistics, SQL and JQL give what questions do."""
    facets = boats.post("/v1/collections/boats/facets", {"facets": {"t": {"by": ["harbour.town"]}}}).json()
    assert [group["count"] for group in facets["facets"]["t"]["groups"]] == [4, 4, 4]
    query = 'SELECT "harbour.town" AS town, avg("harbour.fee") AS fee FROM boats GROUP BY 1 ORDER BY 2 DESC'
    assert boats.post("/v1/sql", {"sql": query}).json()["rows"] == QUESTIONS[2][1]
    figures = boats.get("/v1/collections/boats/statistics").json()["fields"]
    assert (figures["harbour.fee"]["min"], figures["harbour.town"]["distinct"]) == (10.5, 3)
    jql = {
        "find": "boats",
        "fields": ["harbour.town"],
        "filter": {"harbour.fee": {"$gt": 20}},
        "sort": {"harbour.fee": -1},
    }
    answer = boats.post("/v1/query", {"language": "jql", "query": jql}).json()
    assert answer["rows"] == [["b11", "Graz"], ["b10", "Turin"]]
    lql = "SELECT harbour.town, AVG(harbour.fee) AS fee FROM boats GROUP BY harbour.town ORDER BY fee DESC"
    assert boats.post("/v1/query", {"language": "lql", "query": lql}).json()["rows"] == QUESTIONS[2][1]


def test_leaves_are_described_over_http(boats: Service) -> None:
    """By their paths; the schema that is read can be declared again."""
    said = {"fields": {"harbour.fee": {"synonyms": ["toll"]}}}
    assert boats.request("PATCH", "/v1/collections/boats", json=said).status_code == 200
    schema = boats.get("/v1/collections/boats").json()["schema"]
    assert schema["fields"]["harbour"]["leaves"] == {"fee": {"synonyms": ["toll"]}}
    assert boats.put("/v1/collections/again", {"fields": {"harbour": schema["fields"]["harbour"]}}).status_code == 201
    answer = boats.post("/v1/ask", {"question": "total toll in Oslo", "collections": ["boats"]}).json()
    assert answer["answer"]["values"] == [sum(boat["harbour"]["fee"] for boat in OSLO)]
    assert boats.request("PATCH", "/v1/collections/boats", json={"fields": {"berths.fee": {}}}).status_code == 422


def test_parts_of_objects_are_selected_and_grouped_by(boats: Service) -> None:
    """What stands at a path, within its objects; groups of leaves; no groups of moments, which filters read as text."""
    path = "/v1/collections/boats/search"
    asked = {"query": "heron", "mode": "keyword", "limit": 1, "select": ["title", "harbour.town", "harbour.nothing.x"]}
    hit = boats.post(path, asked).json()["hits"][0]
    assert hit["document"].keys() == {"id", "title", "harbour"}
    assert hit["document"]["harbour"].keys() == {"town"}
    groups = {"query": "heron otter gull", "mode": "keyword", "group_by": {"field": "harbour.town", "size": 2}}
    found = boats.post(path, groups).json()
    assert sorted((group["value"], len(group["ids"])) for group in found["groups"]) == [
        ("Graz", 2),
        ("Oslo", 2),
        ("Turin", 2),
    ]
    towns = {boat["id"]: boat["harbour"]["town"] for boat in BOATS}
    assert all(towns[id_] == group["value"] for group in found["groups"] for id_ in group["ids"])
    refused = boats.post(path, {**groups, "group_by": {"field": "harbour.opened"}})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/group_by/field")
