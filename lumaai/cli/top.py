"""`lumaai top`: what a service is doing, as it does it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption
from lumaai.errors import ConnectionFailedError, from_problem

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lumaai.scrape import Between, Scrape

ROUTES_SHOWN = 15
TIMEOUT_SECONDS = 10.0
DEFAULT_URL = "http://127.0.0.1:8000"


def top(
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help=f"The service. [$LUMAAI_URL; default: {DEFAULT_URL}]"),
    ] = None,
    *,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a service is doing: requests by route, queues, memory, embeddings, language model; Ctrl-C ends it.

    Takes a key that may read everything ($LUMAAI_API_KEY), where the service asks for keys.
    """
    address = (url or os.environ.get("LUMAAI_URL") or DEFAULT_URL).rstrip("/")
    before, moment = _scrape(address), time.monotonic()

    def look() -> Between:
        nonlocal before, moment
        from lumaai.scrape import Between

        time.sleep(interval)
        after, now = _scrape(address), time.monotonic()
        found = Between(before, after, now - moment)
        before, moment = after, now
        return found

    if as_json:
        output.print_json(facts(look()))
        return
    _show(look, address, once=once)


def facts(seen: Between) -> dict[str, Any]:
    """What is shown, as values."""
    after = seen.after
    lanes = {
        name: {
            "work": work,
            "waiting": after.by("lumaai_lane_waiting", "lane").get(name, 0.0),
            "capacity": after.by("lumaai_lane_capacity", "lane").get(name, 0.0),
            "done_per_second": seen.rate("lumaai_lane_work_done_total", lane=name),
            "refused_per_second": seen.rate("lumaai_lane_refused_total", lane=name),
        }
        for name, work in after.by("lumaai_lane_work", "lane").items()
    }
    statuses = {status: seen.rate("lumaai_http_requests_total", status=status) for status in _statuses(after)}
    return {
        "seconds": round(seen.seconds, 3),
        "requests_per_second": seen.rate("lumaai_http_requests_total"),
        "errors_per_second": sum(rate for status, rate in statuses.items() if status.startswith("5")),
        "statuses_per_second": {status: rate for status, rate in statuses.items() if rate},
        "routes": [asdict(route) for route in seen.routes()],
        "lanes": lanes,
        "resident_bytes": int(after.total("process_resident_memory_bytes")),
        "disk_bytes": int(after.total("lumaai_disk_bytes")),
        "cpu": seen.rate("process_cpu_seconds_total"),
        "collections": len(after.named("lumaai_documents")),
        "documents": int(after.total("lumaai_documents")),
        "segments": int(after.total("lumaai_segments")),
        "embedding_texts_per_second": seen.rate("lumaai_embedding_texts_total"),
        "embedding_cache_hit_rate": after.total("lumaai_embedding_cache_hit_rate"),
        "answers_per_second": seen.rate("lumaai_answers_total"),
        "llm_tokens_per_second": seen.rate("lumaai_llm_tokens_total"),
    }


def _statuses(scrape: Scrape) -> list[str]:
    return sorted(scrape.by("lumaai_http_requests_total", "status"))


def _scrape(address: str) -> Scrape:
    import httpx

    from lumaai.scrape import Scrape

    key = os.environ.get("LUMAAI_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{address}/metrics", headers=headers, timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionFailedError(f"no service answers at {address}: {error}") from error
    if answer.status_code != 200:
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        raise from_problem(answer.json() if is_problem else {}, status=answer.status_code)
    return Scrape.of(answer.text)


def _show(look: Callable[[], Between], address: str, *, once: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if once or not console.is_terminal:  # in a pipe or a file one look comes after the other
        try:
            console.print(_screen(facts(look()), address))
            while not once:
                console.file.flush()
                console.print()
                console.print(_screen(facts(look()), address))
        except KeyboardInterrupt:
            return
        return
    with Live(_waiting(address), console=console, auto_refresh=False, screen=True) as live:
        try:
            while True:
                live.update(_screen(facts(look()), address), refresh=True)
        except KeyboardInterrupt:
            return


def _waiting(address: str) -> str:
    return f"{address}: looking …"


def _screen(seen: dict[str, Any], address: str) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    head = (
        f"{address}   {seen['requests_per_second']:,.1f} requests/s   {seen['errors_per_second']:,.1f} errors/s   "
        f"{seen['cpu']:.2f} processors   {output.size(seen['resident_bytes'])} resident   "
        f"{output.size(seen['disk_bytes'])} on disk"
    )
    holds = (
        f"{output.plural(seen['documents'], 'document')} in {output.plural(seen['collections'], 'collection')}, "
        f"{output.plural(seen['segments'], 'segment')}   "
        f"{seen['embedding_texts_per_second']:,.1f} texts embedded/s, {seen['embedding_cache_hit_rate']:.0%} of all "
        f"cached   {seen['answers_per_second']:,.1f} answers/s, {seen['llm_tokens_per_second']:,.0f} tokens/s"
    )
    routes = Table("ROUTE", box=None, pad_edge=False, header_style="bold")
    for name in ("REQUESTS/S", "P50 MS", "P99 MS", "ROWS/S"):
        routes.add_column(name, justify="right")
    for route in seen["routes"][:ROUTES_SHOWN]:
        times = (_milliseconds(route["p50"]), _milliseconds(route["p99"]))
        name = f"{route['method']} {route['route']}"
        routes.add_row(name, f"{route['requests']:,.1f}", *times, f"{route['rows']:,.1f}")
    lanes = Table("QUEUE", box=None, pad_edge=False, header_style="bold")
    for name in ("WORK", "WAITING", "OF", "DONE/S", "REFUSED/S"):
        lanes.add_column(name, justify="right")
    for name, lane in seen["lanes"].items():
        counts = (f"{lane[key]:,.0f}" for key in ("work", "waiting", "capacity"))
        lanes.add_row(name, *counts, f"{lane['done_per_second']:,.1f}", f"{lane['refused_per_second']:,.1f}")
    return Group(head, holds, "", routes, "", lanes)


def _milliseconds(value: float | None) -> str:
    return "> 60 s" if value is None else f"{value:,.2f}"
