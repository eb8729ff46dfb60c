"""Commands for API keys: on a directory, and through a service."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import lumaai
from tests.congruence.conftest import served
from tests.lumaai.conftest import Run


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the caller's; an empty working directory."""
    for name in [name for name in os.environ if name.startswith("LUMAAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LUMAAI_MODEL", "hashing")
    monkeypatch.chdir(tmp_path)


def test_a_key_is_made_listed_rotated_and_revoked(run: Run) -> None:
    """The key alone is on stdout, for `$(…)`; the list has no secret."""
    words = ["keys", "create", "web", "--verbs", "read,ask", "-c", "films", "-c", "log-*", "--expires-in", "90d"]
    made = run(*words, "--per-minute", "600")
    key = made.stdout.strip()
    assert key.startswith("lumaai_")
    id_ = key.split("_")[1]
    (info,) = json.loads(run("keys", "list", "--json").stdout)
    assert (info["id"], info["name"], info["requests_per_minute"]) == (id_, "web", 600)
    assert (info["verbs"], info["collections"]) == (["ask", "read"], ["films", "log-*"])
    listed = run("keys", "list").stdout
    assert id_ in listed
    assert key[20:] not in listed
    rotated = json.loads(run("keys", "rotate", id_, "--grace", "24h", "--json").stdout)
    assert rotated["id"] == id_
    assert rotated["key"] != key
    assert run("keys", "revoke", id_).exit_code == 2  # nobody can be asked
    assert run("keys", "revoke", id_, "--yes").stdout == f"revoked {id_}\n"
    assert "no keys yet" in run("keys", "list").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "web", "--verbs", "fly", "-c", "films"], "verbs are read, write, ask, admin"),
        (["create", "web", "--verbs", "read"], "--collections"),
        (["create", "web", "--verbs", "read", "-c", "a*b"], "beginnings of names"),
        (["create", "web", "--verbs", "read", "-c", "a", "--expires-in", "soon"], "not a time span"),
        (["rotate", "0123456789ab"], "no such key"),
        (["revoke", "0123456789ab", "--yes"], "no such key"),
    ],
)
def test_mistakes_are_told_in_a_line(run: Run, words: list[str], said: str) -> None:
    """And leave nothing behind."""
    lumaai.Database("data", default_model="hashing").close()
    result = run("keys", *words)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert json.loads(run("keys", "list", "--json").stdout) == []


def test_keys_are_made_through_a_service(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a key for admin on everything; what is revoked there opens nothing any more."""
    operator = run("keys", "create", "operator", "--verbs", "admin", "-c", "*").stdout.strip()
    with lumaai.Database("data", default_model="hashing") as database, served(database, tmp_path) as url:
        assert run("keys", "list", "--url", url).exit_code == 1
        monkeypatch.setenv("LUMAAI_API_KEY", operator)
        key = run("keys", "create", "web", "-v", "read", "-c", "films", "--url", url).stdout.strip()
        with lumaai.connect(url, api_key=key) as client:
            assert client.collections() == []
            with pytest.raises(lumaai.ForbiddenError):
                client.create_collection("films")
            assert run("keys", "revoke", key.split("_")[1], "--yes", "--url", url).exit_code == 0
            with pytest.raises(lumaai.UnauthorizedError):
                client.collections()
        assert [info["name"] for info in json.loads(run("keys", "list", "--json", "--url", url).stdout)] == ["operator"]
