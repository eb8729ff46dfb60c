"""engine.directory.forking: children of a process with an open database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import Database

# The child tries everything, collects what it dropped, and ends as `ending` says; the parent goes on meanwhile, is
# killed at last, and a second process opens the directory while the child still lives.
FORK = """
import gc, json, os, signal, sys, time
import engine
path, ending = sys.argv[1:]
database = engine.Database.open(path)
collection = database.create_collection("c", engine.Schema())
collection.add([{"id": "1"}])
reader = engine.Database.open(path, read_only=True)
read_end, write_end = os.pipe()
child = os.fork()
if child == 0:
    told = []
    for use in (
        lambda: collection.add([{"id": "2"}]),
        lambda: collection.snapshot(),
        lambda: database.collections(),
        lambda: reader.refresh(),
        lambda: reader.collection("c").snapshot(),
    ):
        try:
            use()
            told.append("no error")
        except engine.EngineError as error:
            told.append(f"{type(error).__name__}: {error}")
    database.close()
    reader.close()
    del database, collection, reader
    gc.collect()
    os.write(write_end, json.dumps(told).encode())
    if ending == "outlives":
        time.sleep(30)
    if ending == "exit":
        sys.exit(3)
    os._exit(3)
os.close(write_end)
told = os.read(read_end, 100_000).decode()
if ending == "outlives":
    collection.add([{"id": "parent"}])
    print(json.dumps({"told": json.loads(told), "child": child}), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
collection.add([{"id": "parent"}])
reader.refresh()
counts = [collection.snapshot().count(), reader.collection("c").snapshot().count()]
reader.close()
database.close()
print(json.dumps({"told": json.loads(told), "status": status, "counts": counts}), flush=True)
"""


@pytest.mark.parametrize("ending", ["exit", "_exit"])
def test_a_child_may_not_use_it_and_harms_nothing(tmp_path: Path, ending: str) -> None:
    """Every use is an error that says why, at once; the child ends with its own status; the parent goes on."""
    command = [sys.executable, "-c", FORK, str(tmp_path / "db"), ending]
    process = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert process.returncode == 0, process.stderr.decode()
    answer = json.loads(process.stdout)
    assert answer["status"] == 3
    assert answer["counts"] == [2, 2]
    assert len(answer["told"]) == 5
    assert all("opened by the process that forked this one" in each for each in answer["told"])
    assert all(each.startswith("DatabaseClosedError") for each in answer["told"])


def test_a_child_does_not_hold_the_lock_of_a_dead_owner(tmp_path: Path) -> None:
    """The parent is killed while its child lives on: the directory can be opened at once."""
    import os
    import signal

    command = [sys.executable, "-c", FORK, str(tmp_path / "db"), "outlives"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        process.wait(timeout=30)
        try:
            with Database.open(tmp_path / "db") as database:
                assert database.collection("c").snapshot().count() == 2
        finally:
            os.kill(answer["child"], signal.SIGKILL)
