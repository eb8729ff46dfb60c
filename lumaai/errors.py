"""The errors that users of `lumaai` see: the same classes from the embedded database and from the client.

    LumaError                        500
    ├── InvalidRequestError          422  the request is understood and cannot be met (400: malformed)
    │   ├── ModelMismatchError       422  the collection was embedded with another model
    │   └── NotSupportedError        422  this version does not do that
    ├── UnauthorizedError            401
    ├── ForbiddenError               403
    ├── ReadOnlyError                403  the directory was opened for reading only
    ├── NotFoundError                404
    ├── ConflictError                409
    ├── GoneError                    410  the cursor has expired
    │   └── ChangesGoneError         410  the log no longer holds the changes asked for
    ├── PreconditionFailedError      412  a condition of the write does not hold
    ├── TooLargeError                413
    ├── TimeLimitError               408  a query took longer than it may
    ├── MemoryLimitError             507  a query needs more memory than it may take
    ├── OverloadedError              429 or 503, retryable
    ├── ModelUnavailableError        503  an embedder or LLM is missing or does not answer
    ├── DatabaseLockedError          503  another process has the directory open
    ├── DatabaseClosedError          503
    ├── StorageFullError             507
    ├── ConnectionFailedError        503  no service answers at the address, retryable
    ├── CorruptionError              500  the files on disk are damaged
    └── InternalError                500

`lumaai.translation` turns the errors of `engine`, `models` and `promptql` into these. `to_problem` writes an error as
RFC 9457 problem details (with `PROBLEM_ERRORS_MAX` errors), and `from_problem` reads it back as the same class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

_TYPE_PREFIX = "urn:lumaai:error:"
# How many errors problem details name: a body of a megabyte can have more than its sender reads.
PROBLEM_ERRORS_MAX = 1_000

JSONValue = Any  # None | bool | int | float | str | list | dict: what `json.loads` gives


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One thing that is wrong with a request, and where.

    Attributes:
        pointer: JSON Pointer into the request's body, such as `/documents/3/vector`; "" for the whole.
        index: position of the document in the batch, where there is one.
        id: id of that document, where it has one.
        hint: what would be right.
        offset: character of a text at `pointer`, counted from 0, where that says more: in a filter written like SQL.
    """

    pointer: str
    code: str
    message: str
    expected: str | int | None = None
    got: str | int | None = None
    index: int | None = None
    id: str | None = None
    offset: int | None = None
    hint: str | None = None

    def to_json(self) -> dict[str, JSONValue]:
        """The detail as a JSON object, without the keys that say nothing."""
        data = {"pointer": self.pointer, "code": self.code, "message": self.message}
        rest = {
            "expected": self.expected, "got": self.got, "index": self.index, "id": self.id, "offset": self.offset,
            "hint": self.hint,
        }  # fmt: skip
        return {**data, **{key: value for key, value in rest.items() if value is not None}}

    @classmethod
    def from_json(cls, data: Mapping[str, JSONValue]) -> ErrorDetail:
        """Read what `to_json` wrote; keys that are missing read as empty, unknown keys are left out."""
        return cls(
            pointer=str(data.get("pointer", "")),
            code=str(data.get("code", "")),
            message=str(data.get("message", "")),
            expected=data.get("expected"),
            got=data.get("got"),
            index=data.get("index"),
            id=data.get("id"),
            offset=data.get("offset"),
            hint=data.get("hint"),
        )


class LumaError(Exception):
    """Base of every error that `lumaai` raises on purpose.

    Args:
        message: starts in lower case and ends with the facts.
        code: machine-readable kind, finer than the class; the class's own when left out.
        errors: what is wrong in detail, for requests with several faults.
        status: HTTP status, where it is not the class's own.
        retryable: whether the same request may succeed later, where it is not as the class says.
        retry_after: seconds after which trying again makes sense.
    """

    default_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"
    default_retryable: ClassVar[bool] = False
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        errors: Sequence[ErrorDetail] = (),
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.errors = tuple(errors)
        self.status = status or self.default_status
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after

    def to_problem(self, *, instance: str | None = None) -> dict[str, JSONValue]:
        """The error as RFC 9457 problem details: `type` names the class, `code` says finer which.

        More errors than `PROBLEM_ERRORS_MAX` are counted in `errors_left_out`.

        Args:
            instance: the request's id.
        """
        problem: dict[str, JSONValue] = {
            "type": f"{_TYPE_PREFIX}{self.default_code}",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            "errors": [detail.to_json() for detail in self.errors[:PROBLEM_ERRORS_MAX]],
            "retryable": self.retryable,
        }
        if len(self.errors) > PROBLEM_ERRORS_MAX:
            problem["errors_left_out"] = len(self.errors) - PROBLEM_ERRORS_MAX
        if instance is not None:
            problem["instance"] = instance
        if self.retry_after is not None:
            problem["retry_after"] = self.retry_after
        return problem


class InvalidRequestError(LumaError):
    """The caller must change the request: a wrong type, value, size or combination."""

    default_status = 422
    default_code = "invalid_request"
    title = "Invalid request"


class ModelMismatchError(InvalidRequestError):
    """The collection's vectors were made by another model than the one in use."""

    default_code = "model_mismatch"
    title = "Another embedding model"


