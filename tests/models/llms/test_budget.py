from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from models import (
    Budget,
    BudgetedLLM,
    LLMBudgetError,
    LLMError,
    LLMReplyError,
    LLMUnavailableError,
    Message,
    Price,
    RemoteLLM,
    ScriptedLLM,
    Usage,
)
from models.llms.budget import charged, seconds_left
from tests.models.llms.conftest import FakeClock, Load
from tests.models.llms.server import Provider, openai_refusal, openai_reply, openai_stream

MESSAGES = [Message("user", "How many?")]
SCHEMA = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}


def test_what_a_request_may_cost_is_taken_before_it_and_what_it_cost_stands_afterwards() -> None:
    """Ten tokens of twenty are reserved, so another ten fit and eleven do not; three were spent in the end."""
    budget = Budget(tokens=20)
    with charged([budget], Usage(1, 4, 6)) as charge:
        assert budget.has_room(Usage(1, 0, 10))
        assert not budget.has_room(Usage(1, 0, 11))
        charge.actual = Usage(1, 2, 1)
    assert budget.spent == Usage(1, 2, 1)
    assert budget.has_room(Usage(1, 0, 17))


@pytest.mark.parametrize(
    ("limits", "limit"),
    [({"calls": 1}, "calls"), ({"tokens": 14}, "tokens"), ({"dollars": 0.5}, "dollars"), ({"calls": 0}, "calls")],
)
def test_what_does_not_suffice_is_named(limits: dict[str, Any], limit: str) -> None:
    """With the facts; nothing is taken from the other budget either."""
    budget, other = Budget(**limits), Budget(calls=5)
    with (
        pytest.raises(LLMBudgetError, match=f"limit={limit}") as caught,
        charged([other, budget], Usage(2, 10, 5, 1.0)),
    ):
        pytest.fail("let through")
    assert caught.value.details["limit"] == limit
    assert other.spent == budget.spent == Usage()


def test_seconds_run_from_the_making_on(clock: FakeClock) -> None:
    """At their end no request is let through; a renewed budget begins anew."""
    budget = Budget(seconds=10, clock=clock)
    clock.time += 4
    assert budget.seconds_left == 6
    assert seconds_left([Budget(), budget]) == 6
    clock.time += 7
    assert budget.seconds_left == 0
    with pytest.raises(LLMBudgetError, match="seconds"):
        budget.reserve(Usage(1))
    assert budget.renewed().seconds_left == 10


@pytest.mark.parametrize("limits", [{"calls": -1}, {"dollars": float("nan")}, {"seconds": -0.1}])
def test_limits_that_cannot_be_are_refused(limits: dict[str, Any]) -> None:
    """Negative, or no number."""
    with pytest.raises(ValueError, match="must not be negative"):
        Budget(**limits)


def test_a_budget_of_calls_is_never_passed_by_many_threads(provider: Provider, load: Load) -> None:
    """Of 40 calls by 8 threads seven reach the server and the others are refused: overshoot 0."""
    budget = Budget(calls=7)
    llm = load()
    provider.play(*[openai_reply("Three.") for _ in range(40)])

    def ask(_: int) -> bool:
        try:
            llm.complete(MESSAGES, budget=budget, timeout_seconds=120)
        except LLMBudgetError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        answered = sum(threads.map(ask, range(40)))
    assert (answered, len(provider.requests), budget.spent) == (7, 7, Usage(7, 77, 49))


def test_retries_take_from_the_budget(provider: Provider, llm: RemoteLLM) -> None:
    """Two calls are two requests, be they one question; the third attempt is not made."""
    provider.play(*[openai_refusal(500, "oops")] * 3)
    budget = Budget(calls=2)
    with pytest.raises(LLMBudgetError) as caught:
        llm.complete(MESSAGES, budget=budget)
    assert len(provider.requests) == 2
    assert caught.value.usage == budget.spent == Usage(2)


