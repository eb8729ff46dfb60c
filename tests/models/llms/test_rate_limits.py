from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from models import LLMCancelledError, LLMUnavailableError, Message, RateLimit
from models.llms.rate_limits import RateLimiter
from tests.models.llms.conftest import FakeClock, Load
from tests.models.llms.server import Provider, openai_refusal, openai_reply

MESSAGES = [Message("user", "How many?")]


def test_requests_wait_for_their_turn(clock: FakeClock) -> None:
    """Sixty a minute: a bucket of sixty goes at once, and then one a second."""
    limiter = RateLimiter(RateLimit(requests_per_minute=60), clock)
    for _ in range(60):
        limiter.take(1000)
    assert clock.waits == []
    for _ in range(3):
        limiter.take(1000)
    assert clock.waits == pytest.approx([1, 1, 1])
    clock.time += 10
    for _ in range(11):
        limiter.take(1000)
    assert clock.waits == pytest.approx([1, 1, 1, 1])


def test_tokens_wait_for_their_turn(clock: FakeClock) -> None:
    """600 a minute are ten a second: 500 and 150 make the second wait for 5 seconds."""
    limiter = RateLimiter(RateLimit(tokens_per_minute=600), clock)
    limiter.take(500)
    limiter.take(150)
    assert clock.waits == pytest.approx([5])
    limiter.correct(100)  # it took but 50
    limiter.take(100)
    assert clock.waits == pytest.approx([5])


def test_a_request_larger_than_the_bucket_waits_until_it_is_full(clock: FakeClock) -> None:
    """And the next for what it took on credit: it is never refused for good."""
    limiter = RateLimiter(RateLimit(tokens_per_minute=600, wait_seconds_max=120), clock)
    limiter.take(900)
    assert clock.waits == []
    limiter.take(100)
    assert clock.waits == pytest.approx([40])


def test_waits_are_bounded(clock: FakeClock) -> None:
    """What would wait too long is refused at once, says how long, and has taken nothing."""
    limiter = RateLimiter(RateLimit(requests_per_minute=1, wait_seconds_max=30), clock)
    limiter.take(1)
    with pytest.raises(LLMUnavailableError, match=r"seconds=60\.0 maximum=30\.0") as caught:
        limiter.take(1)
    assert caught.value.details["retry_after_seconds"] == pytest.approx(60)
    clock.time += 40
    with pytest.raises(LLMUnavailableError):
        limiter.take(1, seconds_max=10)
    limiter.take(1)
    assert clock.waits == pytest.approx([20])


def test_a_wait_that_is_cancelled_gives_its_turn_back() -> None:
    """The event ends it at once."""
    from models import Clock

    limiter = RateLimiter(RateLimit(requests_per_minute=2), Clock())
    limiter.take(1)
    limiter.take(1)
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(limiter.take, 1, cancelled=cancelled)
        cancelled.set()
        with pytest.raises(LLMCancelledError):
            waiting.result(timeout=5)
    assert limiter._requests is not None
    assert limiter._requests.level == pytest.approx(0, abs=0.1)


def test_no_limit_is_no_wait(clock: FakeClock) -> None:
    """The default."""
    limiter = RateLimiter(RateLimit(), clock)
    for _ in range(1000):
        limiter.take(1e9)
    assert clock.waits == []


@pytest.mark.parametrize("limits", [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"wait_seconds_max": -1}])
def test_limits_that_cannot_be_are_refused(limits: dict[str, float]) -> None:
    """Zero would wait for ever."""
    with pytest.raises(ValueError, match="must"):
        RateLimit(**limits)


def test_many_threads_are_let_through_at_the_rate(clock: FakeClock) -> None:
    """A hundred requests at sixty a minute: the waits granted are 1, 2, 3 … seconds after the first sixty."""
    limiter = RateLimiter(RateLimit(requests_per_minute=60, wait_seconds_max=1000), clock)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(limiter.take, [1] * 100))
    assert len(clock.waits) == 40
    assert clock.time - 1000 >= 40 - 1e-6


def test_calls_of_a_model_wait(provider: Provider, load: Load, clock: FakeClock) -> None:
    """Retries, too, are requests."""
    llm = load(limit=RateLimit(requests_per_minute=2), clock=clock)
    provider.play(openai_refusal(500, "oops"), openai_reply("a"), openai_reply("b"))
    llm.complete(MESSAGES)
    llm.complete(MESSAGES)
    assert len(provider.requests) == 3
    assert max(clock.waits) == pytest.approx(30, abs=1)


def test_tokens_of_a_model_are_corrected_by_what_it_took(provider: Provider, load: Load, clock: FakeClock) -> None:
    """A limit of 1,000 a minute lets ten calls of 500 through at once, of which each took 18 in the end."""
    llm = load(limit=RateLimit(tokens_per_minute=1000), clock=clock)
    provider.play(*[openai_reply("a") for _ in range(10)])
    for _ in range(10):
        llm.complete(MESSAGES, max_tokens=450)
    assert clock.waits == []


def test_what_would_wait_too_long_is_not_sent(provider: Provider, load: Load, clock: FakeClock) -> None:
    """The error is one to retry later, and the budget is not charged."""
    from models import Budget

    llm = load(limit=RateLimit(requests_per_minute=1, wait_seconds_max=1), clock=clock)
    provider.play(openai_reply("a"))
    budget = Budget()
    llm.complete(MESSAGES, budget=budget)
    with pytest.raises(LLMUnavailableError, match="own rate limit"):
        llm.complete(MESSAGES, budget=budget)
    assert len(provider.requests) == budget.spent.calls == 1
