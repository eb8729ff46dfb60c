"""Commands that look after a whole database: what they print, and with which exit code."""

from __future__ import annotations

import errno
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import engine
import lumaai
from lumaai.cli import output
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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A database of three films, closed."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        database.create_collection("films").add(FILMS)
    return tmp_path / "data"


@pytest.fixture
def url(data: Path, tmp_path: Path) -> Iterator[str]:
    """The same database, served."""
    with lumaai.Database(data, default_model="hashing") as database, served(database, tmp_path) as address:
        yield address


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_snapshots_are_made_listed_saved_and_deleted(run: Run, data: Path) -> None:
    """Of a directory: each command says in a line what it did."""
    assert run("snapshot", "list").stdout.startswith("no snapshots yet")
    assert done(run("snapshot", "create", "one")).startswith("made snapshot one (sequence 1, ")
    listed = done(run("snapshot", "list"))
    assert re.fullmatch(r"one  20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ  sequence 1  [\d.]+ kB\n", listed)
    assert json.loads(done(run("snapshot", "list", "--json")))[0]["name"] == "one"
    assert done(run("snapshot", "save", "one", "one.tar")).startswith("saved one as one.tar (")
    with tarfile.open("one.tar") as tar:
        assert "archive.json" in tar.getnames()
    assert run("snapshot", "delete", "one").exit_code == 2  # nobody can be asked
    assert done(run("snapshot", "delete", "one", "--yes")) == "deleted snapshot one\n"
    assert (data / "snapshots").is_dir()
    assert run("snapshot", "create", "../one").exit_code == 1


def test_a_snapshot_is_restored_into_a_new_directory(run: Run, data: Path) -> None:
    """From a tar, and from the name of a snapshot that lies with the data; over a database only when told."""
    run("snapshot", "create", "one")
    run("snapshot", "save", "one", "one.tar")
    assert done(run("restore", "one.tar", "new")).endswith(" into new\n")
    assert done(run("count", "films", "--db", "new")) == "3\n"
    run("delete", "films", "1")
    refused = run("restore", "one", data)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert done(run("count", "films")) == "2\n"
    assert run("restore", "one", data, "--replace").exit_code == 2  # nobody can be asked
    assert done(run("count", "films")) == "2\n"
    done(run("restore", "one", data, "--replace", "--yes"))
    assert done(run("count", "films")) == "3\n"
    assert run("restore", "missing.tar", "other").exit_code == 1
    assert not Path("other").exists()
    assert run("restore", "one.tar").exit_code == 2


