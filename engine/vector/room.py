"""How much memory there is for what must lie in it to be quick: graphs, whose walk touches any row; rows on a card."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from engine.schema import Quantization, VectorField
from engine.vector.device.training import Card

GRAPH_SHARE = 0.5  # of the memory there is, for one graph; the rest is for others, and for building it
CARD_SHARE = 0.5  # of a card's memory, for one segment; the rest is for others, and for searching
CGROUP = Path("/sys/fs/cgroup/memory.max")
LINK_BYTES = 4
ROW_BYTES = 12  # of a graph: where its links begin, and its level
COMPONENT_BYTES = {Quantization.FP16: 2, Quantization.SQ8: 1}


@cache
def machine_bytes() -> int:
    """Memory of this machine, or of the container in it."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP.read_text().strip()
    except OSError:
        return pages
    return min(pages, int(limit)) if limit.isdigit() else pages


def graph_bytes(rows: int, spec: VectorField) -> int:
    """What a graph takes: its vectors, and 2 m links a row on the lowest level, where nearly all are."""
    vectors = COMPONENT_BYTES.get(spec.quantization, 4) * spec.dim
    return rows * (vectors + 2 * spec.m * LINK_BYTES + ROW_BYTES)


def has_room_for_graph(rows: int, spec: VectorField) -> bool:
    """Whether a graph would stay in memory."""
    return graph_bytes(rows, spec) <= GRAPH_SHARE * machine_bytes()


def has_room_on(card: Card, rows: int, dim: int) -> bool:
    """Whether a card holds so many vectors of float32, and can go on holding them."""
    return 4 * rows * dim <= CARD_SHARE * card.bytes
