"""The figures of a running service that `/metrics` shows beside the counts of requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from lumaai.database import Database
    from lumaai.limits import Lane
    from lumaai.turns import Turns

# Name, help, labels, value; names that end in `_total` only grow while the process lives.
Figure: TypeAlias = tuple[str, str, dict[str, str], float]


def figures(database: Database, lanes: Iterable[Lane], turns: Turns) -> Iterator[Figure]:
    """All of them, as they are now."""
    for lane in lanes:
        yield from _of_lane(lane)
    yield from _of_turns(turns)
    stats = database.stats()
    yield ("lumaai_disk_bytes", "Files of the database.", {}, stats["disk_bytes"])
    yield ("lumaai_sequence", "Of the last write.", {}, stats["sequence"])
    text = "Memory by what takes it; segments_mapped_bytes: files that are only mapped."
    for name, figure in stats["memory"].items():
        yield ("lumaai_memory_bytes", text, {"kind": name}, figure)
    for name, figure in stats["memory_limits"].items():
        yield ("lumaai_memory_limit_bytes", "What a cache may take at most.", {"kind": name}, figure)
    yield from _of_cache(stats["embedding_cache"])
    yield from _of_questions(database.question_figures())
    for info in database.infos():
        label = {"collection": info.name}
        yield ("lumaai_collection_damaged", "Whether a collection cannot be used.", label, info.damaged is not None)
        if info.damaged is None:
            yield from _of_collection(database, info.name, label)


def _of_lane(lane: Lane) -> Iterator[Figure]:
    label = {"lane": lane.name}
    yield ("lumaai_lane_work", "Work running or waiting.", label, lane.taken)
    yield (
        "lumaai_lane_waiting",
        "Work waiting for a thread or a turn.",
        label,
        max(0, lane.taken - lane.threads),
    )
    yield ("lumaai_lane_capacity", "Work that is taken at most.", label, lane.capacity)
    yield ("lumaai_lane_wait_seconds", "How long work that comes now waits, by expectation.", label, lane.wait_seconds)
    yield ("lumaai_lane_work_done_total", "Work that has ended.", label, lane.done)
    yield ("lumaai_lane_refused_total", "Work that was refused: the queue was full, or stood.", label, lane.refused)


def _of_turns(turns: Turns) -> Iterator[Figure]:
    label = {"lane": "turn"}
    yield ("lumaai_lane_work", "Work running or waiting.", label, len(turns))
    yield ("lumaai_lane_waiting", "Work waiting for a thread or a turn.", label, len(turns))
    yield ("lumaai_lane_capacity", "Work that is taken at most.", label, turns.waiting_max)
    yield ("lumaai_lane_work_done_total", "Work that has ended.", label, turns.given)
    yield ("lumaai_lane_refused_total", "Work that was refused: the queue was full, or stood.", label, turns.refused)


def _of_cache(cache: Mapping[str, Any]) -> Iterator[Figure]:
    name, text = "lumaai_embedding_texts_total", "Texts whose vectors were wanted, by the cache that had them."
    for kind, hits in cache["hits"].items():
        yield (name, text, {"found_in": kind}, hits)
    yield (name, text, {"found_in": "none"}, cache["misses"])
    yield ("lumaai_embedding_cache_hit_rate", "Share of them that a cache had.", {}, cache["hit_rate"])


def _of_questions(asked: Mapping[str, Any]) -> Iterator[Figure]:
    for (planner, band), count in asked["answers"].items():
        labels = {"planner": planner, "band": band}
        yield ("lumaai_answers_total", "Questions and plans that were answered.", labels, count)
    yield ("lumaai_llm_calls_total", "Requests to the language model, for answers.", {}, asked["calls"])
    yield ("lumaai_llm_cache_hits_total", "Of what it was to be asked, what was known.", {}, asked["cache_hits"])
    yield ("lumaai_llm_dollars_total", "What it cost, by the table of prices.", {}, asked["usd"])
    text = "Tokens that it read and wrote."
    yield ("lumaai_llm_tokens_total", text, {"direction": "in"}, asked["tokens_in"])
    yield ("lumaai_llm_tokens_total", text, {"direction": "out"}, asked["tokens_out"])


def _of_collection(database: Database, name: str, label: dict[str, str]) -> Iterator[Figure]:
    from lumaai.errors import LumaError

    try:
        stats = database.collection(name).stats()
    except LumaError:  # dropped, or damaged, a moment ago
        return
    yield ("lumaai_documents", "Documents in a collection.", label, stats["documents"])
    yield ("lumaai_segments", "Immutable parts of a collection.", label, len(stats["segments"]))
    yield ("lumaai_rows", "Rows of a collection's vectors, dead ones included.", label, stats["rows"])
    yield ("lumaai_deleted_documents", "Dead documents that still take room.", label, stats["deleted"])
    for kind, done in stats["done"].items():
        labels = {**label, "kind": kind}
        yield ("lumaai_segment_builds_total", "Segments sealed and merges done.", labels, done["count"])
        yield ("lumaai_segment_build_seconds_total", "Seconds that they took.", labels, done["seconds"])
