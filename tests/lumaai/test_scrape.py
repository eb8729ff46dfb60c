"""Two looks at `/metrics`: rates and quantiles worked out by hand."""

from __future__ import annotations

import pytest

from lumaai.scrape import DURATION, Between, Scrape


def text(requests: float, fast: float, slow: float) -> str:
    """A histogram with so many requests up to 10 ms, and so many up to 100 ms."""
    labels = 'method="GET",route="/a"'
    return f"""
# TYPE lumaai_http_requests_total counter
lumaai_http_requests_total{{{labels},status="200"}} {requests}
lumaai_http_requests_total{{{labels},status="503"}} 1
# TYPE {DURATION} histogram
{DURATION}_bucket{{{labels},le="0.01"}} {fast}
{DURATION}_bucket{{{labels},le="0.1"}} {fast + slow}
{DURATION}_bucket{{{labels},le="+Inf"}} {fast + slow}
{DURATION}_count{{{labels}}} {fast + slow}
{DURATION}_sum{{{labels}}} 1
# TYPE lumaai_http_rows_total counter
lumaai_http_rows_total{{{labels}}} {requests * 10}
"""


def test_rates_are_growth_by_seconds() -> None:
    """Summed over labels that are not named; after a restart what there is has grown from nothing."""
    between = Between(Scrape.of(text(100, 80, 20)), Scrape.of(text(160, 128, 32)), 2.0)
    assert between.rate("lumaai_http_requests_total") == 30.0
    assert between.rate("lumaai_http_requests_total", status="503") == 0.0
    restarted = Between(Scrape.of(text(100, 80, 20)), Scrape.of(text(10, 8, 2)), 2.0)
    assert restarted.rate("lumaai_http_requests_total", status="200") == 5.0


def test_routes_have_quantiles_of_what_came_between() -> None:
    """Of 60 requests 48 took up to 10 ms: the 30th lies at 30/48 of that; the 59.4th at 11.4/12 of the next bucket."""
    between = Between(Scrape.of(text(100, 80, 20)), Scrape.of(text(160, 128, 32)), 2.0)
    (route,) = between.routes()
    assert (route.method, route.route, route.requests, route.rows) == ("GET", "/a", 30.0, 300.0)
    assert route.p50 == pytest.approx(6.25)
    assert route.p99 == pytest.approx(10 + 90 * 11.4 / 12)
    still = Between(Scrape.of(text(100, 80, 20)), Scrape.of(text(100, 80, 20)), 2.0)
    assert still.routes() == []
