"""The figures of a running service, worked out by hand from what it was asked to do."""

from __future__ import annotations

import json
from pathlib import Path

from lumaai.database import Database
from lumaai.figures import figures
from lumaai.limits import Lane
from lumaai.turns import Turns
from models import ScriptedLLM
from tests.lumaai.films import FILMS


def found(database: Database, lanes: list[Lane] | None = None) -> dict[tuple[str, str], float]:
    """Value by name and labels."""
    return {
        (name, json.dumps(labels)): value for name, _, labels, value in figures(database, lanes or [], Turns("search"))
    }


def test_collections_have_documents_segments_and_builds(tmp_path: Path) -> None:
    """Three documents with a vector each, one deleted, sealed once; dead ones count until they are left out."""
    with Database(tmp_path, default_model="hashing:16") as database:
        films = database.create_collection("films")
        films.add(FILMS)
        before = found(database)
        assert before["lumaai_documents", '{"collection": "films"}'] == 3
        assert before["lumaai_segments", '{"collection": "films"}'] == 0
        assert before["lumaai_rows", '{"collection": "films"}'] == 3
        films.optimize(wait=True)
        films.delete(ids=["1"])
        after = found(database)
        assert after["lumaai_documents", '{"collection": "films"}'] == 2
        assert after["lumaai_segments", '{"collection": "films"}'] == 1
        assert after["lumaai_deleted_documents", '{"collection": "films"}'] == 1
        assert after["lumaai_segment_builds_total", '{"collection": "films", "kind": "seal"}'] == 1
        assert after["lumaai_segment_builds_total", '{"collection": "films", "kind": "merge"}'] == 0
        assert after["lumaai_segment_build_seconds_total", '{"collection": "films", "kind": "seal"}'] >= 0
        assert after["lumaai_sequence", "{}"] == 2


def test_answers_are_counted_with_what_the_language_model_read(tmp_path: Path) -> None:
    """By planner and band; a plan of the rules costs nothing, one that a model wrote what it says."""
    with Database(tmp_path, default_model="hashing:16") as database:
        database.create_collection("films", embed={}).add(FILMS)
        plan = dict(database.ask("how many films are there?").plan)
        assert found(database)["lumaai_llm_calls_total", "{}"] == 0
    reply = {"steps": plan["steps"], "output": plan["output"]}
    llm = ScriptedLLM([reply] * 4)
    with Database(tmp_path, default_model="hashing:16", llm=llm) as database:
        answer = database.ask("how many films are there?", planner="llm")
        spent = answer.usage["llm"]
        assert spent["calls"] > 0
        seen = found(database)
        assert seen["lumaai_llm_calls_total", "{}"] == spent["calls"]
        assert seen["lumaai_llm_tokens_total", '{"direction": "in"}'] == spent["tokens_in"]
        assert sum(value for (name, _), value in seen.items() if name == "lumaai_answers_total") == 1


def test_lanes_show_what_waits_and_what_was_refused() -> None:
    """One thread, three pieces of work taken: one runs, two wait."""
    lane = Lane("search", threads=1, queue_max=4)
    lane._taken, lane.refused, lane.done, lane.seconds = 3, 7, 5, 0.5
    with_lane = {name: value for name, _, labels, value in _of(lane) if labels == {"lane": "search"}}
    assert with_lane == {
        "lumaai_lane_work": 3, "lumaai_lane_waiting": 2, "lumaai_lane_capacity": 5, "lumaai_lane_wait_seconds": 1.5,
        "lumaai_lane_work_done_total": 5, "lumaai_lane_refused_total": 7,
    }  # fmt: skip


def _of(lane: Lane) -> list[tuple[str, str, dict[str, str], float]]:
    from lumaai.figures import _of_lane

    return list(_of_lane(lane))
