"""Versions of documents in HTTP's own words: ETag, If-Match and If-None-Match (RFC 9110, section 13)."""

from __future__ import annotations

import re

from lumaai.errors import ErrorDetail, InvalidRequestError, PreconditionFailedError
from lumaai.options import WriteOptions
from lumaai.routes.operation import Call

ANY = "*"
# A version's ETag; there is no version 0, which to the engine means that there is no document.
_VERSION = re.compile(r'"([1-9][0-9]{0,17})"')


def etag_of(version: int | None) -> str:
    """The ETag of a document's version."""
    return f'"{version}"'


def known_versions(call: Call) -> frozenset[str] | str | None:
    """What `If-None-Match` of a GET names: ETags, `ANY`, or None without the header.

    Raises:
        InvalidRequestError: it is given twice.
    """
    given = call.header("If-None-Match", code="if_none_match_invalid")
    if given is None or given == ANY:
        return given
    return frozenset(re.findall(r'"[^"]*"', given))  # what is no ETag is none that is known


def write_options(call: Call, document_id: str) -> WriteOptions:
    """What the headers of a write of one document ask for: conditions, and the idempotency key.

    Raises:
        InvalidRequestError: a header is malformed, or not one that this operation takes.
        PreconditionFailedError: If-Match has no ETag that a document may have, or several.
    """
    match = call.header("If-Match", code="if_match_invalid")
    none_match = call.header("If-None-Match", code="if_none_match_invalid")
    takes_none_match = "If-None-Match" in call.operation.takes_match
    if none_match is not None and not (takes_none_match and none_match == ANY):
        expected = ANY if takes_none_match else "none"
        message = f"If-None-Match is not for this: expected={expected} got={none_match!r:.80}"
        raise InvalidRequestError(message, code="if_none_match_invalid")
    options = WriteOptions(
        if_version=None if match is None or match == ANY else {document_id: _version(match, document_id)},
        if_absent=none_match is not None,
        # Every document that is there matches the empty filter.
        if_matches={} if match == ANY else None,
        idempotency_key=call.idempotency_key(),
    )
    options.check()
    return options


def _version(match: str, document_id: str) -> int:
    found = _VERSION.fullmatch(match)
    if found is None:
        message = f'document cannot have what If-Match says: expected=one ETag, such as "7", or {ANY} got={match!r:.80}'
        code = PreconditionFailedError.default_code
        raise PreconditionFailedError(message, errors=[ErrorDetail("", code, message, id=document_id)])
    return int(found[1])
