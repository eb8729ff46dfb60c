"""The service's operations, one module for each kind; `all_operations` lists them."""

from __future__ import annotations

from lumaai.routes import ask, bulk, collections, documents, health, search
from lumaai.routes.operation import Operation

__all__ = ["all_operations"]


def all_operations() -> tuple[Operation, ...]:
    """Every operation of the service; the router tries paths in this order, the hot ones first."""
    return (
        *search.OPERATIONS,
        *bulk.OPERATIONS,
        *documents.OPERATIONS,
        *ask.OPERATIONS,
        *collections.OPERATIONS,
        *health.OPERATIONS,
    )
