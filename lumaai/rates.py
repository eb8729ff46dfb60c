"""How many requests a caller may send: a bucket that fills up within a minute, and a number a day."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lumaai.errors import OverloadedError

MINUTE_SECONDS = 60.0
DAY_SECONDS = 86_400

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Rate:
    """Bounds on requests; None: there is none."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether there is any."""
        return self.requests_per_minute is not None or self.requests_per_day is not None


class Meter:
    """Counts one caller's requests. For one thread: the event loop's.

    The bucket holds a minute's requests and fills evenly, so that a burst may spend it at once and never more. Days
    begin at midnight UTC. Both clocks are given, in seconds: one that never goes back, and the time since 1970.

    Args:
        rate: the bounds.
        now: by the first clock.
        day: number of the day (since 1970) that `used` is of.
        used: requests sent on that day so far.
    """

    def __init__(self, rate: Rate, now: float, *, day: int = 0, used: int = 0) -> None:
        self.rate = rate
        self.day = day
        self.used = used
        self._tokens = float(rate.requests_per_minute or 0)
        self._filled_at = now

    def take(self, now: float, time: float) -> None:
        """Count a request.

        Raises:
            OverloadedError: status 429; it is one too many, and was not counted.
        """
        self._refresh(now, time)
        rate = self.rate
        if rate.requests_per_day is not None and self.used >= rate.requests_per_day:
            raise _too_many("day", rate.requests_per_day, DAY_SECONDS - time % DAY_SECONDS, "quota_exceeded")
        if rate.requests_per_minute is not None:
            if self._tokens < 1.0:
                wait = (1.0 - self._tokens) * MINUTE_SECONDS / rate.requests_per_minute
                raise _too_many("minute", rate.requests_per_minute, wait, "rate_limited")
            self._tokens -= 1.0
        self.used += 1

    def remaining(self, now: float, time: float) -> dict[str, int]:
        """Requests that may be sent now, by window, where it is bounded."""
        self._refresh(now, time)
        found = {}
        if self.rate.requests_per_minute is not None:
            found["minute"] = int(self._tokens)
        if self.rate.requests_per_day is not None:
            found["day"] = max(0, self.rate.requests_per_day - self.used)
        return found

    def headers(self, time: float) -> list[Header]:
        """What an answer says of the bounds; draft-ietf-httpapi-ratelimit-headers-10."""
        policies, states = [], []
        per_minute, per_day = self.rate.requests_per_minute, self.rate.requests_per_day
        if per_minute is not None:
            until_full = math.ceil((per_minute - self._tokens) * MINUTE_SECONDS / per_minute)
            policies.append(f'"minute";q={per_minute};w={MINUTE_SECONDS:.0f}')
            states.append(f'"minute";r={int(self._tokens)};t={until_full}')
        if per_day is not None:
            until_midnight = math.ceil(DAY_SECONDS - time % DAY_SECONDS)
            policies.append(f'"day";q={per_day};w={DAY_SECONDS}')
            states.append(f'"day";r={max(0, per_day - self.used)};t={until_midnight}')
        return [(b"ratelimit-policy", ", ".join(policies).encode()), (b"ratelimit", ", ".join(states).encode())]

    def _refresh(self, now: float, time: float) -> None:
        per_minute = self.rate.requests_per_minute
        if per_minute is not None:
            filled = (now - self._filled_at) * per_minute / MINUTE_SECONDS
            self._tokens = min(float(per_minute), self._tokens + filled)
            self._filled_at = now
        day = int(time // DAY_SECONDS)
        if day != self.day:
            self.day, self.used = day, 0


def _too_many(window: str, maximum: int, wait: float, code: str) -> OverloadedError:
    return OverloadedError(
        f"too many requests with this key: maximum={maximum} a {window}",
        code=code,
        status=429,
        retry_after=float(max(1, math.ceil(wait))),
    )
