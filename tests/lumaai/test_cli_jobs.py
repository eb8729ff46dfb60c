"""`lumaai jobs`, on a directory and on a service: what is printed, and with which exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import lumaai
from tests.congruence.conftest import served
from tests.lumaai.conftest import Run
from tests.lumaai.films import FILMS


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the caller's; a model that needs no weights; an empty working directory."""
    for name in [name for name in os.environ if name.startswith("LUMAAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LUMAAI_MODEL", "hashing")
    monkeypatch.chdir(tmp_path)
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        database.create_collection("films").add(FILMS)


def test_jobs_of_a_directory_are_waited_for(run: Run) -> None:
    """Started, listed and shown; what a kind lacks or has no use for is a wrong call."""
    assert "no jobs yet" in run("jobs", "list").stdout
    started = run("jobs", "start", "compact", "--json")
    assert started.exit_code == 0, started.output
    job = json.loads(started.stdout)
    assert (job["kind"], job["state"]) == ("compact", "done")
    assert job["id"] in run("jobs", "list").stdout
    shown = run("jobs", "show", job["id"])
    assert f"job {job['id']}: compact, done" in shown.stdout
    assert "disk_bytes_after" in shown.stdout
    for wrong in (["start", "optimize"], ["start", "compact", "films"], ["start", "reembed", "films"],
                  ["start", "compact", "--model", "m"], ["start", "dance"]):  # fmt: skip
        assert run("jobs", *wrong).exit_code == 2, wrong
    missing = run("jobs", "show", "0123456789abcdef")
    assert missing.exit_code == 1
    assert "no such job" in missing.output


def test_jobs_of_a_service_are_started_and_waited_for(run: Run, tmp_path: Path) -> None:
    """By its address; a job that failed is an error, one that has ended is not cancelled."""
    with (
        lumaai.Database(tmp_path / "data", default_model="hashing") as database,
        served(database, tmp_path) as url,
    ):
        started = run("jobs", "start", "delete", "films", "--filter", "year < 1980", "--url", url, "--json")
        assert started.exit_code == 0, started.output
        id_ = json.loads(started.stdout)["id"]
        waited = run("jobs", "wait", id_, "--url", url)
        assert waited.exit_code == 0, waited.output
        assert "delete of films, done" in waited.stdout
        assert "done" in run("jobs", "cancel", id_, "--url", url).stdout
        first = json.loads(run("jobs", "start", "snapshot", "--name", "a", "--url", url, "--json").stdout)["id"]
        assert run("jobs", "wait", first, "--url", url).exit_code == 0
        again = json.loads(run("jobs", "start", "snapshot", "--name", "a", "--url", url, "--json").stdout)["id"]
        failed = run("jobs", "wait", again, "--url", url)
        assert failed.exit_code == 1
        assert "exists already" in failed.output
