"""A process that is killed while a collection changes its model: the old one stays, whole, and the work goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lumaai.database import Database

DOCUMENTS = 600
SCRIPT = """
import sys
from lumaai.database import Database
with Database(sys.argv[1], default_model="hashing:64") as database:
    films = database.create_collection("films", exist_ok=True)
    films.add([{"id": f"d{i}", "text": f"number {i}"} for i in range(600)])
    database.reembed("films", "hashing:256")
"""


@pytest.mark.parametrize(
    "point", ["write.after_pieces:kill@2", "write.after_pieces:kill@4", "exchange.before_batch:kill"]
)
def test_a_kill_leaves_the_old_model(tmp_path: Path, point: str) -> None:
    """All documents are there and found; the same call goes on, and nothing hidden is left."""
    environment = {**os.environ, "LUMAAI_FAILPOINTS": point}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "data")], env=environment, capture_output=True, check=False
    )
    assert run.returncode == -9, run.stderr.decode()
    with Database(tmp_path / "data", default_model="hashing:64") as database:
        films = database["films"]
        assert films.count() == DOCUMENTS
        assert films.info().schema["fields"]["vector"]["dim"] == 64
        state = database.reembedding("films")
        assert state is not None
        assert state.state == "interrupted"
        assert database.collections() == ["films"]
        assert database.reembed("films", "hashing:256").documents == DOCUMENTS
        assert films.info().schema["fields"]["vector"]["dim"] == 256
        assert films.search("number 77", limit=1)[0].id == "d77"
    with Database(tmp_path / "data", default_model="hashing:64") as database:
        assert database._native.hidden_collections() == []
        assert database.check(repair=False).problems == ()
