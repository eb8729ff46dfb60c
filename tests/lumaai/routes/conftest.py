from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lumaai.serving import FILMS, VECTORS, Service, serving


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service without collections."""
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def films(service: Service) -> Service:
    """A service with three films, embedded by hashing their words."""
    body = {"embed": {"vector": {"from": ["title", "plot"], "model": "hashing:64"}}}
    assert service.put("/v1/collections/films", body).status_code == 201
    assert service.post("/v1/collections/films/documents", {"documents": FILMS}).status_code == 200
    return service


@pytest.fixture
def titled(service: Service) -> Service:
    """A service with three points that have a text each, of which two have "moon"."""
    fields = {"vector": {"type": "vector", "dim": 2}, "title": {"type": "text"}}
    assert service.put("/v1/collections/titled", {"fields": fields, "embed": {}}).status_code == 201
    titles = ["moon base", "the moon", "sun"]
    documents = [{**each, "title": title} for each, title in zip(VECTORS, titles, strict=True)]
    assert service.post("/v1/collections/titled/documents", {"documents": documents}).status_code == 200
    return service


@pytest.fixture
def points(service: Service) -> Service:
    """A service with three points of the plane."""
    body = {"fields": {"vector": {"type": "vector", "dim": 2}}, "embed": {}}
    assert service.put("/v1/collections/points", body).status_code == 201
    assert service.post("/v1/collections/points/documents", {"documents": VECTORS}).status_code == 200
    return service
