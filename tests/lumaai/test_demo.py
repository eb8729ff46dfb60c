"""The demo: its corpus, its checks, and a real run on part of the corpus."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lumaai.client import Client
from lumaai.demo import corpus, show
from lumaai.demo.service import running_service
from lumaai.errors import ConnectionFailedError
from promptql import Answer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the service runs on Unix")

MODULES = (
    "subprocess", "os", "os.path", "json", "zipfile", "bz2", "time", "datetime", "shutil", "math", "asyncio.tasks",
    "random", "statistics", "string", "tempfile",
)  # fmt: skip


@pytest.fixture(scope="module")
def documents() -> list[corpus.Document]:
    return corpus.read()


@pytest.fixture(scope="module")
def by_id(documents: list[corpus.Document]) -> dict[str, corpus.Document]:
    return {document["id"]: document for document in documents}


def test_the_corpus_is_the_same_every_time(documents: list[corpus.Document]) -> None:
    """In the same order, without addresses of memory, each id once."""
    assert corpus.read() == documents
    ids = [document["id"] for document in documents]
    assert ids == sorted(set(ids))
    assert " at 0x" not in json.dumps(documents)


def test_the_corpus_has_a_few_thousand_documents_of_all_kinds(documents: list[corpus.Document]) -> None:
    """Hundreds of modules and classes, more functions and methods."""
    kinds = Counter(document["kind"] for document in documents)
    assert set(kinds) == {"module", "class", "function", "method"}
    assert 3000 < len(documents) < 10_000
    assert min(kinds.values()) > 200


def test_a_function_is_described(by_id: dict[str, corpus.Document]) -> None:
    """`shutil.copy(src, dst, *, follow_symlinks=True)` has three parameters and its docstring."""
    import shutil

    text = by_id["shutil.copy"]["text"]
    assert shutil.copy.__doc__ is not None
    assert text.startswith(shutil.copy.__doc__.split("\n")[0])
    assert by_id["shutil.copy"] == {
        "id": "shutil.copy", "module": "shutil", "package": "shutil", "kind": "function", "name": "copy",
        "signature": "shutil.copy(src, dst, *, follow_symlinks=True)", "parameters": 3, "text": text,
        "summary": "Copy data and mode bits (\"cp src dst\"). Return the file's destination.",
        "length": len(text), "deprecated": False,
    }  # fmt: skip


def test_a_method_counts_its_parameters_without_self(by_id: dict[str, corpus.Document]) -> None:
    """`str.join(self, iterable, /)` takes one."""
    method = by_id["builtins.str.join"]
    assert (method["kind"], method["owner"], method["parameters"]) == ("method", "str", 1)


def test_what_is_exported_again_belongs_to_its_own_module(by_id: dict[str, corpus.Document]) -> None:
    """`asyncio.gather` is of `asyncio.tasks`; what a private module defines is of the public one."""
    assert "asyncio.tasks.gather" in by_id
    assert "asyncio.gather" not in by_id
    assert "os.path.join" in by_id
    assert "collections.abc.Mapping" in by_id
    assert not [name for name in by_id if re.search(r"(?:^posix|^nt\.|\._)", name) and by_id[name]["kind"] == "class"]


def test_nothing_of_this_machine_is_in_the_corpus(
    documents: list[corpus.Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither variables of the environment (`cgi` has them as a default) nor paths of the user's."""
    monkeypatch.setenv("SECRET_OF_THE_TEST", "hunter2")
    assert corpus.read() == documents
    assert str(Path.home()) + "/" not in json.dumps(documents)
    assert sys.prefix not in json.dumps(documents)


def test_what_is_deprecated_is_marked(by_id: dict[str, corpus.Document]) -> None:
    """By its docstring; warnings about deprecation are not themselves deprecated."""
    assert by_id["locale.getdefaultlocale"]["deprecated"] is ("deprecated" in by_id["locale.getdefaultlocale"]["text"])
    assert by_id["threading.Thread.setDaemon"]["deprecated"]
    assert not by_id["builtins.DeprecationWarning"]["deprecated"]
    assert not by_id["subprocess.run"]["deprecated"]