class NotSupportedError(InvalidRequestError):
    """This version does not do that."""

    default_code = "not_supported"
    title = "Not supported"


class UnauthorizedError(LumaError):
    """No API key, or a wrong one."""

    default_status = 401
    default_code = "unauthorized"
    title = "Unauthorized"


class ForbiddenError(LumaError):
    """The key is right and does not allow this."""

    default_status = 403
    default_code = "forbidden"
    title = "Forbidden"


class ReadOnlyError(LumaError):
    """The directory was opened for reading only."""

    default_status = 403
    default_code = "read_only"
    title = "Read only"


class NotFoundError(LumaError):
    """There is no such collection, document or route."""

    default_status = 404
    default_code = "not_found"
    title = "Not found"


class ConflictError(LumaError):
    """What exists already contradicts the request."""

    default_status = 409
    default_code = "conflict"
    title = "Conflict"


class GoneError(LumaError):
    """The cursor's snapshot is no longer kept: start again without a cursor."""

    default_status = 410
    default_code = "cursor_expired"
    title = "Cursor expired"


class ChangesGoneError(GoneError):
    """The log no longer holds the changes asked for: read the collections anew, then follow from their sequence."""

    default_code = "changes_gone"
    title = "Changes gone"


class PreconditionFailedError(LumaError):
    """A condition of the write does not hold; `errors` names the documents. Nothing was written."""

    default_status = 412
    default_code = "precondition_failed"
    title = "Precondition failed"


class TooLargeError(LumaError):
    """A limit on size was passed; the message names it."""

    default_status = 413
    default_code = "too_large"
    title = "Too large"

    @classmethod
    def at(cls, pointer: str, message: str, maximum: int, got: int, *, code: str = default_code) -> TooLargeError:
        """Of the value at `pointer` of a request."""
        return cls(message, code=code, errors=[ErrorDetail(pointer, code, message, maximum, got)])


class TimeLimitError(LumaError):
    """A query took longer than it may; the message says how long that is."""

    default_status = 408
    default_code = "time_limit_exceeded"
    title = "Took too long"


class MemoryLimitError(LumaError):
    """A query needs more memory, or more room on disk beside it, than it may take."""

    default_status = 507
    default_code = "memory_limit_exceeded"
    title = "Too much memory"


class OverloadedError(LumaError):
    """The service is busy and refuses early: try again after `retry_after` seconds."""

    default_status = 503
    default_code = "overloaded"
    title = "Overloaded"
    default_retryable = True


class ModelUnavailableError(LumaError):
    """An embedder's weights are missing or damaged, or an LLM does not answer."""

    default_status = 503
    default_code = "model_unavailable"
    title = "Model unavailable"


class DatabaseLockedError(LumaError):
    """Another process has the directory open; the message names it."""

    default_status = 503
    default_code = "database_locked"
    title = "Database in use"


class DatabaseClosedError(LumaError):
    """The database was closed before this call."""

    default_status = 503
    default_code = "database_closed"
    title = "Database closed"


class StorageFullError(LumaError):
    """No space is left on the device; nothing of the write was kept."""

    default_status = 507
    default_code = "storage_full"
    title = "Storage full"


class ConnectionFailedError(LumaError):
    """No service answers at the address, or it stopped in the middle of an answer."""

    default_status = 503
    default_code = "connection_failed"
    title = "Connection failed"
    default_retryable = True


class CorruptionError(LumaError):
    """The files on disk are damaged."""

    default_code = "corrupted"
    title = "Database damaged"


class InternalError(LumaError):
    """A mistake of ours; the service's log has the rest."""


def from_problem(problem: Mapping[str, JSONValue], *, status: int | None = None) -> LumaError:
    """The error that a service's problem details stand for.

    The class is found by `type`, else by `status`.

    Args:
        problem: the decoded body; what is not problem details reads as an error without details.
        status: the response's status, used where the body has none.
    """
    code = str(problem.get("code") or "") or None
    number = problem.get("status", status)
    final = number if isinstance(number, int) and number >= 400 else status or 500
    kind = str(problem.get("type") or "").removeprefix(_TYPE_PREFIX)
    cls = _BY_KIND.get(kind) or _BY_STATUS.get(final) or _family(final)
    details, retry_after, retryable = (problem.get(key) for key in ("errors", "retry_after", "retryable"))
    return cls(
        str(problem.get("detail") or problem.get("title") or f"the service answered with status {final}"),
        code=code,
        errors=[ErrorDetail.from_json(item) for item in details] if isinstance(details, list) else (),
        status=final,
        retryable=retryable if isinstance(retryable, bool) else None,
        retry_after=retry_after if isinstance(retry_after, int | float) else None,
    )


def _family(status: int) -> type[LumaError]:
    return InvalidRequestError if 400 <= status < 500 else InternalError


def _classes(cls: type[LumaError] = LumaError) -> list[type[LumaError]]:
    return [cls, *(below for child in cls.__subclasses__() for below in _classes(child))]


_BY_KIND = {cls.default_code: cls for cls in _classes() if cls is not LumaError}
_BY_STATUS: dict[int, type[LumaError]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    412: PreconditionFailedError,
    413: TooLargeError,
    422: InvalidRequestError,
    429: OverloadedError,
    500: InternalError,
    503: OverloadedError,
    507: StorageFullError,
}