def test_checking_says_what_was_read_and_what_is_wrong(run: Run, data: Path) -> None:
    """Exit code 1 while something is wrong; repaired, the next check finds nothing."""
    assert done(run("optimize", "films"))
    assert "3 documents, 3 rows: nothing wrong" in done(run("check"))
    file = max((data / "indexes").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    with lumaai.Database(data, default_model="hashing") as database:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
        report = database.check(repair=False)
    assert not report.is_sound
    run("check")  # opening has repaired it already, or this has
    assert "nothing wrong" in done(run("check"))
    assert json.loads(done(run("check", "--json")))["problems"] == []


def test_what_cannot_be_read_is_printed_with_its_ids(run: Run, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """Problem by problem; exit code 1."""
    lost = lumaai.CheckProblem("store/000012.sst", "films", "block cannot be read", False, ("1", "3"))
    mended = lumaai.CheckProblem("", None, "mark is missing", True)
    report = lumaai.CheckReport(9, 3, 3, (lost, mended))
    monkeypatch.setattr(lumaai.Database, "check", lambda *_, **__: report)
    result = run("check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "damaged  store/000012.sst (films): block cannot be read",
        "          lost: 1 3",
        "repaired  indexes: mark is missing",
        "checked 9 files, 3 documents, 3 rows: 2 problems",
    ]
    assert data.is_dir()


@pytest.mark.parametrize("command", ["compact", "purge"])
def test_disk_is_given_back(run: Run, data: Path, command: str) -> None:
    """Bytes before and after, and that snapshots still hold what they held."""
    run("delete", "films", "1")
    run("snapshot", "create", "one")
    result = run(command)
    assert done(result).startswith(f"{command}{'ed' if command == 'compact' else 'd'}: ")
    assert "snapshots still hold what they held: one" in result.stderr
    assert json.loads(done(run(command, "--json")))["disk_bytes_after"] > 0
    assert data.is_dir()


def test_changes_are_printed_line_by_line(run: Run, data: Path) -> None:
    """One JSON object a write, from where it is told on."""
    run("delete", "films", "1")
    lines = [json.loads(line) for line in done(run("changes")).splitlines()]
    assert [(line["sequence"], line["deleted"]) for line in lines] == [(1, []), (2, ["1"])]
    assert len(done(run("changes", "films", "--from", "1")).splitlines()) == 1
    assert len(done(run("changes", "--limit", "1")).splitlines()) == 1
    gone = run("changes", "--from", "99")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "99" in gone.stderr
    assert data.is_dir()


def test_figures_are_printed_as_a_table_or_as_json(run: Run, data: Path) -> None:
    """Of the database, with its memory account, or of a collection; bytes as sizes."""
    table = done(run("stats"))
    assert "memory.block_cache_bytes" in table
    assert any(line.startswith("disk_bytes") and line.endswith(("kB", "MB")) for line in table.splitlines())
    assert json.loads(done(run("stats", "--json")))["collections"] == 1
    figures = [line.split() for line in done(run("stats", "films")).splitlines()]
    assert ["documents", "3"] in figures
    assert ["text.dirty", "no"] in figures or ["text.open", "no"] in figures
    assert data.is_dir()


def test_all_of_it_works_on_a_service(run: Run, url: str) -> None:
    """The same commands with --url."""
    assert done(run("snapshot", "create", "one", "--url", url)).startswith("made snapshot one ")
    assert done(run("snapshot", "list", "--url", url)).startswith("one  20")
    done(run("delete", "films", "1", "--url", url))
    assert done(run("check", "--url", url)).endswith(": nothing wrong\n")
    assert done(run("compact", "--url", url)).startswith("compacted: ")
    assert len(done(run("changes", "--url", url)).splitlines()) == 2
    assert run("restore", "one", "--url", url).exit_code == 2
    assert done(run("restore", "one", "--url", url, "--yes")).startswith("restored one ")
    assert done(run("count", "films", "--url", url)) == "3\n"
    assert done(run("snapshot", "save", "one", "saved.tar", "--url", url)).startswith("saved one as saved.tar")
    assert done(run("restore", "saved.tar", "new"))
    assert "memory" in done(run("stats", "--url", url))
    assert done(run("purge", "--url", url)).startswith("purged: ")
    assert done(run("snapshot", "delete", "one", "--yes", "--url", url))


def test_reading_commands_work_beside_the_owner(run: Run, data: Path) -> None:
    """While another process (here: this one) has the directory open; writing ones are refused."""
    with lumaai.Database(data, default_model="hashing") as owner:
        owner.create_snapshot("one")
        assert done(run("count", "films")) == "3\n"
        assert done(run("snapshot", "list")).startswith("one ")
        assert len(done(run("changes")).splitlines()) == 1
        for command in (["check"], ["compact"], ["snapshot", "create"], ["delete", "films", "1"]):
            refused = run(*command)
            assert refused.exit_code == 1
            assert "in use" in refused.stderr


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes_are_printed_in_the_unit_that_fits(count: int, shown: str) -> None:
    """Of 1,000 bytes each."""
    assert output.size(count) == shown


@pytest.mark.parametrize("arguments", [["--memory", "much"], ["--durability", "fsync"], ["--memory", "5"]])
def test_serve_refuses_malformed_settings(run: Run, arguments: list[str]) -> None:
    """Exit code 2, in a line."""
    result = run("serve", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["create", "list", "save", "delete"])
def test_every_snapshot_command_has_help(run: Run, command: str) -> None:
    """That says what it is for."""
    assert len(done(run("snapshot", command, "--help")).splitlines()) > 5


def test_changes_begin_where_the_log_does(run: Run, data: Path) -> None:
    """Without options; what is asked for and gone is refused, naming from where on there is any."""
    done(run("purge"))
    done(run("delete", "films", "1"))
    result = run("changes")
    assert [json.loads(line)["deleted"] for line in done(result).splitlines()] == [["1"]]
    assert "changes are kept from sequence" in result.stderr
    assert run("changes", "--from", "0").exit_code == 1
    assert data.is_dir()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_what_only_reads_does_with_a_directory_that_cannot_be_written(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What writes says why it cannot."""
    real = engine.Database.open

    def open_(path: Path, *, read_only: bool = False, **options: Any) -> engine.Database:
        if not read_only:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, read_only=True, **options)

    monkeypatch.setattr(engine.Database, "open", staticmethod(open_))
    assert done(run("count", "films")) == "3\n"
    refused = run("delete", "films", "1")
    assert refused.exit_code == 1
    assert os.strerror(number) in refused.stderr
    assert data.is_dir()


def test_a_database_in_use_says_what_to_do(run: Run, data: Path) -> None:
    """Whoever has it open may be a service."""
    with lumaai.Database(data, default_model="hashing"):
        refused = run("delete", "films", "1")
    assert refused.exit_code == 1
    assert "--url of the service" in refused.stderr


def test_a_damaged_collection_is_listed(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is wrong in place of its size; it can be dropped."""
    infos = [lumaai.CollectionInfo("films", 0, 0, {}, damaged="collection is damaged: block")]
    monkeypatch.setattr(lumaai.Database, "infos", lambda *_: infos)
    assert done(run("collections")) == "films  collection is damaged: block\n"
    assert done(run("drop", "films", "--yes")) == "removed films (documents that cannot be read)\n"
    monkeypatch.undo()
    assert not list(data.glob("indexes/*/*"))
