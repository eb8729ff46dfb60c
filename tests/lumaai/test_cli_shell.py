"""`lumaai shell` as somebody types into it, and completion by a shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import lumaai
from lumaai.cli.commands import app
from lumaai.cli.shell import with_history


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LUMAAI_MODEL", "hashing")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with lumaai.Database(tmp_path / "db", default_model="hashing") as database:
        films = database.create_collection("films")
        films.add(
            [
                {"id": "1", "title": "Alien", "year": 1979, "plot": "A crew meets a creature in space."},
                {"id": "2", "title": "Heat", "year": 1995, "plot": "A detective hunts bank robbers."},
                {"id": "3", "title": "Brazil", "year": 1985, "plot": "A clerk dreams of escape."},
            ]
        )
    return str(tmp_path / "db")


def typed(place: str, *lines: str | bytes, options: tuple[str, ...] = (), code: int = 0) -> Result:
    given = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    result = CliRunner().invoke(app, ["shell", "--db", place, *options], input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_queries_take_several_lines(place: str) -> None:
    """Until the semicolon; at the end of a pipe without one."""
    told = typed(
        place, "SELECT title", "FROM films WHERE year > 1990;", "SELECT count(*) AS n FROM films", options=("-f", "csv")
    )
    assert told.stdout.splitlines() == ["title", "Heat", "n", "3"]  # no prompts: it can be piped on
    assert told.stderr == ""


def test_questions_go_on_from_the_one_before(place: str) -> None:
    """In one conversation, until the command new."""
    told = typed(
        place, "\\ask", "How many films are there after 1980?", "and after 1990?", "\\q", options=("-f", "json")
    )
    answers = [json.loads(line) for line in told.stdout.splitlines() if '"answer"' in line]
    assert [answer["answer"]["values"] for answer in answers] == [[2], [1]]


def test_searches_of_a_collection(place: str) -> None:
    """By words, under a filter, in another form; one search without changing over."""
    told = typed(
        place, "\\search films", "\\mode keyword", "robbers", "\\filter year < 1990", "robbers",
        "\\filter", "\\format json", "clerk", "\\sql", "\\search films creature",
    )  # fmt: skip
    assert "2  Heat" in told.stdout
    assert "0 hits" in told.stdout
    found = [json.loads(line) for line in told.stdout.splitlines() if '"hits"' in line]
    assert [[hit["id"] for hit in each["hits"]] for each in found] == [["3"], ["1"]]


def test_what_there_is(place: str) -> None:
    """The collections with their sizes, the fields of one."""
    told = typed(place, "\\d", "\\d films").stdout
    assert "films       3          " in told
    assert "BIGINT" in told


def test_faults_do_not_end_it(place: str) -> None:
    """A bad query, a collection that is not there, a command that is none; whoever piped it in sees it by the code."""
    limits = "\\limit 0", "\\limit 1000001", f"\\limit {'9' * 5_000}", "\\limit ²"
    told = typed(
        place, "SELEC;", "\\search nothing", "\\nonsense", *limits, "\\timing", "SELECT 42 AS n;", "\\q", code=1
    )  # fmt: skip
    assert told.stderr.count("lumaai: ") == 7
    assert "42" in told.stdout
    assert "ms in all" in told.stderr


def test_what_is_no_text_is_refused_and_the_rest_goes_on(place: str) -> None:
    """Bytes that are no UTF-8, as a query, a question and words to search for."""
    told = typed(
        place, b"SELECT '\xff';", b"\\ask \xff\xfe?", b"\\search films \xff", b"\\d \xff", "SELECT 42 AS n;", code=1
    )  # fmt: skip
    assert told.stderr.count("lumaai: ") == 4
    assert "42" in told.stdout


def test_a_dot_may_begin_what_is_looked_for(place: str) -> None:
    """It begins a command among queries only."""
    told = typed(place, "\\search films", ".NET creature", "\\sql", ".nonsense", code=1)
    assert "1  Alien" in told.stdout
    assert told.stderr.count("no such command") == 1


def test_without_a_place_for_its_history(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It works all the same, and says so where somebody types."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with_history(lambda _text, _state: None)
    assert "no history is kept" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands(tmp_path: Path) -> None:
    """The script that `lumaai completion bash` prints, run by bash, asking the real program."""
    script = CliRunner().invoke(app, ["completion", "bash"]).stdout
    program = tmp_path / "lumaai"
    # As pip writes it: what it is called decides which variable it looks at.
    program.write_text(f"#!{sys.executable}\nfrom lumaai.cli import main\nmain()\n")
    program.chmod(0o755)
    asked = f'{script}\nCOMP_WORDS=(lumaai snap); COMP_CWORD=1; _lumaai_completion lumaai; echo "${{COMPREPLY[@]}}"'
    root = str(Path(lumaai.__file__).parents[1])
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": root}
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.split() == ["snapshot"], done.stderr