def test_reading_the_corpus_imports_nothing_here() -> None:
    """A child process does: neither `turtle` nor `poplib` is loaded where the corpus is read."""
    code = "import sys; from lumaai.demo import corpus; corpus.read(); print('poplib' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (child.stdout, child.stderr) == ("False\n", "")


def answer_of(text: str, values: tuple[Any, ...] = (), ids: tuple[str, ...] = ("x",)) -> Answer:
    citation = {"cell": "a1", "collection": "", "ids": list(ids), "sequence": 1, "count": 1, "spans": [], "field": None}
    return Answer.from_json({
        "answer": {"text": text, "values": list(values), "artifact": None}, "confidence": 1.0, "band": "answer",
        "completeness": 1.0, "plan": {}, "plan_hash": "", "planner": "rules", "steps": [], "artifacts": [],
        "citations": [citation], "assumptions": [], "warnings": [], "usage": {}, "alternatives": [],
    })  # fmt: skip


def test_the_demo_sees_wrong_answers() -> None:
    """Each check accepts what plain Python finds and nothing else."""
    documents: list[corpus.Document] = [
        {"kind": "function", "module": "a", "name": "f", "parameters": 2},
        {"kind": "function", "module": "a", "name": "g", "parameters": 9},
        {"kind": "method", "module": "a", "name": "m", "parameters": 1},
        {"kind": "method", "module": "b", "name": "n", "parameters": 2},
        {"kind": "method", "module": "b", "name": "unknown"},
    ]
    assert show.counts_ten_modules(answer_of("", (["a", 2],)), documents)
    assert not show.counts_ten_modules(answer_of("", (["a", 3],)), documents)
    assert show.averages_parameters(answer_of("", (1.5,)), documents)
    assert not show.averages_parameters(answer_of("", (1.6,)), documents)
    assert show.names_longest_signature(answer_of("g has most"), documents)
    assert not show.names_longest_signature(answer_of("f has most"), documents)
    assert show.quotes_output_function(answer_of("", ids=("dis.show_code", "subprocess.run")), documents)
    assert not show.quotes_output_function(answer_of("", ids=("dis.show_code", "os.dup", "subprocess.run")), documents)
    assert not show.quotes_output_function(answer_of("", ids=("subprocess.Popen.poll",)), documents)


def test_the_corpus_is_counted_by_kinds() -> None:
    """The figures are those that questions about the collection count."""
    documents: list[corpus.Document] = [{"kind": "function"}, {"kind": "class"}, {"kind": "function"}]
    assert show.count_kinds(documents) == "0 modules, 1 classes, 2 functions, 0 methods"


def test_the_demo_runs_on_part_of_the_corpus(documents: list[corpus.Document], tmp_path: Path) -> None:
    """All scenes, a second run that embeds nothing, and curl lines that work as they are printed."""
    part = [document for document in documents if document["module"] in MODULES]
    first, second = io.StringIO(), io.StringIO()
    show.show(tmp_path / "demo", documents=part, console=Console(file=first, width=110))
    assert first.getvalue().count("\nsearch ") == 4
    assert first.getvalue().count("checked with plain Python") == 4
    assert "\x1b" not in first.getvalue()
    show.show(tmp_path / "demo", documents=part, console=Console(file=second, width=110))
    assert f"ingested  {len(part):,} documents over HTTP" in first.getvalue()
    assert f"ingested  {len(part):,} documents are already there, nothing to embed" in second.getvalue()
    assert "documents/s" not in second.getvalue()
    curls = [line.strip() for line in first.getvalue().splitlines() if line.strip().startswith("curl")]
    assert len(curls) == 2
    with running_service(tmp_path / "demo") as client:
        for line in curls:
            words = shlex.split(line.replace("http://127.0.0.1:8000", client.url))
            reply = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
            assert reply.get("hits") or reply.get("answer")


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The last line that it wrote is in the error."""
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(ConnectionFailedError, match=r"did not start: .*file"), running_service(tmp_path / "file"):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_service_is_stopped_with_the_demo(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM leave no service behind, and its port free."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom lumaai.demo.service import running_service\n"
        "with running_service(Path(sys.argv[1])) as client:\n print(client.url, flush=True)\n time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "demo")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    url = child.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode != 0
    with Client(url) as client, pytest.raises(ConnectionFailedError):
        client.collections()
