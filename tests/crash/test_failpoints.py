"""Every named point in the engine's code: die there, or be refused by the disk there, and lose nothing (P2, P4, P5)."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import ArchiveError, Database, restore_archive, verify_archive
from tests.crash.script import OPERATIONS, models, open_database, read, search_words

HIT = re.compile(r'failpoints\.hit\(\s*"([a-z_.]+)"')
ENGINE = Path(engine.__file__).parent
POINTS = sorted({name for file in ENGINE.rglob("*.py") for name in HIT.findall(file.read_text())})
NTH_MAX = 12  # of the long version: later passes of a point are like earlier ones
Lead = Callable[[Path, str], tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def lead() -> Iterator[Lead]:
    """Lead the life of `tests.crash.script` with failpoints armed: exit code and answer."""
    command = [sys.executable, "-m", "tests.crash.script"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ENGINE.parent
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        given, told = server.stdin, server.stdout

        def run(folder: Path, armed: str) -> tuple[int, dict[str, Any]]:
            print(json.dumps([str(folder), armed]), file=given, flush=True)
            code: int = json.loads(told.readline())
            file = folder / "answer.json"
            return code, json.loads(file.read_text()) if file.exists() else {}

        yield run
        given.close()


@pytest.fixture(scope="module")
def passes(lead: Lead, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often an undisturbed life passes each point."""
    code, answer = lead(tmp_path_factory.mktemp("count") / "life", "*:count")
    assert code == 0, answer.get("error")
    assert answer["failures"] == []
    assert answer["problems"] == []
    found: dict[str, int] = answer["hits"]
    return found


def test_every_point_is_passed(passes: dict[str, int]) -> None:
    """A point that the script never comes to would never be tested: give the script an operation that does."""
    assert sorted(set(POINTS) - passes.keys()) == []
    assert sorted(passes.keys() - set(POINTS)) == []


def check_after_death(folder: Path) -> None:
    """What was acknowledged is there, what was in flight is there in full or not at all, and all goes on."""
    entries = [json.loads(line) for line in (folder / "journal").read_text().splitlines()]
    done = sum("done" in entry for entry in entries)
    begun = sum("begin" in entry for entry in entries)
    expected = models()
    allowed = expected[done : begun + 1]
    with open_database(folder) as database:
        found = read(database)
        assert found in allowed, f"after {done} operations, in {OPERATIONS[begun - 1].name!r}"
        unfinished = [problem.what for problem in database.check().problems if not problem.repaired]
        assert unfinished == []
        for name in found:
            search_words(database, name)
        if "a" in found:
            database.collection("a").add([{"id": "goes on", "n": -1, "vector": [1.0, 2.0, 3.0]}])
            assert database.collection("a").snapshot().count() == len(found["a"]) + 1
    for name in ("copy", "copy.tar"):
        if (folder / name).exists():
            check_archive(folder, name, expected)
    if (folder / "elsewhere" / "lumaai.json").exists():
        with Database.open(folder / "elsewhere") as copy:
            assert read(copy) in expected
    assert {entry.name for entry in (folder / "db").iterdir()} <= KNOWN


KNOWN = {"lumaai.json", "lumaai.lock", "highwater.json", "highwater.counter", "store", "indexes"}


def check_archive(folder: Path, name: str, expected: list[Any]) -> None:
    """An archive that has its name is whole."""
    assert verify_archive(folder / name).files > 0
    restore_archive(folder / name, folder / f"again-{name}")
    with Database.open(folder / f"again-{name}") as copy:
        number = next(i for i, each in enumerate(OPERATIONS) if each.name == f"archive {name}")
        assert read(copy) == expected[number]


@pytest.mark.parametrize("point", POINTS)
def test_dying_at_the_first_pass_loses_nothing(lead: Lead, tmp_path: Path, point: str) -> None:
    """SIGKILL where the point is passed for the first time."""
    code, answer = lead(tmp_path / "life", f"{point}:kill@1")
    assert code == -signal.SIGKILL, answer
    check_after_death(tmp_path / "life")


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_dying_at_any_pass_loses_nothing(lead: Lead, passes: dict[str, int], tmp_path: Path, point: str) -> None:
    """The same at the second pass, the third, and so on."""
    for nth in range(2, min(passes[point], NTH_MAX) + 1):
        code, answer = lead(tmp_path / str(nth), f"{point}:kill@{nth}")
        assert code in (-signal.SIGKILL, 0), answer  # background work may pass it less often this time
        check_after_death(tmp_path / str(nth))


@pytest.mark.parametrize("action", ["error", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_refuses_once_is_an_error_and_no_loss(lead: Lead, tmp_path: Path, point: str, action: str) -> None:
    """The operation fails with an error of ours or succeeds; reads go on; it succeeds when the disk is well again."""
    code, answer = lead(tmp_path / "life", f"{point}:{action}@1")
    assert code == 0, answer.get("error")
    assert answer["problems"] == []
    assert len(answer["failures"]) <= 2
    check_after_death(tmp_path / "life")


def test_a_draft_of_an_archive_is_none(tmp_path: Path) -> None:
    """What an archive that was cut short leaves behind has another name, and is refused."""
    (tmp_path / "copy.partial").mkdir()
    with pytest.raises(ArchiveError):
        verify_archive(tmp_path / "copy.partial")
