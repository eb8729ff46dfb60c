"""When a request that failed is made again: exponential backoff with jitter, and what the server asks for."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
RETRY_AFTER_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a wait is drawn from 0 to first_seconds × 2^attempt.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        attempts: requests at most, the first included.
        first_seconds: upper end of the first wait; `longest_seconds` of any.
        timeout_seconds: of one request.
    """

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 20.0
    timeout_seconds: float = 60.0

    def wait_seconds(self, attempt: int, asked_for: float | None) -> float:
        """How long to wait after `attempt` (from 0); never less than the server asked for, up to a minute."""
        drawn = random.uniform(0, min(self.first_seconds * 2**attempt, self.longest_seconds))  # noqa: S311 - jitter
        return max(drawn, min(asked_for or 0.0, RETRY_AFTER_SECONDS_MAX))


def may_pass(status: object) -> bool:
    """Whether a request that was answered with this HTTP status may succeed later."""
    return isinstance(status, int) and (status in RETRYABLE_STATUS or status >= 500)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asked to wait, as a number or as a date; None where it did not.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(float(headers[header]) * unit, 0.0)
        except (KeyError, ValueError):
            continue
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(date.timestamp() - time.time(), 0.0)
