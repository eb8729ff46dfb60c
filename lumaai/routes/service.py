"""What the operations work with: the database, the settings, the lanes of threads and the telemetry."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lumaai.audit import AuditLog
from lumaai.auth import Gatekeeper
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.documents import Write
from lumaai.embedding import EmbedBounds
from lumaai.errors import LumaError
from lumaai.keys import KeyUse
from lumaai.limits import Lane
from lumaai.results import WriteResult
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry
from lumaai.translation import translate

log = logging.getLogger("lumaai")

R = TypeVar("R")

# Large bodies that are read at once, and that wait for it.
BODY_THREADS = 2
BODY_QUEUE_MAX = 64
# Pieces of snapshots that are read at once, and that wait for it: one for each download.
DOWNLOAD_THREADS = 2
DOWNLOAD_QUEUE_MAX = 14
# Keys and tokens that are checked at once, and that wait for it; each is checked once.
IDENTIFY_THREADS = 2
IDENTIFY_QUEUE_MAX = 64
# How long the end of the service waits for work whose requests are gone.
CLOSE_SECONDS_MAX = 3.0


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service. Reads share the lane of searches: they take as long, or less.

    Work on all files (snapshots, checks, compaction) has a lane of one thread, and giving out snapshots another: they
    take minutes, and never a thread that a search or a write waits for.
    """

    database: Database
    settings: Settings
    telemetry: Telemetry
    searches: Lane
    writes: Lane
    embeds: Lane
    asks: Lane
    bodies: Lane
    maintenance: Lane
    downloads: Lane
    identifying: Lane
    gatekeeper: Gatekeeper
    audit: AuditLog

    @classmethod
    def of(cls, database: Database, settings: Settings, telemetry: Telemetry) -> Service:
        """The service of one database."""
        return cls(
            database=database,
            settings=settings,
            telemetry=telemetry,
            searches=Lane("search", threads=settings.search_threads, queue_max=settings.search_queue_max),
            writes=Lane("write", threads=settings.write_threads, queue_max=settings.write_queue_max),
            # Writes that embed take seconds where others take milliseconds.
            embeds=Lane("embed", threads=settings.embed_threads, queue_max=settings.embed_queue_max),
            asks=Lane("ask", threads=settings.ask_threads, queue_max=settings.ask_queue_max),
            bodies=Lane("body", threads=BODY_THREADS, queue_max=BODY_QUEUE_MAX),
            maintenance=Lane("maintenance", threads=1, queue_max=settings.maintenance_queue_max),
            downloads=Lane("download", threads=DOWNLOAD_THREADS, queue_max=DOWNLOAD_QUEUE_MAX),
            identifying=Lane("identify", threads=IDENTIFY_THREADS, queue_max=IDENTIFY_QUEUE_MAX),
            gatekeeper=Gatekeeper(settings, database.keyring),
            audit=AuditLog(telemetry, settings.audit_log),
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes."""
        serving = (self.searches, self.writes, self.embeds, self.asks, self.bodies)
        return (*serving, self.maintenance, self.downloads, self.identifying)

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

    def gauges(self) -> Iterable[tuple[str, str, dict[str, str], float]]:
        """What `/metrics` shows beside counters: name, help, labels, value."""
        for lane in self.lanes:
            yield ("lumaai_lane_work", "Work running or waiting.", {"lane": lane.name}, lane.taken)
            yield ("lumaai_lane_capacity", "Work that is taken at most.", {"lane": lane.name}, lane.capacity)
        stats = self.database.stats()
        for name, figure in stats["memory"].items():
            yield (
                "lumaai_memory_bytes",
                "Memory by what takes it; segments_mapped_bytes: files that are only mapped.",
                {"kind": name},
                figure,
            )
        for name, figure in stats["memory_limits"].items():
            yield ("lumaai_memory_limit_bytes", "What a cache may take at most.", {"kind": name}, figure)
        yield from _cache_gauges(stats["embedding_cache"])
        for info in self.database.infos():
            label = {"collection": info.name}
            is_damaged = info.damaged is not None
            yield ("lumaai_collection_damaged", "Whether a collection cannot be used.", label, float(is_damaged))
            if not is_damaged:
                yield ("lumaai_documents", "Documents in a collection.", label, info.documents)

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


def _cache_gauges(figures: Mapping[str, Any]) -> Iterable[tuple[str, str, dict[str, str], float]]:
    name, text = "lumaai_embedding_cache_texts", "Texts that vectors were wanted of, by the cache that had them."
    for cache, hits in figures["hits"].items():
        yield (name, text, {"found_in": cache}, hits)
    yield (name, text, {"found_in": "none"}, figures["misses"])
    yield ("lumaai_embedding_cache_hit_rate", "Share of them that a cache had.", {}, figures["hit_rate"])
