"""What is refused before it becomes a request of the application."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from lumaai.errors import OverloadedError
from lumaai.problems import raw_problem, request_id_of
from lumaai.routes.service import Service
from lumaai.telemetry import RequestRecord
from lumaai.turns import RETRY_AFTER_SECONDS

_SEARCH = re.compile(rb"/v1/collections/[^/]+/search")
_SEARCH_ROUTE = "/v1/collections/{c}/search"


def turned_away(service: Service, method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The whole answer to a search while too many others wait for their turn, as `Edge` would give it."""
    if not service.turns.is_full or method != "POST" or _SEARCH.fullmatch(path) is None:
        return None
    record = RequestRecord(request_id_of({"headers": headers}), method, _SEARCH_ROUTE)
    error = service.turns.refusal()
    record.status, record.code = error.status, error.code
    service.telemetry.record(record)
    if len(record.id) != len(_ANY_ID):
        return raw_problem(error, record.id)
    return _raw_refusal(error.message).replace(_ANY_ID, record.id.encode())


_ANY_ID = b"*" * 16


@functools.lru_cache(maxsize=4)
def _raw_refusal(message: str) -> bytes:
    """The answer to a request with an id of ours, which is all that differs between them."""
    return raw_problem(OverloadedError(message, retry_after=RETRY_AFTER_SECONDS), _ANY_ID.decode())
