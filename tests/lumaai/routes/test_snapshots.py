"""Snapshots over HTTP: made, listed, downloaded, restored, deleted."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

import lumaai
from tests.lumaai.serving import FILMS, Service, http_scope, problem_of

PATH = "/v1/snapshots"
FILMS_PATH = "/v1/collections/films"


def made(service: Service, name: str) -> Any:
    answer = service.post(PATH, {"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_snapshot_is_made_listed_and_deleted(films: Service) -> None:
    """201 with its sequence and size; by name; 204 and gone."""
    info = made(films, "b")
    assert (info["name"], info["sequence"]) == ("b", 1)
    assert info["bytes"] > 0
    films.post(f"{FILMS_PATH}/documents", {"documents": [{"id": "9"}]})
    assert made(films, "a")["sequence"] == 2
    assert [item["name"] for item in films.get(PATH).json()["snapshots"]] == ["a", "b"]
    assert films.delete(f"{PATH}/b").status_code == 204
    assert [item["name"] for item in films.get(PATH).json()["snapshots"]] == ["a"]
    problem_of(films.delete(f"{PATH}/b"), 404, "snapshot_not_found")


def test_a_snapshot_without_a_name_is_named_by_the_time(films: Service) -> None:
    """And can be used by that name."""
    name = films.post(PATH).json()["name"]
    assert name.startswith("2")
    assert films.post(f"{PATH}/{name}:restore").status_code == 200


def test_a_snapshot_of_the_same_name_is_a_conflict(films: Service) -> None:
    """409; the first one stays."""
    first = made(films, "a")
    problem_of(films.post(PATH, {"name": "a"}), 409, "snapshot_exists")
    assert films.get(PATH).json()["snapshots"] == [first]


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "../a", "/etc", ".hidden", "-a", "a b", "a\u0000b", "x" * 129, "a.tar", "ü", 5]
)
def test_a_name_is_never_a_path(films: Service, name: Any, tmp_path: Path) -> None:
    """422; nothing is made anywhere."""
    before = sorted(path.name for path in tmp_path.rglob("*"))
    problem_of(films.post(PATH, {"name": name}), 422)
    assert films.get(PATH).json() == {"snapshots": []}
    assert sorted(path.name for path in tmp_path.rglob("*") if path.name != "snapshots") == before


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "%2Fetc%2Fpasswd", "..", "a%00b"])
@pytest.mark.parametrize("action", ["", ":restore"])
def test_a_path_in_place_of_a_name_reaches_nothing(films: Service, name: str, action: str) -> None:
    """404 or 422, whichever way it is asked; the database goes on."""
    method = "POST" if action else "GET"
    scope = http_scope(method, f"{PATH}/{name}{action}".replace("%2F", "/").replace("%00", "\0"))
    headers = [*scope["headers"], (b"content-type", b"application/json")]
    messages = [{"type": "http.request", "body": b"{}", "more_body": False}]
    start, _ = films.send({**scope, "headers": headers}, messages)
    assert start["status"] in {404, 422}
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 3}


def test_the_database_goes_back_to_a_snapshot(films: Service) -> None:
    """What was written since is gone; the very next requests are answered from what was restored."""
    made(films, "before")
    films.post(f"{FILMS_PATH}/documents", {"documents": [{"id": "9", "title": "later"}]})
    films.post(f"{FILMS_PATH}/documents:delete", {"ids": ["1"]})
    films.put("/v1/collections/later", {"embed": {}})
    assert films.post(f"{PATH}/before:restore").json()["sequence"] == 1
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 3}
    assert films.get(f"{FILMS_PATH}/documents/1").json() == FILMS[0]
    assert films.post(f"{FILMS_PATH}/search", {"query": "a creature on a moon"}).json()["hits"][0]["id"] == "2"
    problem_of(films.get("/v1/collections/later"), 404, "collection_not_found")
    assert films.post(f"{FILMS_PATH}/documents", {"documents": [{"id": "10"}]}).json()["sequence"] > 1
    assert [item["name"] for item in films.get(PATH).json()["snapshots"]] == ["before"]


def test_cursors_from_before_a_restore_are_gone(films: Service) -> None:
    """410, not pages of what is no more."""
    cursor = films.post(f"{FILMS_PATH}/scroll", {"limit": 1}).json()["next_cursor"]
    made(films, "before")
    films.post(f"{PATH}/before:restore")
    problem_of(films.post(f"{FILMS_PATH}/scroll", {"cursor": cursor}), 410, "cursor_expired")


def test_a_damaged_snapshot_is_refused_and_nothing_changes(films: Service) -> None:
    """422, and the service goes on with what it has."""
    made(films, "damaged")
    place = films.database.path / "snapshots" / "damaged"
    table = next(path for path in place.rglob("*.sst"))
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.unlink()  # not written in place: it may be a link to the database's own file
    table.write_bytes(content)
    films.post(f"{FILMS_PATH}/documents", {"documents": [{"id": "9"}]})
    problem_of(films.post(f"{PATH}/damaged:restore"), 422, "archive_invalid")
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 4}
    problem_of(films.post(f"{PATH}/none:restore"), 404, "snapshot_not_found")


def test_a_snapshot_is_downloaded_as_a_tar(films: Service, tmp_path: Path) -> None:
    """As long as it says, readable by tar, and restored by `lumaai.restore` into a new directory."""
    made(films, "whole")
    answer = films.get(f"{PATH}/whole")
    assert answer.headers["content-type"] == "application/x-tar"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert tar.getnames()[0] == "archive.json"
    archive = tmp_path / "whole.tar"
    archive.write_bytes(answer.content)
    lumaai.restore(archive, tmp_path / "restored")
    with lumaai.Database(tmp_path / "restored") as restored:
        assert restored["films"].get(["1"]) == [FILMS[0]]
    problem_of(films.get(f"{PATH}/none"), 404, "snapshot_not_found")


def test_a_download_whose_files_are_short_is_cut_off(films: Service) -> None:
    """The answer ends before its length, so that whoever reads it notices; the log says why."""
    made(films, "cut")
    place = films.database.path / "snapshots" / "cut"
    last = max(place.rglob("*"), key=lambda path: path.as_posix() if path.is_file() else "")
    last.unlink()
    last.write_bytes(b"")
    sent = films.send(http_scope("GET", f"{PATH}/cut"), [])
    length = next(int(value) for name, value in sent[0]["headers"] if name == b"content-length")
    assert sum(len(message.get("body", b"")) for message in sent[1:]) < length
    assert sent[-1]["more_body"]


def test_unknown_options_are_refused(films: Service) -> None:
    """A misspelt key is an error."""
    problem_of(films.post(PATH, {"nme": "x"}), 422, "unknown_key")
    problem_of(films.post(f"{PATH}/x:restore", {"force": True}), 422, "unknown_key")
