"""The service's operations, one module for each kind; `all_operations` lists them."""

from __future__ import annotations

from lumaai.routes import (
    aliases,
    ask,
    bulk,
    changes,
    chat,
    collections,
    documents,
    facets,
    health,
    jobs,
    keys,
    lessons,
    maintenance,
    models,
    programs,
    query,
    reembedding,
    search,
    snapshots,
    sql,
)
from lumaai.routes.operation import Operation

__all__ = ["all_operations"]


def all_operations() -> tuple[Operation, ...]:
    """Every operation of the service; the router tries paths in this order, the hot ones first."""
    return (
        *search.OPERATIONS,
        *bulk.OPERATIONS,
        *documents.OPERATIONS,
        *facets.OPERATIONS,
        *sql.OPERATIONS,
        *query.OPERATIONS,
        *ask.OPERATIONS,
        *programs.OPERATIONS,
        *chat.OPERATIONS,
        *models.OPERATIONS,
        *lessons.OPERATIONS,
        *collections.OPERATIONS,
        *aliases.OPERATIONS,
        *reembedding.OPERATIONS,
        *changes.OPERATIONS,
        *snapshots.OPERATIONS,
        *maintenance.OPERATIONS,
        *jobs.OPERATIONS,
        *keys.OPERATIONS,
        *health.OPERATIONS,
    )
