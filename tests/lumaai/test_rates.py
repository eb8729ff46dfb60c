from __future__ import annotations

import pytest

from lumaai.errors import OverloadedError
from lumaai.rates import Meter, Rate

NOON = 20_000 * 86_400 + 43_200.0


def test_the_bucket_gives_a_burst_and_fills_evenly() -> None:
    """Sixty a minute: sixty at once, then one a second."""
    meter = Meter(Rate(requests_per_minute=60), 0.0)
    for _ in range(60):
        meter.take(0.0, NOON)
    with pytest.raises(OverloadedError) as caught:
        meter.take(0.5, NOON)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "rate_limited", 1.0)
    meter.take(1.0, NOON)
    assert meter.remaining(1.0, NOON) == {"minute": 0}
    assert meter.remaining(11.0, NOON) == {"minute": 10}
    assert meter.remaining(1e6, NOON) == {"minute": 60}


def test_a_refused_request_is_not_counted() -> None:
    """Who asks too often waits no longer for it."""
    meter = Meter(Rate(requests_per_minute=1, requests_per_day=10), 0.0)
    meter.take(0.0, NOON)
    for _ in range(100):
        with pytest.raises(OverloadedError):
            meter.take(59.0, NOON)
    meter.take(60.0, NOON)
    assert meter.used == 2


def test_the_day_ends_at_midnight_utc() -> None:
    """What was used of it is given back then; Retry-After says how long that is."""
    meter = Meter(Rate(requests_per_day=1), 0.0, day=20_000, used=1)
    with pytest.raises(OverloadedError) as caught:
        meter.take(0.0, NOON)
    assert (caught.value.code, caught.value.retry_after) == ("quota_exceeded", 43_200.0)
    meter.take(0.0, NOON + 43_200)
    assert meter.remaining(0.0, NOON + 43_200) == {"day": 0}


def test_headers_are_structured_fields() -> None:
    """Policy, what remains, and seconds until all of it is back."""
    meter = Meter(Rate(requests_per_minute=60, requests_per_day=100), 0.0)
    meter.take(0.0, NOON)
    assert dict(meter.headers(NOON)) == {
        b"ratelimit-policy": b'"minute";q=60;w=60, "day";q=100;w=86400',
        b"ratelimit": b'"minute";r=59;t=1, "day";r=99;t=43200',
    }
