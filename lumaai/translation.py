"""From the errors of `engine`, `models` and `promptql` to those of `lumaai`, by one table."""

from __future__ import annotations

import errno
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from lumaai.errors import (
    ChangesGoneError,
    ConflictError,
    CorruptionError,
    DatabaseClosedError,
    DatabaseLockedError,
    ErrorDetail,
    InternalError,
    InvalidRequestError,
    LumaError,
    MemoryLimitError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    PreconditionFailedError,
    ReadOnlyError,
    StorageFullError,
    TimeLimitError,
    TooLargeError,
)

P = ParamSpec("P")
R = TypeVar("R")

# What the system says where a disk, or a quota on it, is full.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# A service that we asked refused, or answered with nonsense.
BAD_GATEWAY = 502
# Faults of a document that are limits on size: a batch with no others is too large rather than wrong.
LIMIT_CODES = frozenset({"id_too_long", "document_too_large", "batch_too_large"})


@dataclass(frozen=True, slots=True)
class _Translation:
    """What a foreign error becomes, what its pointers are relative to, where it is without one, and its HTTP status."""

    to: type[LumaError]
    prefix: str = ""
    place: str = ""
    status: int | None = None


# Foreign classes by name, so that the light parts of lumaai need not import the packages they come from. The
# first class of the error's MRO that is in the table decides.
TRANSLATIONS: Mapping[str, _Translation] = {
    "engine.SchemaError": _Translation(InvalidRequestError),
    "engine.FilterError": _Translation(InvalidRequestError, "/filter"),
    "engine.FacetError": _Translation(InvalidRequestError, "/facets"),
    "engine.OrderError": _Translation(InvalidRequestError, "/order_by"),
    "engine.SqlError": _Translation(InvalidRequestError, place="/sql"),
    "engine.QueryError": _Translation(InvalidRequestError, "/query"),
    "engine.TimeLimitError": _Translation(TimeLimitError),
    "engine.MemoryLimitError": _Translation(MemoryLimitError),
    "engine.DimensionMismatchError": _Translation(InvalidRequestError, place="/vector"),
    "engine.InvalidDocumentsError": _Translation(InvalidRequestError, "/documents"),
    "engine.DocumentExistsError": _Translation(ConflictError, "/documents"),
    "engine.ConditionFailedError": _Translation(PreconditionFailedError, "/documents"),
    "engine.DocumentsNotFoundError": _Translation(NotFoundError, "/documents"),
    "engine.LimitExceededError": _Translation(TooLargeError, "/documents"),
    "engine.IdempotencyConflictError": _Translation(InvalidRequestError),
    "engine.ArchiveError": _Translation(InvalidRequestError),
    "engine.InvalidInputError": _Translation(InvalidRequestError),
    "engine.ChangesGoneError": _Translation(ChangesGoneError, place="/from"),
    "engine.ReadOnlyError": _Translation(ReadOnlyError),
    "engine.CollectionNotFoundError": _Translation(NotFoundError),
    "engine.CollectionExistsError": _Translation(ConflictError),
    "engine.DatabaseLockedError": _Translation(DatabaseLockedError),
    "engine.DatabaseClosedError": _Translation(DatabaseClosedError),
    "engine.StorageFullError": _Translation(StorageFullError),
    "engine.CorruptionError": _Translation(CorruptionError),
    "engine.DatabaseNotFoundError": _Translation(NotFoundError),
    "engine.FormatError": _Translation(InvalidRequestError),
    "engine.EngineError": _Translation(InternalError),
    "models.InvalidTextError": _Translation(InvalidRequestError),
    "models.ModelNameError": _Translation(InvalidRequestError),
    "models.QueueFullError": _Translation(OverloadedError),
    "models.RemoteUnavailableError": _Translation(ModelUnavailableError),
    "models.RemoteModelError": _Translation(ModelUnavailableError, status=BAD_GATEWAY),
    "models.ModelError": _Translation(ModelUnavailableError),
    "promptql.QuestionError": _Translation(InvalidRequestError, "/question"),
    "promptql.ArgumentError": _Translation(InvalidRequestError),
    "promptql.PlanStoppedError": _Translation(InvalidRequestError, place="/plan"),
    "promptql.PlanCancelledError": _Translation(TimeLimitError),
    "promptql.PlanError": _Translation(InvalidRequestError, "/plan"),
    "promptql.LessonNotFoundError": _Translation(NotFoundError),
    "promptql.FeedbackError": _Translation(InvalidRequestError),
    "promptql.ProgramNotFoundError": _Translation(NotFoundError),
    "promptql.ProgramError": _Translation(InvalidRequestError),
    "promptql.LLMPlanningError": _Translation(ModelUnavailableError, status=BAD_GATEWAY),
    "promptql.PlannerUnavailableError": _Translation(InvalidRequestError, "/planner"),
    "promptql.LimitExceededError": _Translation(InvalidRequestError, "/question"),
    "promptql.PromptQLError": _Translation(InternalError),
}


