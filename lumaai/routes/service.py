"""What the operations work with: the database, the settings, the lanes of threads and the telemetry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lumaai.database import Database
from lumaai.limits import Lane
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service. Reads share the lane of searches: they take as long, or less."""

    database: Database
    settings: Settings
    telemetry: Telemetry
    searches: Lane
    writes: Lane
    asks: Lane

    @classmethod
    def of(cls, database: Database, settings: Settings, telemetry: Telemetry) -> Service:
        """The service of one database."""
        return cls(
            database=database,
            settings=settings,
            telemetry=telemetry,
            searches=Lane("search", threads=settings.search_threads, queue_max=settings.search_queue_max),
            writes=Lane("write", threads=settings.write_threads, queue_max=settings.write_queue_max),
            asks=Lane("ask", threads=settings.ask_threads, queue_max=settings.ask_queue_max),
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes."""
        return (self.searches, self.writes, self.asks)

    def gauges(self) -> Iterable[tuple[str, str, dict[str, str], float]]:
        """What `/metrics` shows beside counters: name, help, labels, value."""
        for lane in self.lanes:
            yield ("lumaai_lane_work", "Work running or waiting.", {"lane": lane.name}, lane.taken)
            yield ("lumaai_lane_capacity", "Work that is taken at most.", {"lane": lane.name}, lane.capacity)
        for name in self.database.collections():
            info = self.database.collection(name).info()
            yield ("lumaai_documents", "Documents in a collection.", {"collection": name}, info.documents)

    def close(self) -> None:
        """Wait for the work in hand."""
        for lane in self.lanes:
            lane.close()
