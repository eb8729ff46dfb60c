from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from models import LLMError
from models.llms.capabilities import FILE_NAME, REMEMBERED_SECONDS_MAX, Capabilities, CapabilityStore
from models.llms.providers import StructuredMode

URL = "https://user:sk-secret@models.example/v1"
FOUND = Capabilities(StructuredMode.TOOL, temperature=False)
MODES = (StructuredMode.JSON_SCHEMA, StructuredMode.TOOL, StructuredMode.PLAIN)


def test_what_is_found_is_remembered_by_address_and_model(tmp_path: Path) -> None:
    """Also by the next process; others are assumed to be capable of all."""
    CapabilityStore(tmp_path).put(URL, "m", FOUND)
    store = CapabilityStore(tmp_path)
    assert store.get(f"{URL}/", "m") == FOUND
    assert store.get(URL, "n") == store.get("https://other.example/v1", "m") == Capabilities()


def test_two_stores_add_to_one_file(tmp_path: Path) -> None:
    """Neither loses what the other wrote before."""
    CapabilityStore(tmp_path).put(URL, "a", FOUND)
    CapabilityStore(tmp_path).put(URL, "b", FOUND)
    assert CapabilityStore(tmp_path).get(URL, "a") == CapabilityStore(tmp_path).get(URL, "b") == FOUND


def test_nothing_of_the_address_is_in_the_file(tmp_path: Path) -> None:
    """It may hold a password."""
    CapabilityStore(tmp_path).put(URL, "m", FOUND)
    written = (tmp_path / FILE_NAME).read_text()
    assert "secret" not in written
    assert "example" not in written
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_without_a_directory_it_is_kept_in_memory() -> None:
    """And nowhere else."""
    store = CapabilityStore()
    store.put(URL, "m", FOUND)
    assert store.get(URL, "m") == FOUND


def test_what_is_old_is_asked_again(tmp_path: Path) -> None:
    """Servers are upgraded; a date in the future is none."""
    CapabilityStore(tmp_path, now=lambda: 1e9).put(URL, "m", FOUND)
    later = 1e9 + REMEMBERED_SECONDS_MAX
    assert CapabilityStore(tmp_path, now=lambda: later).get(URL, "m") == FOUND
    assert CapabilityStore(tmp_path, now=lambda: later + 1).get(URL, "m") == Capabilities()
    assert CapabilityStore(tmp_path, now=lambda: 1e9 - 1).get(URL, "m") == Capabilities()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[" * 100_000, '{"KEY": 5}', '{"KEY": {"found": 1e12}}', '{"KEY": {"structured": "telepathy"}}'],
)
def test_a_damaged_file_is_found_again_not_believed(tmp_path: Path, content: str) -> None:
    """Whatever is wrong with it; and it is written anew."""
    store = CapabilityStore(tmp_path)
    store.put(URL, "m", FOUND)
    (key,) = json.loads((tmp_path / FILE_NAME).read_text())
    entry = json.dumps({"structured": None, "temperature": True, "limit_swapped": True, "stream_usage": True})
    (tmp_path / FILE_NAME).write_text(content.replace("KEY", key).replace("{}", entry))
    fresh = CapabilityStore(tmp_path)
    assert fresh.get(URL, "m") == Capabilities()
    fresh.put(URL, "m", FOUND)
    assert CapabilityStore(tmp_path).get(URL, "m") == FOUND


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_costs_a_probe_only(tmp_path: Path) -> None:
    """It is kept in memory."""
    tmp_path.chmod(0o500)
    store = CapabilityStore(tmp_path)
    store.put(URL, "m", FOUND)
    assert store.get(URL, "m") == FOUND


def test_a_file_in_the_place_of_the_directory_costs_a_probe_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept in memory, and the log says that it is not written."""
    (tmp_path / "file").touch()
    store = CapabilityStore(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        store.put(URL, "m", FOUND)
    assert store.get(URL, "m") == FOUND
    assert "llm.capabilities_unwritable" in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "temperature is deprecated", Capabilities(temperature=False)),
        (422, "max_tokens: extra fields not permitted", Capabilities(limit_swapped=True)),
        (400, "unknown field stream_options", Capabilities(stream_usage=False)),
        (400, "prompt is too long", None),
        (500, "temperature sensor broken", None),
    ],
)
def test_a_refusal_that_names_a_parameter_leaves_it_out(
    status: int, message: str, expected: Capabilities | None
) -> None:
    """Once: a second refusal of what is gone says nothing."""
    error = LLMError(message, status=status)
    assert Capabilities().after(error) == expected
    if expected is not None:
        assert expected.after(error) is None


def test_the_parameter_that_an_endpoint_names_goes_before_its_words() -> None:
    """A schema may have a property called temperature."""
    error = LLMError("schema is wrong at properties/temperature", status=400, parameter="response_format")
    assert Capabilities().after(error) is None


def test_a_refusal_leads_to_the_next_weaker_way() -> None:
    """To the last, and no further; nor for errors that are no refusals."""
    refused, way = LLMError("no", status=400), Capabilities(StructuredMode.JSON_SCHEMA)
    ways = []
    while (weaker := way.weaker(refused, MODES)) is not None:
        way = weaker
        ways.append(way.structured)
    assert ways == list(MODES[1:])
    assert Capabilities(StructuredMode.TOOL).weaker(LLMError("no", status=401), MODES) is None
    assert Capabilities(StructuredMode.TOOL).weaker(refused, ()) is None
