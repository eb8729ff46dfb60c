"""The command line: what is printed, where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import lumaai
from lumaai.cli import output
from lumaai.demo.service import free_port
from lumaai.progress import DocumentProgress
from lumaai.results import Hit
from tests.lumaai.conftest import Run

FILMS = [
    {"id": "1", "title": "Metropolis", "year": 1927, "plot": "A robot replaces a worker in a city of the future."},
    {"id": "2", "title": "Alien", "year": 1979, "plot": "A deadly creature comes aboard a freighter in space."},
    {"id": "3", "title": "Stalker", "year": 1979, "plot": "A guide leads two men to a room that grants wishes."},
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the caller's; a model that needs no weights; an empty working directory."""
    for name in [name for name in os.environ if name.startswith("LUMAAI_")]:
        monkeypatch.delenv(name)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LUMAAI_MODEL", "hashing")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    path = tmp_path / "films.jsonl"
    path.write_text("".join(json.dumps(film) + "\n" for film in FILMS))
    return path


@pytest.fixture
def filled(run: Run, films: Path) -> Run:
    assert run("add", "films", films).exit_code == 0
    return run


def failed(result: Result, *parts: str, code: int = 1) -> None:
    """One clear line on stderr and nothing on stdout."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    for part in parts:
        assert part in result.stderr


def test_adding_says_what_became_of_the_documents(run: Run, films: Path) -> None:
    """Added, then unchanged, then one replaced; the database is ./data."""
    assert "3 added, 0 replaced, 0 unchanged, 0 failed" in run("add", "films", films).stdout
    assert "0 added, 0 replaced, 3 unchanged, 0 failed" in run("add", "films", films).stdout
    films.write_text(json.dumps({**FILMS[0], "year": 1928}) + "\n")
    assert "0 added, 1 replaced, 0 unchanged, 0 failed" in run("add", "films", films).stdout
    assert Path("data").is_dir()


def test_a_bad_line_is_reported_and_the_others_go_in(run: Run, films: Path) -> None:
    """By file, number and reason, with exit code 1."""
    films.write_text(films.read_text() + '{"id": "4", \n[1]\n' + json.dumps({"id": "5", "title": "last"}) + "\n")
    result = run("add", "films", films)
    assert result.exit_code == 1
    assert f"{films}:4: " in result.stderr
    assert f"{films}:5: expected an object: got=array" in result.stderr
    assert "4 added, 0 replaced, 0 unchanged, 2 failed" in result.stdout
    assert run("count", "films").stdout == "4\n"


def test_documents_come_through_a_pipe(run: Run, films: Path) -> None:
    """JSONL from standard input, also beside files; a bad line is named by its number; nothing is left behind."""
    more = json.dumps({"id": "9", "title": "from a pipe"}) + "\noops\n"
    result = run("add", "films", "-", films, standard_input=more)
    assert result.exit_code == 1
    assert "stdin.jsonl:2: malformed JSON" in result.stderr
    assert "4 added, 0 replaced, 0 unchanged, 1 failed" in result.stdout
    kept = Path(result.stderr.partition("lumaai: ")[2].partition("/stdin.jsonl")[0])
    assert not kept.exists()
    copied = run("add", "copies", "-", standard_input=run("scroll", "films").stdout)
    assert "4 added, 0 replaced, 0 unchanged, 0 failed" in copied.stdout


def test_strict_stops_at_the_first_bad_line(run: Run, films: Path) -> None:
    """Its batch does not go in, and a collection that would stay empty is not left behind."""
    films.write_text(films.read_text() + "oops\n")
    stopped = f"lumaai: {films}: stopped at line 4: malformed JSON: "
    failed(run("add", "films", films, "--strict"), stopped, "; 0 documents had gone in before\n")
    assert "no collections yet" in run("collections").stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.jsonl", "no such file"),
        ("missing", "missing: no such file"),
        ("films.xml", "suffix '.xml'"),
        (".", "suffix"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(run: Run, name: str, reason: str) -> None:
    """With the reason; no empty collection is left behind, nor an empty database for a mistyped name."""
    Path("films.xml").write_text("<films/>")
    result = run("add", "films", name)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert name in result.stderr
    if name == "films.xml":
        assert "no collections yet" in run("collections").stdout
    else:
        assert not Path("data").exists()


def test_a_missing_file_does_not_keep_others_out(run: Run, films: Path) -> None:
    """It is reported, the other goes in, and the exit code says that something failed."""
    result = run("add", "films", "missing.jsonl", films)
    assert result.exit_code == 1
    assert result.stderr == "embedding title, plot\nlumaai: cannot read missing.jsonl: no such file\n"
    assert "3 added, 0 replaced, 0 unchanged, 1 failed" in result.stdout


def test_text_markdown_and_csv_are_added(run: Run) -> None:
    """Each by its suffix, into one collection."""
    Path("a.csv").write_text("id,title,year\n1,Alien,1979\n")
    Path("b.txt").write_text("A note about robots.\n")
    Path("c.md").write_text("# Heading\n\nSome words.\n")
    assert run("add", "notes", "a.csv", "b.txt", "c.md").exit_code == 0
    assert run("count", "notes", "--filter", '{"year": 1979}').stdout == "1\n"
    assert run("count", "notes").stdout == "3\n"


def test_search_prints_ids_titles_scores_and_passages(filled: Run) -> None:
    """The best first; the time says what it holds."""
    lines = filled("search", "films", "a creature in space", "-n", "2").stdout.splitlines()
    assert lines[0].split() == ["1.", lines[0].split()[1], "2", "Alien"]
    assert "freighter in space" in lines[1]
    assert lines[-1].startswith("2 hits in ")
    assert lines[-1].endswith(" ms, loading the model included")


@pytest.mark.parametrize(
    ("document", "title"),
    [
        ({"genre": "horror", "Title": "Alien"}, "Alien"),
        ({"genre": "horror", "name": "Alien\n3"}, "Alien 3"),
        ({"name": "alien", "title": "Alien"}, "Alien"),
        ({"year": 1979, "plot": "p" * 61, "genre": "horror"}, "horror"),
        ({"title": "word " * 40}, ("word " * 11).strip() + " …"),
        ({"title": " ", "year": 1979}, ""),
        ({"name": "7"}, ""),
    ],
)
def test_a_hit_is_named_by_what_people_know_it_by(document: dict[str, Any], title: str) -> None:
    """Title or name, else the first short text that is not the id again."""
    assert output.title(Hit("7", 1.0, {"id": "7", **document})) == title


def test_the_first_add_says_what_is_embedded(run: Run, films: Path) -> None:
    """All text by default; what is asked for, or nothing; later adds say nothing of it."""
    assert run("add", "films", films).stderr == "embedding title, plot\n"
    assert run("add", "films", films).stderr == ""
    assert run("add", "plots", films, "--embed", "plot, title").stderr == "embedding plot, title\n"
    assert run("add", "plots", films, "--embed", "title,plot").exit_code == 0
    assert run("add", "rows", films, "--no-embed").stderr == "embedding nothing\n"
    assert run("count", "rows").stdout == "3\n"


def test_an_existing_collection_embeds_what_it_does(filled: Run, films: Path) -> None:
    """Asking for something else is refused, naming what it embeds."""
    failed(filled("add", "films", films, "--embed", "title"), "collection films is there and embeds title, plot")
    failed(filled("add", "films", films, "--no-embed"), "embeds title, plot")


def test_one_bad_cell_costs_one_row(run: Run) -> None:
    """In a column of numbers that is long enough to tell; a shorter one is kept as text, and says so."""
    rows = "".join(f"{i},Film {i},{1900 + i}\n" for i in range(30))
    Path("films.csv").write_text(f"id,title,year\n{rows}30,Last,unknown\n")
    result = run("add", "films", "films.csv")
    assert "30 added, 0 replaced, 0 unchanged, 1 failed" in result.stdout
    assert "films.csv:32: column 'year' has a value that is no integer: got='unknown' (30 of 31 rows" in result.stderr
    assert run("count", "films", "--filter", '{"year": {"$lt": 1910}}').stdout == "10\n"
    Path("few.csv").write_text("id,year\n1,1901\n2,1902\n3,unknown\n4,1903\n")
    result = run("add", "few", "few.csv")
    assert result.exit_code == 0
    note = "few.csv: column year holds 1 value that is no number ('unknown', line 4): kept as text"
    assert f"lumaai: {note}\n" in result.stderr


def test_interrupting_says_what_is_stored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first batch of two, and the second run stores the rest."""
    lines = [json.dumps({"id": str(i), "title": f"Film {i}"}) for i in range(300)]
    Path("many.jsonl").write_text("\n".join(lines))
    with monkeypatch.context() as patched:
        patched.setattr(DocumentProgress, "at", lambda *_: signal.raise_signal(signal.SIGINT))
        result = run("add", "films", "many.jsonl")
    failed(result, "interrupted: 256 documents of these files are stored; running it again goes on", code=130)
    assert "44 added, 0 replaced, 256 unchanged, 0 failed" in run("add", "films", "many.jsonl").stdout


