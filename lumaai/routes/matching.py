"""Versions of documents in HTTP's own words: ETag, If-Match and If-None-Match (RFC 9110, section 13)."""

from __future__ import annotations

import re
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Expected:
    """What If-Match and If-None-Match say of something that is changed as a whole.

    Attributes:
        match: the ETag that it must have, `ANY`, or None.
        is_absent: there must be none yet.
    """

    match: str | None
    is_absent: bool

    @classmethod
    def of(cls, call: Call) -> Expected:
        """What a request says.

        Raises:
            InvalidRequestError: a header is given twice, or is none that this operation takes.
        """
        takes = call.operation.takes_match
        match = call.header("If-Match", code="if_match_invalid")
        none_match = call.header("If-None-Match", code="if_none_match_invalid")
        if none_match is not None and not ("If-None-Match" in takes and none_match == ANY):
            raise InvalidRequestError(
                f"If-None-Match is not for this: got={none_match!r:.80}", code="if_none_match_invalid"
            )
        if match is not None and "If-Match" not in takes:
            raise InvalidRequestError(f"If-Match is not for this: got={match!r:.80}", code="if_match_invalid")
        return cls(match, none_match is not None)

    @property
    def is_said(self) -> bool:
        """Whether there is anything to check."""
        return self.match is not None or self.is_absent

    def check(self, now: str | None) -> None:
        """Compare with the ETag that it has now; None: it is not there.

        Raises:
            PreconditionFailedError: it is not as expected.
        """
        if self.is_absent and now is not None:
            raise PreconditionFailedError("it is there already: If-None-Match expects that it is not")
        if self.match is not None and now is not None and self.match not in (ANY, now):
            raise PreconditionFailedError(f"it has changed: expected={self.match:.80} got={now}")


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
