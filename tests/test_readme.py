"""What the README tells people to type works, in the order in which it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[int]:
    """The service over what the Python block left behind, on a free port."""
    command = [sys.executable, "-m", "lumaai", "serve", "--data", "data", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    port = None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            port = int(found.group(1))
            break
    assert port is not None
    yield port
    process.terminate()
    process.stdout.close()
    process.wait(30)


def test_the_python_code_runs(folder: Path) -> None:
    """The block runs as it stands and finds what it says."""
    code = "\n".join(blocks("python"))

    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['1', '3'] Alien")
    assert "science fiction" in done.stdout
    assert "step_finished\n" in done.stdout
    assert "(2,) (1,) 'and after 1990?' goes on from 'How many films are there after 1980?'" in done.stdout
    assert "\n(1,)\n" in done.stdout
    assert "['1', '2'] {'steps'" in done.stdout or "['2', '1'] {'steps'" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_work(folder: Path, service: int) -> None:
    """Each answers 200 with what it asks for."""
    script = "\n".join(blocks("sh")).replace("localhost:8000", f"localhost:{service}")
    lines = script.replace("\\\n", " ").strip().splitlines()
    assert len(lines) == 2

    search, ask = (
        json.loads(subprocess.run(["bash", "-c", f"{line} -f"], capture_output=True, text=True, check=True).stdout)
        for line in lines
    )

    assert [hit["id"] for hit in search["hits"]] == ["3"]
    assert ask["answer"]["values"] == [pytest.approx((1980 + 1996 + 1985) / 3)]


def test_the_command_lines_work(folder: Path, service: int) -> None:
    """Each `$ lumaai …` line of the console block exits with 0."""
    (folder / "more-films.jsonl").write_text('{"id": "4", "title": "Metropolis", "year": 1927}\n')
    commands = [
        line[2:].split("#")[0] for block in blocks("console") for line in block.splitlines() if line[:2] == "$ "
    ]
    (folder / "docs").mkdir()
    (folder / "docs" / "ships.md").write_text("# Ships\n\nThey sail.")
    assert len(commands) == 14
    shown = []
    for command in commands:
        line = command.replace("lumaai", f'"{sys.executable}" -m lumaai', 1)

        environment = {"LUMAAI_URL": f"http://127.0.0.1:{service}", "HOME": str(Path.home()), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, f"{command}: {done.stderr}"
        shown.append(done.stdout)
    assert "Metropolis" in shown[2]
    assert "1 added" in shown[4]
    assert "0 files read, 1 unchanged" in shown[5]
    assert shown[6].startswith("year,n\n")
    assert "scan" in shown[7]
    assert shown[8].strip() == "2"


def test_the_lines_about_keys_work(tmp_path: Path) -> None:
    """On a directory that nobody has open; the keys are there afterwards."""
    environment = {"HOME": str(Path.home()), "PATH": "/usr/bin:/bin"}
    (block,) = blocks("bash")
    for command in block.strip().splitlines():
        line = command.replace("lumaai", f'"{sys.executable}" -m lumaai', 1)
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert "operator" in done.stdout
    assert "films,log-*" in done.stdout