def test_search_takes_words_examples_and_options(filled: Run) -> None:
    """By words, like one document and unlike another, anything else as JSON; `--explain` says what ran."""

    def found(*arguments: str) -> list[str]:
        return [hit["id"] for hit in json.loads(filled("search", "films", *arguments, "--json").stdout)["hits"]]

    everything = found("--like", "2", "--unlike", "1", "-n", "100")
    assert "2" not in everything
    assert found("--like", "2", "--unlike", "1", "-n", "2", "--offset", "1") == everything[1:3]
    assert "2" in found("creature", "--mode", "keyword")
    assert set(found("creature", "--mode", "hybrid", "--options", '{"fusion": {"weights": {"semantic": 0}}}')) == set(
        found("creature", "--mode", "keyword")
    )
    explained = filled("search", "films", "creature", "--mode", "hybrid", "--explain").stdout
    for figure in ("semantic", "parts.0.rows", "parts.0.allowed", "parts.0.how", "parts.0.why", "fusion", "dbsf"):
        assert figure in explained
    failed(filled("search", "films", "x", "--options", "[1]"), "not a JSON object", code=2)
    failed(filled("search", "films", "x", "--options", '{"lmit": 3}'), "lmit", code=2)
    failed(filled("search", "films", "x", "--mode", "magic"), "mode must be")


