from __future__ import annotations

import email.utils
import time

import pytest

from models import RetryPolicy
from models.retries import may_pass, retry_after_seconds


def test_waits_have_jitter_and_grow() -> None:
    """Drawn from 0 to first × 2^n, at most the longest, so that clients do not come again together."""
    policy = RetryPolicy(attempts=5, first_seconds=1.0, longest_seconds=4.0)
    for attempt, most in enumerate((1, 2, 4, 4)):
        drawn = [policy.wait_seconds(attempt, None) for _ in range(200)]
        assert 0.8 * most < max(drawn) <= most
        assert min(drawn) < 0.2 * most
        assert len(set(drawn)) > 100


def test_what_the_server_asks_for_is_the_least_that_is_waited() -> None:
    """Up to a minute; a longer wish is not believed."""
    policy = RetryPolicy(first_seconds=0.1)
    assert policy.wait_seconds(0, 3.0) == 3.0
    assert policy.wait_seconds(0, 1e9) == 60.0
    assert RetryPolicy(first_seconds=20, longest_seconds=20).wait_seconds(3, 0.0) <= 20


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """In seconds, or in milliseconds as some services have it; nonsense is none."""
    assert retry_after_seconds(headers) == seconds


def test_the_wait_may_be_a_date() -> None:
    """HTTP has both; a date that is past is no wait."""
    soon = retry_after_seconds({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert soon is not None
    assert 28 <= soon <= 30
    assert retry_after_seconds({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def test_which_answers_may_pass() -> None:
    """Overload, locks and failures of the other side; refusals do not."""
    assert [status for status in (200, 400, 401, 404, 408, 409, 425, 429, 500, 503, 529, None) if may_pass(status)] == [
        408, 409, 425, 429, 500, 503, 529,
    ]  # fmt: skip
