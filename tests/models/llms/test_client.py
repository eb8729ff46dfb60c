"""What happens around a request: waits, cancellation, logs, and the pipeline's own share of the time."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

from models import LLMCancelledError, LLMError, LLMUnavailableError, Message, Reply, RetryPolicy
from tests.models.llms.conftest import KEY, FakeClock, Load
from tests.models.llms.server import (
    Provider,
    Stream,
    anthropic_reply,
    anthropic_stream,
    openai_chunk,
    openai_refusal,
    openai_reply,
    openai_stream,
)

MESSAGES = [Message("user", "How many secret-question films?")]
SCHEMA = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
BOTH = pytest.mark.parametrize("name", ["openai", "anthropic"])


def slow_reply(name: str) -> Any:
    answer = openai_reply("Three.") if name == "openai" else anthropic_reply({"type": "text", "text": "Three."})
    answer.delay_seconds = 10
    return answer


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "3"}, 3.0), ({"retry-after-ms": "1500"}, 1.5), ({"Retry-After": "0.25"}, 0.25)],
)
def test_a_retry_waits_as_long_as_the_server_asks(
    provider: Provider, load: Load, clock: FakeClock, headers: dict[str, str], seconds: float
) -> None:
    """Where its own jittered wait would be shorter."""
    llm = load(clock=clock, retries=RetryPolicy(attempts=3, first_seconds=0.01))
    provider.play(openai_refusal(429, "slow down", headers=headers), openai_reply("Three."))
    assert llm.complete(MESSAGES).text == "Three."
    assert clock.waits == [pytest.approx(seconds)]


def test_a_server_that_asks_for_a_long_wait_is_not_waited_for(provider: Provider, load: Load, clock: FakeClock) -> None:
    """The caller learns how long, and may come again then."""
    provider.play(openai_refusal(429, "slow down", headers={"retry-after": "300"}))
    with pytest.raises(LLMUnavailableError) as caught:
        load(clock=clock).complete(MESSAGES)
    assert caught.value.details["retry_after_seconds"] == 300
    assert (clock.waits, len(provider.requests)) == ([], 1)


@BOTH
def test_a_call_is_given_up_when_its_event_is_set(provider: Provider, load: Load, name: str) -> None:
    """Soon, and the server sees the connection closed."""
    provider.play(slow_reply(name))
    llm, cancelled = load(name), threading.Event()
    threading.Timer(0.15, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(LLMCancelledError):
        llm.complete(MESSAGES, cancelled=cancelled)
    assert time.monotonic() - started < 8
    assert provider.left.wait(5)


@BOTH
def test_a_stream_is_given_up_when_its_event_is_set(provider: Provider, load: Load, name: str) -> None:
    """In the midst of it."""
    make = openai_stream if name == "openai" else anthropic_stream
    provider.play(make(*["word "] * 500, pause_seconds=0.02))
    llm, cancelled = load(name), threading.Event()
    stream = llm.stream(MESSAGES, cancelled=cancelled)
    assert [next(stream) for _ in range(3)] == ["word "] * 3
    cancelled.set()
    with pytest.raises(LLMCancelledError):
        list(stream)
    assert provider.left.wait(5)


def test_an_event_that_is_set_already_makes_no_request(provider: Provider, load: Load) -> None:
    """Neither a call nor a probe."""
    cancelled = threading.Event()
    cancelled.set()
    for schema in (None, SCHEMA):
        with pytest.raises(LLMCancelledError):
            load().complete(MESSAGES, schema=schema, cancelled=cancelled)
    assert provider.requests == provider.probes == []


def test_a_wait_for_a_retry_is_given_up_too(provider: Provider, load: Load) -> None:
    """It may be a long one."""
    provider.play(openai_refusal(429, "slow down", headers={"retry-after": "15"}))
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(LLMCancelledError):
        load().complete(MESSAGES, cancelled=cancelled)
    assert time.monotonic() - started < 8


@BOTH
def test_a_slow_answer_is_unavailable(provider: Provider, load: Load, name: str) -> None:
    """Each attempt waits no longer than it was told to; the most that they may have cost is counted."""
    provider.play(*[slow_reply(name) for _ in range(3)])
    started = time.monotonic()
    with pytest.raises(LLMUnavailableError) as caught:
        load(name).complete(MESSAGES, timeout_seconds=0.3, max_tokens=100)
    assert (caught.value.usage.calls, caught.value.usage.tokens_out) == (3, 300)
    assert time.monotonic() - started < 8


@BOTH
def test_a_slow_stream_is_read_as_long_as_it_is_not_silent(provider: Provider, load: Load, name: str) -> None:
    """The timeout is that of a silence, not of the whole."""
    make = openai_stream if name == "openai" else anthropic_stream
    provider.play(make(*"abcdefgh", pause_seconds=0.25))
    *_, reply = load(name).stream(MESSAGES, timeout_seconds=2)
    assert isinstance(reply, Reply)
    assert reply.text == "abcdefgh"


@BOTH
def test_a_silent_stream_is_unavailable(provider: Provider, load: Load, name: str) -> None:
    """After as long as a silence may last."""
    make = openai_stream if name == "openai" else anthropic_stream
    provider.play(make("a", pause_seconds=10))
    with pytest.raises(LLMUnavailableError):
        list(load(name, retries=RetryPolicy(attempts=1)).stream(MESSAGES, timeout_seconds=0.3))


def test_a_stream_without_end_ends(provider: Provider, load: Load) -> None:
    """A model that loops at an endpoint that knows no limit: after ten times what a silence may last."""
    provider.play(Stream([openai_chunk({"content": "again "})] * 10_000, pause_seconds=0.01))
    started = time.monotonic()
    with pytest.raises(LLMUnavailableError, match="too long"):
        list(load(retries=RetryPolicy(attempts=1)).stream(MESSAGES, timeout_seconds=0.3))
    assert time.monotonic() - started < 10
    assert provider.left.wait(5)


@BOTH
def test_no_key_question_or_reply_is_logged(
    provider: Provider, load: Load, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even by the SDKs and the HTTP library, and not with all loggers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    for logger in ("openai", "anthropic", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=logger)
    make = openai_stream if name == "openai" else anthropic_stream
    refused = openai_refusal(500, f"oops {KEY}")
    provider.play(refused, slow_reply(name), make("secret-reply"))
    provider.answers[1].delay_seconds = 0  # type: ignore[union-attr] # an Answer
    llm = load(name)
    llm.complete(MESSAGES)
    list(llm.stream(MESSAGES))
    records = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert any("llm.retried" in record for record in records)
    assert not [record for record in records if KEY in record or "secret" in record]
    logging.getLogger("openai").debug("of somebody else")
    assert "of somebody else" in caplog.text


def test_many_threads_share_a_model(provider: Provider, load: Load) -> None:
    """Streams and calls at once, each with its own reply."""
    llm = load()
    provider.play(*[openai_stream("Three", " films", pause_seconds=0.01) for _ in range(16)])
    texts: list[str] = []

    def read() -> None:
        *_, reply = llm.stream(MESSAGES)
        assert isinstance(reply, Reply)
        texts.append(reply.text)

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["Three films"] * 16


@BOTH
def test_half_of_a_pair_of_surrogates_is_no_message(provider: Provider, load: Load, name: str) -> None:
    """JSON in UTF-8 has no place for it; the call is refused before it is sent."""
    for call in (load(name).complete, lambda messages: list(load(name).stream(messages))):
        with pytest.raises(LLMError, match="message is not text"):
            call([Message("user", "half \ud800")])
    assert provider.requests == []


def test_closing_twice_does_no_harm(provider: Provider, load: Load) -> None:
    """And what is asked afterwards is an error of ours."""
    provider.play(openai_reply("Three."))
    llm = load()
    llm.complete(MESSAGES)
    llm.close()
    llm.close()
    with pytest.raises(LLMError, match="was closed"):
        llm.complete(MESSAGES)


@BOTH
def test_closing_ends_calls_that_run(provider: Provider, load: Load, name: str) -> None:
    """A service that ends does not wait for a model that never answers."""
    provider.play(slow_reply(name))
    llm = load(name)
    threading.Timer(0.3, llm.close).start()
    started = time.monotonic()
    with pytest.raises(LLMError):
        llm.complete(MESSAGES)
    assert time.monotonic() - started < 8