def test_recall_prints_a_table(filled: Run) -> None:
    """The default parameters first, comparing with everything last."""
    lines = filled("recall", "films", "--queries", "3").stdout.splitlines()
    assert lines[0].split() == ["parameters", "recall@10", "ms", "p50", "ms", "p99"]
    assert lines[1].startswith("(default)")
    assert lines[-1].startswith("exact=True")
    assert json.loads(filled("recall", "films", "--queries", "3", "--json").stdout)["exact"]["recall"] == 1.0


def test_search_prints_json_for_other_programs(filled: Run) -> None:
    """One line in the shape of the HTTP API, filtered."""
    result = filled("search", "films", "wishes", "--json", "--filter", '{"year": 1979}')
    answer = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert sorted(hit["id"] for hit in answer["hits"]) == ["2", "3"]
    assert answer["hits"][0]["document"]["year"] == 1979


def test_ask_prints_the_answer_and_its_evidence(filled: Run) -> None:
    """The figure, the steps and the planner; all of it as JSON on demand."""
    result = filled("ask", "How many films are there?")
    assert "3" in result.stdout.splitlines()[0]
    assert "planner    rules" in result.stdout
    data = json.loads(filled("ask", "How many films are there?", "-c", "films", "--json").stdout)
    assert data["answer"]["values"] == [3]


def test_documents_are_read_counted_and_deleted(filled: Run) -> None:
    """`get`, `count` and `delete`, dry and wet."""
    assert json.loads(filled("get", "films", "2").stdout) == FILMS[1]
    assert filled("count", "films", "--filter", '{"year": {"$lt": 1950}}').stdout == "1\n"
    assert filled("delete", "films", "--filter", '{"year": 1979}', "--dry-run").stdout == "would delete 2 documents\n"
    assert filled("delete", "films", "1").stdout == "deleted 1 document\n"
    assert filled("count", "films").stdout == "2\n"


def test_a_missing_document_is_a_failure(filled: Run) -> None:
    """What is there is printed, what is not is named, exit code 1."""
    result = filled("get", "films", "2", "9")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["id"] == "2"
    assert "no document 9 in films" in result.stderr


