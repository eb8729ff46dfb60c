"""What segments and a head hold, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.segments.head import Head
from engine.segments.segment import Segment


def describe(segments: Sequence[Segment], head: Head) -> dict[str, Any]:
    """Documents, rows, and the bytes that they take on disk and in memory."""
    each = [
        {
            "documents": len(segment.ordinals),
            "bytes": segment.files_bytes(),
            "vectors": {name: part.index.stats() for name, part in segment.vector_parts().items()},
        }
        for segment in segments
    ]
    memory = sum(part.index.memory_bytes() for s in segments for part in s.vector_parts().values())
    rows = sum(len(part.index) for s in segments for part in s.vector_parts().values()) + head.rows()
    return {
        "rows": rows,
        "segments": each,
        "head_documents": len(head),
        "head_rows": head.rows(),
        "head_bytes": head.bytes,
        "memory_bytes": memory + head.bytes,
        "disk_bytes": sum(segment.files_bytes() for segment in segments),
    }


def memory(segments: Sequence[Segment], head: Head) -> dict[str, int]:
    """Bytes that segments and the head take; what of segments is only mapped, apart."""
    return {
        "segments_bytes": sum(segment.memory_bytes() for segment in segments),
        "segments_mapped_bytes": sum(segment.mapped_bytes() for segment in segments),
        "heads_bytes": head.memory_bytes(),
    }