@pytest.mark.parametrize("limits", [{"calls": 0}, {"tokens": 0}, {"dollars": 0.0}, {"seconds": 0.0}])
def test_a_budget_of_zero_makes_no_request(provider: Provider, load: Load, limits: dict[str, Any]) -> None:
    """Neither a probe nor a call nor a stream."""
    llm = load(prices={"openai/m": Price(1, 1)})
    for schema in (None, SCHEMA):
        with pytest.raises(LLMBudgetError):
            llm.complete(MESSAGES, schema=schema, budget=Budget(**limits))
        with pytest.raises(LLMBudgetError):
            next(llm.stream(MESSAGES, schema=schema, budget=Budget(**limits)))
    assert provider.requests == provider.probes == []


def test_the_estimate_of_tokens_is_an_upper_one(provider: Provider, llm: RemoteLLM) -> None:
    """A budget as large as bytes and reply lets the call through; what the server says was read is less."""
    text = "Überzählige Wörter, 数 𝄞 " * 20
    budget = Budget(tokens=len(text.encode()) + 100)
    with pytest.raises(LLMBudgetError, match="limit=tokens"):
        llm.complete([Message("user", text)], max_tokens=100, budget=budget)
    budget = Budget(tokens=len(text.encode()) + 100 + 1000)
    provider.play(openai_reply("Three."))
    llm.complete([Message("user", text)], max_tokens=100, budget=budget)
    assert budget.spent == Usage(1, 11, 7)


def test_dollars_are_counted_by_the_table(provider: Provider, load: Load) -> None:
    """11 tokens at 1,000 dollars a million and 7 at 10,000: 0.011 + 0.07."""
    llm = load(prices={"openai/m": Price(1000, 10_000)})
    provider.play(openai_reply("Three."))
    budget = Budget(dollars=10)
    reply = llm.complete(MESSAGES, max_tokens=10, budget=budget)
    assert reply.usage.dollars == budget.spent.dollars == pytest.approx(0.081)
    with pytest.raises(LLMBudgetError, match="limit=dollars"):
        llm.complete(MESSAGES, max_tokens=1000, budget=budget)
    assert len(provider.requests) == 1


def test_dollars_of_a_model_without_a_price_are_refused(provider: Provider, llm: RemoteLLM) -> None:
    """Rather than counted as nothing."""
    with pytest.raises(LLMError, match="price of the model is not known"):
        llm.complete(MESSAGES, budget=Budget(dollars=1))
    assert provider.requests == []


def test_local_models_cost_nothing(provider: Provider, load: Load) -> None:
    """So a budget in dollars lets them through."""
    provider.play(openai_reply("Three."))
    assert load("ollama").complete(MESSAGES, budget=Budget(dollars=0)).usage.dollars == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_the_end_of_the_seconds_ends_a_request(provider: Provider, llm: RemoteLLM, streamed: bool) -> None:
    """A server that takes longer than the budget has left is not waited for, be it silent or talkative."""
    slow = openai_reply("Three.")
    slow.delay_seconds = 10
    provider.play(openai_stream(*["word "] * 1000, pause_seconds=0.02) if streamed else slow)
    budget = Budget(seconds=0.7)
    with pytest.raises(LLMBudgetError, match="limit=seconds"):
        list(llm.stream(MESSAGES, budget=budget)) if streamed else llm.complete(MESSAGES, budget=budget)
    assert provider.left.wait(5)
    assert budget.seconds_left == 0
    assert budget.spent.calls == 1
    assert budget.spent.tokens_out == 2048  # nobody knows what the server went on to write: the most that it may be


def test_a_retry_that_would_come_too_late_is_not_waited_for(provider: Provider, load: Load, clock: FakeClock) -> None:
    """The server asks for more seconds than the budget has."""
    provider.play(openai_refusal(429, "slow down", headers={"retry-after": "15"}))
    with pytest.raises(LLMUnavailableError):
        load(clock=clock).complete(MESSAGES, budget=Budget(seconds=10, clock=clock))
    assert clock.waits == []


@pytest.mark.parametrize("tokens", [-5, "many", None])
def test_usage_that_cannot_be_is_replaced_by_the_estimate(provider: Provider, llm: RemoteLLM, tokens: Any) -> None:
    """A budget cannot be filled up by an endpoint that claims less than nothing."""
    answer = openai_reply("Three.")
    answer.body["usage"] = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}
    provider.play(answer)
    usage = llm.complete(MESSAGES).usage
    assert usage.tokens_in > 500
    assert usage.tokens_out == len("Three.")