def translate(error: BaseException) -> LumaError | None:
    """The LumaError that an engine, models or promptql error stands for; None for most other exceptions.

    Raise it with `raise … from error`.
    """
    if isinstance(error, LumaError):
        return error
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        # Python refuses to write such a number, also into the message of what refuses it.
        return InvalidRequestError("integer is too long: more than 4,300 digits", code="integer_too_long")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        place = f": path={error.filename}" if error.filename else ""
        return StorageFullError(f"no room on the disk{place} ({os.strerror(error.errno)})")
    for cls in type(error).__mro__:
        translation = TRANSLATIONS.get(f"{cls.__module__.partition('.')[0]}.{cls.__name__}")
        if translation is not None:
            details = _details(error, translation)
            if details and {detail.code for detail in details} <= LIMIT_CODES:
                return TooLargeError(str(error), code=details[0].code, errors=details)
            return translation.to(
                str(error),
                code=getattr(error, "code", None),
                errors=details,
                status=translation.status,
                retryable=getattr(error, "retryable", None),
            )
    return None


def translated(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function raise LumaErrors where it would raise those of engine, models or promptql.

    A method's object may know more of them than they say themselves: what it has as `_opened` explains them.
    """
    # An error has the frames that it passed through in its traceback: one of them that has the error as well keeps all
    # that they hold, a large batch among it, until garbage is looked for.
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waited(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return await function(*args, **kwargs)
            except LumaError:
                raise
            except Exception as error:  # noqa: BLE001 - raised again
                luma_error = _explained(error, args)
                try:
                    if luma_error is error:
                        raise
                    raise luma_error from error
                finally:
                    del luma_error  # see above

        return cast("Callable[P, R]", waited)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except LumaError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again
            luma_error = _explained(error, args)
            try:
                if luma_error is error:
                    raise
                raise luma_error from error
            finally:
                del luma_error  # see above

    return call


def _explained(error: Exception, args: tuple[object, ...]) -> Exception:
    """What a method raises in place of an error, which may be that error itself."""
    luma_error = None if isinstance(error, LumaError) else translate(error)
    if luma_error is None:
        return error
    opened = getattr(args[0], "_opened", None) if args else None
    return luma_error if opened is None else cast("LumaError", opened.explain(luma_error))


def translated_events(events: Iterator[R], explain: Callable[[LumaError], LumaError]) -> Iterator[R]:
    """The same events, with LumaErrors where they would raise those of engine, models or promptql.

    Args:
        events: of work under way.
        explain: makes of an error what is known of it besides.
    """
    try:
        yield from events
    except LumaError:
        raise
    except Exception as error:
        luma_error = translate(error)
        if luma_error is None:
            raise
        raise explain(luma_error) from error


def _details(error: BaseException, translation: _Translation) -> list[ErrorDetail]:
    """The foreign error's own list of faults, or its single pointer or expected and got, as details."""
    items = getattr(error, "errors", None)
    if isinstance(items, tuple | list):
        return [_document_detail(item, translation.prefix) for item in items]
    pointer = getattr(error, "pointer", None)
    place = translation.place or translation.prefix if pointer is None else f"{translation.prefix}{pointer}"
    if pointer is None and not place:
        return []
    expected, got = getattr(error, "expected", getattr(error, "oldest", None)), getattr(error, "got", None)
    offset = getattr(error, "details", {}).get("offset")
    code, hint = str(getattr(error, "code", "invalid")), getattr(error, "hint", None)
    return [ErrorDetail(place, code, str(error), expected, got, offset=offset, hint=hint)]


def _document_detail(item: Any, prefix: str) -> ErrorDetail:
    """Of an engine.DocumentError, which is not imported here; a negative index means none of the batch's documents."""
    if item.index < 0:
        return ErrorDetail(item.pointer, item.code, item.message, item.expected, item.got, id=item.id)
    return ErrorDetail(f"{prefix}{item.pointer}", item.code, item.message, item.expected, item.got, item.index, item.id)
