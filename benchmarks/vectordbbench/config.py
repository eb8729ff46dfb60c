"""What VectorDBBench asks a user for: where the service is, and what index to build and search with."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SecretStr
from vectordb_bench.backend.clients.api import DBCaseConfig, DBConfig, MetricType

METRICS = {MetricType.L2: "l2", MetricType.COSINE: "cosine", MetricType.IP: "dot", MetricType.DP: "dot"}


class LumaConfig(DBConfig):  # type: ignore[misc]  # its package is not there for mypy
    """The service: `uri` as `lumaai.connect` takes it; processes that search at the same time need a service."""

    uri: str = "http://127.0.0.1:8000"
    api_key: SecretStr | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the client takes it."""
        key = None if self.api_key is None else self.api_key.get_secret_value()
        return {"uri": self.uri, "api_key": key}


class LumaIndexConfig(BaseModel, DBCaseConfig):  # type: ignore[misc]  # likewise
    """The index, and how hard it is searched; what is None the engine chooses."""

    metric_type: MetricType | None = None
    index: str = "auto"
    quantization: str = "auto"
    m: int | None = None
    ef_construction: int | None = None
    ef_search: int | None = None
    nprobe: int | None = None
    oversample: float | None = None
    recall: float | None = None

    def index_param(self) -> dict[str, Any]:
        """The declaration of the vector field, without its dimension."""
        metric = METRICS[self.metric_type or MetricType.COSINE]
        given = {"m": self.m, "ef_construction": self.ef_construction}
        chosen = {name: value for name, value in given.items() if value is not None}
        return {"type": "vector", "metric": metric, "index": self.index, "quantization": self.quantization, **chosen}

    def search_param(self) -> dict[str, Any]:
        """`params` of a search."""
        given = {name: getattr(self, name) for name in ("ef_search", "nprobe", "oversample", "recall")}
        return {name: value for name, value in given.items() if value is not None}