def test_a_reply_that_cannot_be_used_is_paid_for(provider: Provider, load: Load) -> None:
    """It cost what the endpoint says."""
    budget = Budget(calls=5)
    provider.play(openai_reply("cut", finish_reason="length"))
    with pytest.raises(LLMReplyError) as caught:
        load().complete(MESSAGES, budget=budget)
    assert caught.value.usage == budget.spent == Usage(1, 11, 7)


def test_a_stream_that_is_left_is_charged_in_full(provider: Provider, llm: RemoteLLM) -> None:
    """Its connection is closed; what the model had written by then is not known."""
    provider.play(openai_stream(*["word "] * 100, pause_seconds=0.02))
    budget = Budget()
    stream = llm.stream(MESSAGES, max_tokens=300, budget=budget)
    assert next(stream) == "word "
    stream.close()
    assert provider.left.wait(5)
    assert (budget.spent.calls, budget.spent.tokens_out) == (1, 300)


def test_a_models_own_budget_holds_beside_that_of_a_call(provider: Provider, load: Load) -> None:
    """Whichever ends first."""
    llm = load(budget=Budget(calls=1))
    provider.play(openai_reply("Three."))
    llm.complete(MESSAGES, budget=Budget(calls=5))
    with pytest.raises(LLMBudgetError):
        llm.complete(MESSAGES, budget=Budget(calls=5))


def test_a_model_within_a_budget(provider: Provider, load: Load) -> None:
    """All its calls take from the budget, and from those that they bring; renewed, it has spent nothing."""
    llm = BudgetedLLM(load(), Budget(calls=2))
    provider.play(openai_reply("Three."), openai_stream("Three."), openai_reply("Three."))
    own = Budget(calls=1)
    llm.complete(MESSAGES, budget=own)
    with pytest.raises(LLMBudgetError):
        llm.complete(MESSAGES, budget=own)
    list(llm.stream(MESSAGES))
    with pytest.raises(LLMBudgetError):
        llm.complete(MESSAGES)
    assert llm.budget.spent.calls == 2
    assert llm.renewed().complete(MESSAGES).text == "Three."
    assert llm.name == "openai/m"
    assert llm.price is None
    assert BudgetedLLM(load("ollama"), Budget()).price == Price(0, 0)
    llm.close()


def test_scripted_models_keep_budgets_too() -> None:
    """So that pipelines can be tested with them: words read, and those that may be written."""
    llm = ScriptedLLM(["two words", "more"])
    budget = Budget(tokens=13)
    assert llm.complete([Message("user", "one two three")], max_tokens=10, budget=budget).usage == Usage(1, 3, 2)
    with pytest.raises(LLMBudgetError):
        llm.complete([Message("user", "one two three")], max_tokens=10, budget=budget)
    assert budget.spent == Usage(1, 3, 2)
    assert len(llm.requests) == 1


def test_concurrent_reservations_never_pass_the_limit() -> None:
    """Many threads that reserve and settle at once: the sum stays within, and all is given back."""
    budget = Budget(tokens=1000)
    most: list[int] = []
    barrier = threading.Barrier(8)

    def work(_: int) -> None:
        barrier.wait()
        for _round in range(200):
            try:
                with charged([budget], Usage(1, 100, 100)) as charge:
                    most.append(budget._reserved.tokens + budget._spent.tokens)
                    charge.actual = Usage()
            except LLMBudgetError:
                continue

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert max(most) <= 1000
    assert budget._reserved == budget.spent == Usage()


def test_a_smaller_model_beside_another_takes_from_the_same_budget() -> None:
    """One call each, and the third is refused to both; renewed, both begin anew, and are closed together."""
    large, small = ScriptedLLM(["a", "b"], name="large"), ScriptedLLM(["c", "d"], name="small")
    both = BudgetedLLM(large, Budget(calls=2), small)
    assert both.small is not None
    assert (both.name, both.small.name) == ("large", "small")
    both.complete(MESSAGES)
    both.small.complete(MESSAGES)
    for llm in (both, both.small):
        with pytest.raises(LLMBudgetError):
            llm.complete(MESSAGES)
    again = both.renewed()
    assert again.small is not None
    again.small.complete(MESSAGES)
    assert again.budget.spent.calls == 1
    assert BudgetedLLM(large, Budget()).small is None
