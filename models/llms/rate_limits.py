"""Requests and tokens per minute, as two token buckets that callers wait for."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from models.errors import LLMCancelledError, LLMUnavailableError
from models.llms.clock import Clock

SECONDS_A_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What an endpoint allows in a minute; None is no limit.

    Attributes:
        requests_per_minute: retries included.
        tokens_per_minute: read and written together.
        wait_seconds_max: what would wait longer for its turn is refused.

    Raises:
        ValueError: a limit is not above 0, or the longest wait is negative.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    wait_seconds_max: float = 30.0

    def __post_init__(self) -> None:
        for limit in (self.requests_per_minute, self.tokens_per_minute):
            if limit is not None and not limit > 0:
                raise ValueError(f"rate limit must be above 0: got={limit}")
        if not self.wait_seconds_max >= 0:
            raise ValueError(f"wait_seconds_max must not be negative: got={self.wait_seconds_max}")


class _Bucket:
    """Holds one minute's allowance and fills steadily. What is taken on credit is waited for."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._capacity = self.level = per_minute
        self._filled_at = now

    def seconds_until(self, amount: float, now: float) -> float:
        """When `amount` may be taken; more than the bucket holds, when it is full."""
        rate = self._capacity / SECONDS_A_MINUTE
        self.level = min(self._capacity, self.level + (now - self._filled_at) * rate)
        self._filled_at = now
        return max((min(amount, self._capacity) - self.level) / rate, 0.0)


class RateLimiter:
    """Lets callers through in the order in which they come, each when its turn is. Safe for many threads.

    https://en.wikipedia.org/wiki/Token_bucket

    Args:
        limit: what is allowed.
        clock: tells the time and waits.
    """

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        now = clock.now()
        self._requests = _Bucket(limit.requests_per_minute, now) if limit.requests_per_minute else None
        self._tokens = _Bucket(limit.tokens_per_minute, now) if limit.tokens_per_minute else None
        self._lock = threading.Lock()  # guards the buckets

    def take(
        self, tokens: float, *, seconds_max: float | None = None, cancelled: threading.Event | None = None
    ) -> None:
        """Wait for one request of so many tokens.

        Args:
            tokens: what it is likely to take; `correct` sets it right.
            seconds_max: the wait allowed, where that is less than the limit's own.
            cancelled: ends the wait; nothing is taken then.

        Raises:
            LLMUnavailableError: it would have to wait for too long; nothing is taken.
            LLMCancelledError: `cancelled` was set.
        """
        longest = (
            self._limit.wait_seconds_max if seconds_max is None else min(self._limit.wait_seconds_max, seconds_max)
        )
        with self._lock:
            seconds = self._seconds_until(tokens)
            if seconds > longest:
                message = f"own rate limit would be waited for too long: seconds={seconds:.1f} maximum={longest:.1f}"
                raise LLMUnavailableError(message, limit="rate", retry_after_seconds=seconds)
            self._add(-1, -tokens)
        if seconds > 0:
            try:
                self._clock.wait(seconds, cancelled)
            except LLMCancelledError:
                with self._lock:
                    self._add(1, tokens)
                raise

    def correct(self, tokens: float) -> None:
        """Give back tokens that a request did not take, or take more (less than 0)."""
        with self._lock:
            self._add(0, tokens)

    def _seconds_until(self, tokens: float) -> float:
        now = self._clock.now()
        waits = [self._requests.seconds_until(1, now)] if self._requests else []
        waits += [self._tokens.seconds_until(tokens, now)] if self._tokens else []
        return max(waits, default=0.0)

    def _add(self, requests: float, tokens: float) -> None:
        if self._requests:
            self._requests.level += requests
        if self._tokens:
            self._tokens.level += tokens
