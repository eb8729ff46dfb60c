"""A language model behind an endpoint: what is asked before each request, and what is done after one that failed.

Before a request: is the address allowed, is there budget for the most that it may cost, is it its turn. After a
failure: wait and try again, ask in a weaker way, or give up. The SDKs' own retries are off, so that every request
is counted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from models.errors import LLMBudgetError, LLMError, LLMReplyError, LLMUnavailableError
from models.llm import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_SECONDS, JSON, Message, Reply, Usage
from models.llms.budget import Budget, Budgets, Charge, budgets_of, charged, seconds_left
from models.llms.capabilities import Capabilities, CapabilityStore
from models.llms.clock import Clock
from models.llms.endpoint import Call, Completion, Endpoint, Finish
from models.llms.exchange import Exchange, Recovery
from models.llms.loop import CHECK_SECONDS, UNWIND_SECONDS, loop_thread
from models.llms.network import check_endpoint
from models.llms.prices import FREE, Price
from models.llms.probe import PROBE, find_structured_mode
from models.llms.providers import StructuredMode
from models.llms.rate_limits import RateLimit, RateLimiter
from models.llms.structured import parse_value
from models.retries import RetryPolicy

DEFAULT_RETRIES = RetryPolicy(attempts=3, first_seconds=0.5, longest_seconds=8.0)
STREAM_TIMEOUTS_MAX = 10  # a whole stream may take so many times what one silence may
BYTES_A_TOKEN = 4  # of English prose, for the rate limit; the budget counts a token for each byte
# What a provider's template adds to a request: with forced tools the most, 346 tokens
# (https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing).
TEMPLATE_TOKENS_MAX = 512


class RemoteLLM:
    """A model behind an endpoint; safe to call from many threads. Close it, or use it in a `with` block.

    Args:
        endpoint: speaks its protocol.
        name: "provider/model".
        model: what it is called there; capabilities are remembered by it and the endpoint's address.
        modes: ways to structured output, the best first.
        price: of its tokens; None: not known, so that budgets in dollars are refused.
        capabilities: what is remembered of endpoints.
        limit: requests and tokens per minute.
        retries: how often, and how long between.
        budget: of all calls together, beside those that each call may bring.
        clock: for tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        model: str,
        modes: Sequence[StructuredMode],
        price: Price | None,
        capabilities: CapabilityStore | None = None,
        limit: RateLimit | None = None,
        retries: RetryPolicy = DEFAULT_RETRIES,
        budget: Budget | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name, self.price = name, price
        self._endpoint, self._model, self._modes = endpoint, model, tuple(modes)
        self._store = capabilities or CapabilityStore()
        self._clock = clock or Clock()
        self._limiter = RateLimiter(limit or RateLimit(), self._clock)
        self._retries, self._budget = retries, budget
        self._probing = threading.Lock()  # one probe at a time
        self._closed = False

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        budget: Budgets = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """The model's next message; see `LLM.complete`."""
        call = Call(tuple(messages), schema, max_tokens, temperature)
        with self._exchange(budget, cancelled, timeout_seconds) as exchange:
            recovery = self._recovery(self._way(call, exchange), exchange, self._modes)
            completion = self._completed(call, recovery, exchange)
            return self._reply(call, completion, recovery.way, exchange)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        budget: Budgets = None,
        cancelled: threading.Event | None = None,
    ) -> Generator[str | Reply, None, None]:
        """The model's next message as it is written; see `LLM.stream`."""
        call = Call(tuple(messages), schema, max_tokens, temperature)
        with self._exchange(budget, cancelled, timeout_seconds) as exchange:
            recovery = self._recovery(self._way(call, exchange), exchange, self._modes)
            begun = False
            while True:
                completion: Completion | None = None
                try:
                    with closing(self._streamed(call, recovery.way, exchange)) as pieces:
                        for piece in pieces:
                            if isinstance(piece, Completion):
                                completion = piece
                            else:
                                begun = True
                                yield piece
                    break
                except LLMError as error:
                    if begun:
                        raise
                    recovery.after(error)
            assert completion is not None
            yield self._reply(call, completion, recovery.way, exchange)

    def close(self) -> None:
        """Close the connections, those of running calls too, which fail; idempotent."""
        self._closed = True
        loop_thread().run(self._endpoint.close, seconds=UNWIND_SECONDS)

    def __enter__(self) -> RemoteLLM:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteLLM({self.name!r})"

    @contextmanager
    def _exchange(
        self, budget: Budgets, cancelled: threading.Event | None, timeout_seconds: float
    ) -> Iterator[Exchange]:
        check_endpoint(self._endpoint.url)
        budgets = (*budgets_of(self._budget), *budgets_of(budget))
        if self.price is None and any(each.dollars is not None for each in budgets):
            raise LLMError(f"price of the model is not known, so dollars cannot be counted: model={self.name}")
        exchange = Exchange(budgets, cancelled, timeout_seconds)
        try:
            yield exchange
        except LLMError as error:
            error.usage = exchange.usage
            if isinstance(error, LLMUnavailableError) and seconds_left(budgets) == 0:
                ended = LLMBudgetError(f"budget ended the call: limit=seconds: {error}", limit="seconds")
                ended.usage = exchange.usage
                raise ended from error
            raise

    def _way(self, call: Call, exchange: Exchange) -> Capabilities:
        """How to ask; structured output is probed where it is not known and the budget leaves room for that."""
        way = self._store.get(self._endpoint.url, self._model)
        if call.schema is None or way.structured is not None:
            return way
        while not self._probing.acquire(timeout=CHECK_SECONDS):
            exchange.check_cancelled()
            if seconds_left(exchange.budgets) == 0:
                raise LLMBudgetError("budget ended the wait for another call's probe: limit=seconds", limit="seconds")
        try:
            way = self._store.get(self._endpoint.url, self._model)
            return way if way.structured is not None else self._probed(way, exchange)
        finally:
            self._probing.release()

    def _probed(self, way: Capabilities, exchange: Exchange) -> Capabilities:
        assumed = Capabilities(self._modes[0], way.temperature, way.limit_swapped, way.stream_usage)
        each = self._upper(self._endpoint.request(PROBE, assumed, stream=False), PROBE)
        probes = sum((each for _ in self._modes), Usage())
        if not all(budget.has_room(probes) for budget in exchange.budgets):
            return assumed

        def send(call: Call, way: Capabilities) -> tuple[Completion, Capabilities]:
            recovery = self._recovery(way, exchange)
            return self._completed(call, recovery, exchange), recovery.way

        found = find_structured_mode(self._modes, way, send)
        self._store.put(self._endpoint.url, self._model, found)
        return found

    def _recovery(self, way: Capabilities, exchange: Exchange, modes: Sequence[StructuredMode] = ()) -> Recovery:
        return Recovery(self.name, way, exchange, retries=self._retries, clock=self._clock, modes=modes)

    def _completed(self, call: Call, recovery: Recovery, exchange: Exchange) -> Completion:
        """As many requests as it takes."""
        while True:
            try:
                return self._sent(call, recovery.way, exchange)
            except LLMError as error:
                recovery.after(error)

    def _sent(self, call: Call, way: Capabilities, exchange: Exchange) -> Completion:
        """One request."""
        request = self._endpoint.request(call, way, stream=False)
        with self._permitted(call, request, exchange) as settle:
            seconds = exchange.seconds(exchange.timeout_seconds)
            completion = loop_thread().run(
                lambda: self._endpoint.send(request, seconds), seconds=seconds, cancelled=exchange.cancelled
            )
            settle(completion)
            return completion

    def _streamed(self, call: Call, way: Capabilities, exchange: Exchange) -> Generator[str | Completion, None, None]:
        """One request whose reply comes in pieces."""
        request = self._endpoint.request(call, way, stream=True)
        with self._permitted(call, request, exchange) as settle:
            silence = exchange.seconds(exchange.timeout_seconds)
            pieces = loop_thread().iterate(
                self._endpoint.stream(request, silence),
                seconds=exchange.seconds(exchange.timeout_seconds * STREAM_TIMEOUTS_MAX),
                silence_seconds=silence,
                cancelled=exchange.cancelled,
            )
            with closing(pieces):
                for piece in pieces:
                    if isinstance(piece, Completion):
                        settle(piece)
                    yield piece

    @contextmanager
    def _permitted(
        self, call: Call, request: Mapping[str, Any], exchange: Exchange
    ) -> Iterator[Callable[[Completion], None]]:
        """Budget and turn for one request; what is yielded takes its reply and settles what it cost."""
        exchange.check_cancelled()
        if self._closed:
            raise LLMError(f"language model was closed: model={self.name}")
        upper = self._upper(request, call)
        likely = upper.tokens_in / BYTES_A_TOKEN + call.max_tokens
        with charged(exchange.budgets, upper) as charge:
            self._wait_for_turn(likely, charge, exchange)
            try:
                yield lambda completion: self._settle(completion, upper, charge)
            except LLMError as error:
                if not error.details.get("sent"):  # the model was not reached: no tokens
                    charge.actual = Usage(calls=1)
                raise
            finally:
                self._limiter.correct(likely - charge.actual.tokens)
                exchange.usage += charge.actual

    def _wait_for_turn(self, tokens: float, charge: Charge, exchange: Exchange) -> None:
        try:
            self._limiter.take(tokens, seconds_max=seconds_left(exchange.budgets), cancelled=exchange.cancelled)
        except LLMError:
            charge.actual = Usage()  # no request was made
            raise

    def _settle(self, completion: Completion, upper: Usage, charge: Charge) -> None:
        read, written = completion.tokens_in, completion.tokens_out
        if written is None:
            written = min(len((completion.text + (completion.arguments or "")).encode()), upper.tokens_out)
        charge.actual = self._priced(Usage(1, upper.tokens_in if read is None else read, written))

    def _upper(self, request: Mapping[str, Any], call: Call) -> Usage:
        """The most that a request may cost: no tokenizer makes more tokens than there are bytes."""
        try:
            content = json.dumps(request, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise LLMError(f"message is not text: half of a pair of surrogates: model={self.name}") from error
        return self._priced(Usage(1, len(content) + TEMPLATE_TOKENS_MAX, call.max_tokens))

    def _priced(self, usage: Usage) -> Usage:
        return (self.price or FREE).of(usage)

    def _reply(self, call: Call, completion: Completion, way: Capabilities, exchange: Exchange) -> Reply:
        arguments = None if call.schema is None else completion.arguments
        text = completion.text if arguments is None else arguments
        if completion.finish is Finish.TRUNCATED:
            raise LLMReplyError("reply was cut off at its token limit", text=text)
        if completion.finish is Finish.REFUSED or not text:
            raise LLMReplyError(f"reply is a refusal or empty: finish_reason={completion.reason}", text=text)
        value: JSON = None
        if call.schema is not None:
            try:
                value = parse_value(text)
            except LLMReplyError:
                if self._endpoint.enforces(call.schema, way):  # not so well as was thought: probe it again
                    self._store.put(self._endpoint.url, self._model, replace(way, structured=None))
                raise
        self._store.put(self._endpoint.url, self._model, way)
        return Reply(text, value, exchange.usage)
