"""Cascades: a cheap proxy decides what it can, a judge the rest, with a guarantee. Arrays only, no steps, no models."""

from __future__ import annotations

from promptql.cascade.certificate import Certificate, Method
from promptql.cascade.head import features_of
from promptql.cascade.quality import Quality, Target
from promptql.cascade.schedule import rows_read
from promptql.cascade.selection import FAILED, KEPT, LEFT_OUT, NOT_ASKED, ROWS_MIN, UNREAD, Judge, Selection, select

__all__ = [
    "FAILED",
    "KEPT",
    "LEFT_OUT",
    "NOT_ASKED",
    "ROWS_MIN",
    "UNREAD",
    "Certificate",
    "Judge",
    "Method",
    "Quality",
    "Selection",
    "Target",
    "features_of",
    "rows_read",
    "select",
]
