from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import lumaai
from lumaai.errors import InvalidRequestError
from lumaai.settings import Settings, is_loopback, load_settings, misspelt
from models import ScriptedLLM


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "HOST", "PORT", "DATA", "DIRECTORY", "INSECURE"):
        monkeypatch.delenv(f"LUMAAI_{name}", raising=False)


def test_defaults_are_safe() -> None:
    """Loopback, no key, not insecure, no language model."""
    settings = Settings()
    assert (settings.host, settings.port, settings.api_key, settings.insecure) == ("127.0.0.1", 8000, None, False)
    assert settings.is_loopback
    assert settings.llm is None


def test_environment_is_read_and_arguments_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """LUMAAI_PORT=9000 is a number; Settings(port=1) wins over it."""
    monkeypatch.setenv("LUMAAI_PORT", "9000")
    monkeypatch.setenv("LUMAAI_DATA", "/srv/data")
    assert Settings().port == 9000
    assert Settings().directory == Path("/srv/data")
    assert Settings(port=1).port == 1
    assert Settings(directory=Path("here")).directory == Path("here")


def test_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repr of settings, which may reach a log or a traceback, holds no secret."""
    monkeypatch.setenv("LUMAAI_API_KEY", "sesame-open")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    settings = Settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sesame-open"
    assert "sesame" not in repr(settings)
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    "given", [{"port": 70_000}, {"port": -1}, {"api_key": ""}, {"search_threads": 0}, {"nonsense": 1}]
)
def test_settings_that_cannot_be_are_refused(given: dict[str, object]) -> None:
    """Ports out of range, empty keys, no threads, unknown names."""
    with pytest.raises(ValidationError):
        Settings(**given)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("example.org", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_other_addresses(host: str, loopback: bool) -> None:
    """All of 127.0.0.0/8, ::1 and localhost are this machine; all addresses (0.0.0.0) are not."""
    assert is_loopback(host) is loopback


def test_a_base_url_chooses_a_local_language_model() -> None:
    """With a base URL the OpenAI client is made, without a key of OpenAI's; once."""
    settings = Settings(llm_base_url="http://127.0.0.1:1/v1", llm_model="tiny")
    assert settings.llm is not None
    assert settings.llm is settings.llm
    assert not isinstance(settings.llm, ScriptedLLM)


def test_a_local_language_model_needs_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """LUMAAI_LLM_BASE_URL alone names no model: refused before the first question, saying what is missing."""
    monkeypatch.setenv("LUMAAI_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(InvalidRequestError, match="LUMAAI_LLM_MODEL"):
        load_settings()


def test_wrong_settings_are_one_error_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names each; what was given, which may be a secret, is not in it."""
    monkeypatch.setenv("LUMAAI_PORT", "sesame")
    monkeypatch.setenv("LUMAAI_WRITE_THREADS", "0")
    with pytest.raises(
        InvalidRequestError, match=r"settings are wrong: LUMAAI_PORT: .*; LUMAAI_WRITE_THREADS: "
    ) as caught:
        load_settings()
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.code == "settings_invalid"


def test_an_argument_that_is_wrong_is_called_what_it_was_given_as() -> None:
    """The environment has nothing to do with it."""
    with pytest.raises(InvalidRequestError, match="settings are wrong: port: "):
        load_settings(port=-1)


@pytest.mark.parametrize(("given", "size"), [("512MB", 512_000_000), ("2 GiB", 2 << 30), ("2000000", 2_000_000)])
def test_sizes_are_written_as_on_the_command_line(monkeypatch: pytest.MonkeyPatch, given: str, size: int) -> None:
    """Of all settings that are sizes."""
    monkeypatch.setenv("LUMAAI_MEMORY_BYTES_MAX", given)
    monkeypatch.setenv("LUMAAI_BODY_BYTES_MAX", given)
    settings = load_settings()
    assert (settings.memory_bytes_max, settings.body_bytes_max) == (size, size)
    monkeypatch.setenv("LUMAAI_MEMORY_BYTES_MAX", "much")
    with pytest.raises(InvalidRequestError, match="LUMAAI_MEMORY_BYTES_MAX: not a size, such as 512MB"):
        load_settings()


def test_variables_that_nearly_are_settings_are_found() -> None:
    """A limit that is misspelt would else be none; what resembles nothing is somebody else's."""
    others = ("LUMAAI_SERVICE_HOST", "LUMAAI_PORT_8000_TCP_ADDR", "LUMAAI_URL", "LUMAAI_DATA", "LUMAAI_API_KEY", "PATH")
    assert misspelt(others) == {}
    assert misspelt(["LUMAAI_REQUEST_PER_MINUTE", "LUMAAI_APIKEY", *others]) == {
        "LUMAAI_REQUEST_PER_MINUTE": "LUMAAI_REQUESTS_PER_MINUTE",
        "LUMAAI_APIKEY": "LUMAAI_API_KEY",
    }


def test_the_device_is_one_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto by default, from the environment, and nothing else; a database says the same in its own words."""
    assert Settings().device == "auto"
    monkeypatch.setenv("LUMAAI_DEVICE", "cuda")
    assert load_settings().device == "cuda"
    monkeypatch.setenv("LUMAAI_DEVICE", "gpu")
    with pytest.raises(InvalidRequestError, match="LUMAAI_DEVICE: Input should be 'auto', 'cpu' or 'cuda'"):
        load_settings()


def test_a_database_refuses_an_unknown_device(tmp_path: Path) -> None:
    """One line that names the choices; nothing is made."""
    with pytest.raises(InvalidRequestError, match="unknown device: expected one of auto, cpu, cuda got='gpu'"):
        lumaai.Database(tmp_path / "db", device="gpu")
    assert not (tmp_path / "db").exists()
