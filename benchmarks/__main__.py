"""`make bench`: run every section (or those named), print the table, and keep it under `benchmarks/results/`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import (
    cascade,
    clients,
    embedding,
    filters,
    gpu,
    hybrid,
    ingestion,
    isolation,
    overload,
    peers,
    pipeline,
    planning,
    quality,
    servers,
    service,
    sql,
    store,
    text,
    vectors,
)
from benchmarks.ann_benchmarks import driver as ann_benchmarks
from benchmarks.report import Report, machine
from benchmarks.vectordbbench import section as vectordbbench

SECTIONS: dict[str, Callable[[Report], None]] = {
    "vectors": vectors.run,
    "growth": vectors.run_growth,
    "service": service.run,
    "servers": servers.run,
    "clients": clients.run,
    "gpu": gpu.run,
    "peers": peers.run,
    "ann_benchmarks": ann_benchmarks.run,
    "vectordbbench": vectordbbench.run,
    "isolation": isolation.run,
    "overload": overload.run,
    "store": store.run,
    "sql": sql.run,
    "text": text.run,
    "hybrid": hybrid.run,
    "filters": filters.run,
    "embedding": embedding.run,
    "pipeline": pipeline.run,
    "planning": planning.run,
    "ingestion": ingestion.run,
    "quality": quality.run,
    "cascade": cascade.run,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        print(f"unknown section {unknown[0]}: expected {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    report = Report()
    print(machine())
    for name in names or SECTIONS:
        print(f"{name}:", flush=True)
        SECTIONS[name](report)
    print()
    print(report.to_markdown())
    report.save("-".join(names) or "all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