def test_collections_are_listed_described_optimized_and_dropped(filled: Run) -> None:
    """As text and as JSON; dropping asks, or wants --yes where nobody can be asked."""
    assert filled("collections").stdout == "films  3 documents\n"
    assert json.loads(filled("collections", "--json").stdout)[0]["documents"] == 3
    assert json.loads(filled("stats", "films", "--json").stdout)["documents"] == 3
    assert filled("optimize", "films").stdout == "optimized films (3 documents)\n"
    failed(filled("drop", "films"), "--yes", code=2)
    assert filled("drop", "films", "--yes").stdout == "removed films (3 documents)\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "novels", "x"],
        ["count", "novels"],
        ["get", "novels", "1"],
        ["delete", "novels", "1"],
        ["drop", "novels", "--yes"],
        ["stats", "novels"],
        ["optimize", "novels"],
        ["ask", "How many?", "-c", "novels"],
    ],
)
def test_an_unknown_collection_is_named(filled: Run, arguments: Sequence[str]) -> None:
    """One line, exit code 1."""
    result = filled(*arguments)
    failed(result, "novels")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "films"],
        ["search", "films", "x", "--limit", "0"],
        ["search", "films", "x", "--filter", "{"],
        ["count", "films", "--db", "data", "--url", "http://127.0.0.1:1"],
        ["count", "films", "--url", "127.0.0.1:8000"],
        ["delete", "films"],
        ["delete", "films", "1", "--filter", "{}"],
        ["no-such-command"],
        ["add", "films"],
        ["add", "films", "films.jsonl", "--embed", "title,"],
        ["add", "films", "films.jsonl", "--embed", "title", "--no-embed"],
    ],
)
def test_wrong_usage_has_exit_code_2(filled: Run, arguments: Sequence[str]) -> None:
    """And says so on stderr."""
    failed(filled(*arguments), code=2)


def test_a_bad_filter_is_explained(filled: Run) -> None:
    """By the operator that does not exist."""
    failed(filled("count", "films", "--filter", '{"year": {"$near": 3}}'), "$near")


def test_reading_makes_no_database(run: Run, tmp_path: Path) -> None:
    """A mistyped directory is an error and stays missing."""
    failed(run("count", "films", "--db", tmp_path / "typo"), "no database", "typo")
    assert not (tmp_path / "typo").exists()


def test_a_file_in_place_of_a_directory_is_an_error(run: Run, films: Path) -> None:
    """One line that names it, whether it is to be filled, read or served."""
    for arguments in (["add", "films", films], ["count", "films"]):
        failed(run(*arguments, "--db", films), f"{films} is a file, not a directory")
    failed(run("serve", "--data", films), f"{films} is a file, not a directory")


def test_a_directory_in_use_names_its_owner(run: Run, films: Path) -> None:
    """The process that has it open."""
    with lumaai.connect("data"):
        failed(run("add", "films", films), "in use", str(os.getpid()))


def test_a_service_that_is_down_is_named(run: Run) -> None:
    """By its address, with exit code 1."""
    url = f"http://127.0.0.1:{free_port()}"
    failed(run("collections", "--url", url), url)


def test_the_environment_names_the_target(run: Run, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LUMAAI_DATA for a directory; LUMAAI_URL comes before it, and --db before both."""
    monkeypatch.setenv("LUMAAI_DATA", "elsewhere")
    assert run("add", "films", films).exit_code == 0
    assert Path("elsewhere").is_dir()
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("LUMAAI_URL", url)
    failed(run("count", "films"), url)
    assert run("count", "films", "--db", "elsewhere").stdout == "3\n"


def lumaai_process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lumaai", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def service() -> Iterator[str]:
    """A real `lumaai serve`, stopped with SIGTERM; it must then exit with 0."""
    port = free_port()
    child = lumaai_process("serve", "--port", str(port), "--data", "served")
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    with lumaai.connect(url) as client:
        while True:
            try:
                client.collections()
                break
            except lumaai.ConnectionFailedError:
                assert child.poll() is None, child.communicate()
                assert time.monotonic() < deadline, "the service did not start"
    yield url
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors


def test_the_same_commands_work_over_http(run: Run, films: Path, service: str) -> None:
    """Add, search, ask and count through a service in another process."""
    assert "3 added" in run("add", "films", films, "--url", service).stdout
    answer = json.loads(run("search", "films", "creature", "--url", service, "--json").stdout)
    assert answer["hits"][0]["id"] == "2"
    assert "3" in run("ask", "How many films are there?", "--url", service).stdout
    assert run("count", "films", "--url", service).stdout == "3\n"
    assert run("search", "films", "creature", "--url", service).stdout.endswith(" ms\n")
    failed(run("count", "novels", "--url", service), "novels")
    failed(run("add", "films", films, "--db", "served"), "in use")
    assert run("count", "films", "--db", "served").stdout == "3\n"  # reading goes on beside the service


def test_a_wrong_key_names_where_it_is_read_from(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """$LUMAAI_API_KEY, whether it is missing or another one."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("LUMAAI_API_KEY", "right-key-of-the-service")
    child = lumaai_process("serve", "--port", str(port), "--data", "served")
    try:
        deadline = time.monotonic() + 30
        while run("collections", "--url", url).exit_code != 0:
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.1)
        monkeypatch.setenv("LUMAAI_API_KEY", "wrong")
        failed(run("collections", "--url", url), "(it is read from $LUMAAI_API_KEY, which is set to another one)")
        monkeypatch.delenv("LUMAAI_API_KEY")
        failed(run("collections", "--url", url), "(it is read from $LUMAAI_API_KEY, which is not set)")
    finally:
        child.terminate()
        child.communicate(timeout=30)


