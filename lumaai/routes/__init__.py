"""The service's operations, one module for each kind; `all_operations` lists them."""

from __future__ import annotations

from lumaai.routes import ask, bulk, changes, collections, documents, health, maintenance, search, snapshots
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
        *changes.OPERATIONS,
        *snapshots.OPERATIONS,
        *maintenance.OPERATIONS,
        *health.OPERATIONS,
    )
