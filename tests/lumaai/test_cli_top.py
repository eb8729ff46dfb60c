"""`lumaai top` against a service."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import pytest

from lumaai.cli.top import _show
from lumaai.scrape import Between, Scrape
from tests.lumaai.conftest import Run
from tests.lumaai.serving import FILMS, listening

KEY = "a key"


def test_top_shows_what_a_service_does(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of routes, queues and what is held, as a table and as JSON; what cannot be asked is a line and 1."""
    with listening(tmp_path, api_key=KEY) as address:
        monkeypatch.setenv("LUMAAI_API_KEY", KEY)
        with httpx.Client(base_url=address, headers={"X-Api-Key": KEY}) as client:
            client.put("/v1/collections/films", json={"embed": {}})
            client.post("/v1/collections/films/documents", json={"documents": FILMS})
            ended = threading.Event()

            def ask() -> None:
                while not ended.wait(0.01):
                    client.post("/v1/collections/films/count", json={})

            asking = threading.Thread(target=ask)
            asking.start()
            try:
                shown = run("top", "--url", address, "--interval", "0.5", "--json")
                table = run("top", "--url", address, "--interval", "0.5", "--once")
            finally:
                ended.set()
                asking.join()
        seen = json.loads(shown.output)
        assert seen["routes"][0]["route"] == "/v1/collections/{c}/count"
        assert seen["routes"][0]["requests"] > 0
        assert (seen["documents"], seen["collections"]) == (3, 1)
        assert seen["lanes"]["search"]["done_per_second"] > 0
        assert seen["requests_per_second"] >= seen["routes"][0]["requests"]
        assert table.exit_code == 0
        assert "POST /v1/collections/{c}/count" in table.output.replace("\n", "")
        assert "3 documents in 1 collection" in table.output
        monkeypatch.setenv("LUMAAI_API_KEY", "wrong")
        refused = run("top", "--url", address, "--once")
        assert (refused.exit_code, "key" in refused.output) == (1, True)
    gone = run("top", "--url", address, "--once")
    assert (gone.exit_code, "no service answers" in gone.output) == (1, True)


def test_in_a_pipe_one_look_comes_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    """What is no terminal gets each as it is had, without codes; Ctrl-C is the end of it."""
    looks = iter([Between(Scrape.of(""), Scrape.of(""), 1.0)] * 2)

    def look() -> Between:
        found = next(looks, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    _show(look, "http://there", once=False)
    said = capsys.readouterr().out
    assert said.count("http://there") == 2
    assert "\x1b" not in said