def test_serving_on_a_port_in_use_fails() -> None:
    """One line that names the port, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        child = lumaai_process("serve", "--port", str(port))
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 1
    assert str(port) in errors
    assert "Traceback" not in errors


def test_serving_to_others_without_a_key_is_refused() -> None:
    """Exit code 2, naming the way to give a key."""
    child = lumaai_process("serve", "--host", "0.0.0.0", "--port", str(free_port()))
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 2
    assert "LUMAAI_API_KEY" in errors


def test_the_version_is_printed() -> None:
    """By `python -m lumaai` as by `lumaai`."""
    child = lumaai_process("--version")
    output, _ = child.communicate(timeout=30)
    assert output == f"lumaai {lumaai.__version__}\n"


def test_help_teaches_and_loads_little() -> None:
    """Examples are shown as they are, and nothing heavy is imported for it."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom lumaai.cli.commands import app\n"
        "print(CliRunner().invoke(app, ['--help']).output)\n"
        "heavy = ('numpy', 'httpx', 'faiss', 'starlette', 'pydantic', 'engine')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert """lumaai search films robots --filter "year >= 1990 AND genre = 'drama'\"""" in output
    assert output.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_error(filled: Run) -> None:
    """`lumaai stats films | head -c 1`: no traceback."""
    child = lumaai_process("stats", "films")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    errors = child.stderr.read()
    child.stderr.close()
    child.wait(30)
    assert "Traceback" not in errors


def test_files_are_inserted_or_patched(run: Run, filled: Run, tmp_path: Path) -> None:
    """What is there is not replaced by an insert, and only changed by a patch; what a mode refuses is reported."""
    assert filled is not None
    file = tmp_path / "more.jsonl"
    before = json.loads(run("get", "films", "1").stdout)
    file.write_text('{"id": "1", "year": 1}\n{"id": "new", "title": "New"}\n')
    result = run("add", "films", file, "--insert", "--durability", "interval")
    assert (result.exit_code, result.stdout.split(": ")[0]) == (1, "1 added, 0 replaced, 0 unchanged, 1 failed")
    assert json.loads(run("get", "films", "1").stdout) == before
    file.write_text('{"id": "1", "year": 1}\n{"id": "newer", "title": "New"}\n')
    result = run("add", "films", file, "--patch")
    assert (result.exit_code, result.stdout.split(": ")[0]) == (1, "0 added, 1 replaced, 0 unchanged, 1 failed")
    assert json.loads(run("get", "films", "1").stdout) == {**before, "year": 1}
    failed(run("add", "films", file, "--patch", "--insert"), "not both", code=2)
    failed(run("add", "films", file, "--durability", "perhaps"), "durability")


STEERING = "\x1b]0;title\x07\x1b[2J\x9b31m\u202ered"


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "evil", "red", "--mode", "keyword"),
        ("search", "evil", "red", "--mode", "keyword", "--json"),
        ("sql", "SELECT title, plot FROM evil"),
        ("sql", "SELECT title, plot FROM evil", "--format", "json"),
        ("facets", "evil", "title"),
        ("get", "evil", "1"),
        ("scroll", "evil"),
        ("changes",),
        ("ask", "Which titles are there?"),
        ("ask", "Which titles are there?", "--format", "markdown"),
        ("count", STEERING),
    ],
)
def test_documents_do_not_steer_the_terminal(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Their control characters are shown, not sent; JSON stays the same JSON."""
    (tmp_path / "evil.jsonl").write_text(json.dumps({"id": "1", "title": STEERING, "plot": f"{STEERING} red"}))
    assert run("add", "evil", tmp_path / "evil.jsonl").exit_code == 0
    told = run(*arguments)
    assert not [letter for letter in told.output if letter in STEERING and not letter.isprintable()], told.output
    if arguments[0] in {"get", "scroll"}:
        assert json.loads(told.stdout)["title"] == STEERING
