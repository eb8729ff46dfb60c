"""What the operations work with: the database, the settings, the lanes of threads and the telemetry."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from lumaai.audit import AuditLog
from lumaai.auth import Gatekeeper
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.documents import Write
from lumaai.embedding import EmbedBounds
from lumaai.ending import Ending
from lumaai.errors import LumaError
from lumaai.figures import Figure, figures
from lumaai.keys import KeyUse
from lumaai.limits import Lane
from lumaai.pace import Pace
from lumaai.replays import Replays
from lumaai.results import WriteResult
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry
from lumaai.tracing import Tracing
from lumaai.translation import translate
from lumaai.turns import Turns

log = logging.getLogger("lumaai")

R = TypeVar("R")

# Large bodies that are read at once, and that wait for it.
BODY_THREADS = 2
# Looks at how the service is: probes and metrics, which overload must not keep out.
OPERATIONS_QUEUE_MAX = 32
BODY_QUEUE_MAX = 64
# Pieces of snapshots that are read at once, and that wait for it: one for each download.
DOWNLOAD_THREADS = 2
DOWNLOAD_QUEUE_MAX = 14
# Keys and tokens that are checked at once, and that wait for it; each is checked once.
IDENTIFY_THREADS = 2
IDENTIFY_QUEUE_MAX = 64
# Ends and beginnings of paths whose work is a search, or an answer; and paths of queries.
SEARCHES = ("/search", "/search:batch", "/facets", "/count", "/scroll", "/documents:fetch")
COLLECTIONS, SEARCH = "/v1/collections/", "/search"
ASKS = ("/v1/ask", "/v1/chat/")
QUERIES = frozenset({"/v1/sql", "/v1/query"})
# How long the end of the service waits for work whose requests are gone.
CLOSE_SECONDS_MAX = 3.0


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service. Reads share the lane of searches: they take as long, or less.

    Queries in SQL and other languages, and measurements of recall, take as long as they are let: they have a lane of
    their own. Work on all files (snapshots, checks, compaction) has a lane of one thread, and giving out snapshots
    another: they take minutes, and never a thread that a search or a write waits for.
    """

    database: Database
    settings: Settings
    telemetry: Telemetry
    operations: Lane
    searches: Lane
    writes: Lane
    embeds: Lane
    asks: Lane
    queries: Lane
    bodies: Lane
    maintenance: Lane
    downloads: Lane
    identifying: Lane
    turns: Turns
    pace: Pace
    gatekeeper: Gatekeeper
    audit: AuditLog
    replays: Replays
    declaring: threading.Lock  # held while a collection is compared with what a request expects, and changed
    tracing: Tracing
    ending: Ending

    @classmethod
    def of(cls, database: Database, settings: Settings, telemetry: Telemetry, tracing: Tracing) -> Service:
        """The service of one database."""

        def lane(name: str) -> Lane:
            given = {key: getattr(settings, f"{name}_{key}") for key in ("threads", "queue_max", "wait_seconds_max")}
            return Lane(name, **given)

        return cls(
            database=database,
            settings=settings,
            telemetry=telemetry,
            operations=Lane("operations", threads=1, queue_max=OPERATIONS_QUEUE_MAX),
            searches=lane("search"),
            writes=lane("write"),
            embeds=lane("embed"),  # what embeds takes seconds where other writes take milliseconds
            asks=lane("ask"),
            queries=lane("query"),
            bodies=Lane("body", threads=BODY_THREADS, queue_max=BODY_QUEUE_MAX),
            maintenance=Lane("maintenance", threads=1, queue_max=settings.maintenance_queue_max),
            downloads=Lane("download", threads=DOWNLOAD_THREADS, queue_max=DOWNLOAD_QUEUE_MAX),
            identifying=Lane("identify", threads=IDENTIFY_THREADS, queue_max=IDENTIFY_QUEUE_MAX),
            turns=Turns("search"),
            pace=Pace(),
            gatekeeper=Gatekeeper(settings, database.keyring),
            audit=AuditLog(telemetry, settings.audit_log),
            replays=Replays(lambda: database.records("replay")),
            declaring=threading.Lock(),
            tracing=tracing,
            ending=Ending(),
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes."""
        serving = (self.operations, self.searches, self.writes, self.embeds, self.asks, self.queries, self.bodies)
        return (*serving, self.maintenance, self.downloads, self.identifying)

    def check_room(self, path: str) -> None:
        """Refuse a request whose lane is told by its path and stands, before its body is read.

        Raises:
            OverloadedError: it is to be sent again later.
        """
        if path.startswith(COLLECTIONS):
            if path.endswith(SEARCHES):
                self.searches.check_room()
            if self.turns.is_full and path.endswith(SEARCH):
                raise self.turns.refusal()
        elif path.startswith(ASKS):
            self.asks.check_room()
        elif path in QUERIES:
            self.queries.check_room()

    async def write(self, collection: Collection, write: Write) -> WriteResult:
        """Write documents, in the lane of those that embed where the collection does.

        A request that ran out of time stops its embedding.

        Raises:
            TooLargeError: there is more text to embed than one request may bring.
        """
        bounds = EmbedBounds(self.settings.embed_characters_max, threading.Event())
        lane = self.lane_of(collection)
        return await self.stoppable(lane.run(collection.write_bounded, write, bounds), bounds)

    def lane_of(self, collection: Collection) -> Lane:
        """The lane that documents are written in."""
        return self.embeds if collection.embeds else self.writes

    @staticmethod
    async def stoppable(work: Awaitable[R], bounds: EmbedBounds) -> R:
        """The result of work; who is told to stop waiting for it tells it to stop."""
        try:
            return await work
        except asyncio.CancelledError:
            bounds.stop()
            raise

    def gauges(self) -> Iterable[Figure]:
        """What `/metrics` shows beside counts of requests: name, help, labels, value."""
        return figures(self.database, self.lanes, self.turns)

    def resume_jobs(self) -> None:
        """Go on with the jobs that the end of an earlier process cut short; where that fails they stay so."""
        try:
            self.database.jobs.resume()
        except Exception as error:
            if translate(error) is None and not isinstance(error, LumaError):
                raise
            log.warning("jobs.not_resumed", extra={"error": type(error).__name__})

    def write_uses(self, uses: Mapping[str, KeyUse]) -> None:
        """Write down when keys were last used. What cannot be is left out: it is a figure for people."""
        if uses:
            try:
                self.database.keyring.write_uses(uses)
            except Exception as error:
                if translate(error) is None:
                    raise
                log.warning("key_uses.not_written", extra={"error": type(error).__name__})

    def close(self) -> None:
        """Wait for the work in hand, for `CLOSE_SECONDS_MAX` at most: a thread that hangs is left behind."""
        last = time.monotonic() + CLOSE_SECONDS_MAX
        for lane in self.lanes:
            lane.close(timeout_seconds=max(0.0, last - time.monotonic()))
        self.audit.close()
        self.tracing.close()
