"""Errors: one tree, one translation table, and problem details that read back as the same class."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import weakref
from typing import Any

import pytest

import engine
from lumaai import errors
from lumaai.errors import (
    ConflictError,
    ErrorDetail,
    GoneError,
    InternalError,
    InvalidRequestError,
    LumaError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    from_problem,
)
from lumaai.translation import TRANSLATIONS, translate, translated


def all_classes(cls: type[LumaError] = LumaError) -> list[type[LumaError]]:
    return [cls, *(below for child in cls.__subclasses__() for below in all_classes(child))]


def test_problem_details_have_the_members_of_rfc_9457_and_ours() -> None:
    """type, title, status, detail and instance of the RFC; code, errors and retryable of ours."""
    detail = ErrorDetail("/documents/3/vector", "dimension_mismatch", "wrong size", 384, 768, index=3, id="d")
    error = InvalidRequestError("document 3: wrong size", code="documents_invalid", errors=[detail])
    assert error.to_problem(instance="request-1") == {
        "type": "urn:lumaai:error:invalid_request",
        "title": "Invalid request",
        "status": 422,
        "detail": "document 3: wrong size",
        "code": "documents_invalid",
        "errors": [
            {
                "pointer": "/documents/3/vector",
                "code": "dimension_mismatch",
                "message": "wrong size",
                "expected": 384,
                "got": 768,
                "index": 3,
                "id": "d",
            }
        ],
        "retryable": False,
        "instance": "request-1",
    }


@pytest.mark.parametrize(
    "cls", [cls for cls in all_classes() if cls is not LumaError and cls.__module__ == LumaError.__module__]
)
def test_a_problem_reads_back_as_the_class_that_wrote_it(cls: Any) -> None:
    """Class, message, code, status, details and retry time survive the way over HTTP."""
    detail = ErrorDetail("/x", "c", "m")
    error = cls("what happened: got=1", code="finer", errors=[detail], retry_after=2.5)
    back = from_problem(error.to_problem())
    assert type(back) is cls
    assert (back.message, back.code, back.status) == (error.message, "finer", error.status)
    assert (back.errors, back.retryable, back.retry_after) == ((detail,), error.retryable, 2.5)


@pytest.mark.parametrize(
    ("status", "cls"),
    [(404, NotFoundError), (429, OverloadedError), (503, OverloadedError), (418, InvalidRequestError),
     (502, InternalError)],
)  # fmt: skip
def test_an_answer_without_problem_details_is_read_by_its_status(status: Any, cls: Any) -> None:
    """A proxy's bare error becomes the class of its status."""
    error = from_problem({}, status=status)
    assert type(error) is cls
    assert str(error) == f"the service answered with status {status}"


@pytest.mark.parametrize("name", list(TRANSLATIONS))
def test_every_class_in_the_translation_table_exists(name: Any) -> None:
    """The table names classes as text; each is the name of an exception that its package exports."""
    package, _, cls = name.partition(".")
    found = getattr(importlib.import_module(package), cls)
    assert issubclass(found, Exception)
    assert found.__name__ == cls


@pytest.mark.parametrize(
    ("foreign", "cls", "code"),
    [
        (engine.CollectionNotFoundError("films"), NotFoundError, "collection_not_found"),
        (engine.CollectionExistsError("films"), ConflictError, "collection_exists"),
        (engine.StorageFullError("disk is full"), errors.StorageFullError, "storage_full"),
        (engine.DatabaseLockedError("/d", 12, "h"), errors.DatabaseLockedError, "database_locked"),
    ],
)
def test_engine_errors_become_the_errors_of_the_edge(foreign: Any, cls: Any, code: Any) -> None:
    """Class by the table, code and message as they were."""
    error = translate(foreign)
    assert error is not None
    assert type(error) is cls
    assert (error.code, str(error)) == (code, str(foreign))


def test_a_subclass_that_the_table_does_not_name_is_translated_as_its_base() -> None:
    """The nearest class of the MRO decides."""

    class NewError(engine.FilterError):
        pass

    NewError.__module__ = "engine.errors"
    error = translate(NewError("bad", pointer="/year"))
    assert type(error) is InvalidRequestError
    assert error.errors[0].pointer == "/filter/year"


def test_document_errors_point_into_the_request_body() -> None:
    """Pointers into the batch get /documents in front; index, expected and got stay."""
    foreign = engine.InvalidDocumentsError(
        (engine.DocumentError(3, "x", "/3/year", "type_mismatch", "wrong", "integer", "text"),)
    )
    error = translate(foreign)
    assert error is not None
    assert error.errors == (ErrorDetail("/documents/3/year", "type_mismatch", "wrong", "integer", "text", 3, "x"),)


def test_a_wrong_vector_size_names_expected_and_got() -> None:
    """Both numbers are in the message and, for programs, in the details."""
    error = translate(engine.DimensionMismatchError(384, 768))
    assert error is not None
    assert str(error) == "vector has wrong size: expected=384 got=768"
    assert error.errors == (ErrorDetail("/vector", "dimension_mismatch", str(error), 384, 768),)


def test_llm_errors_that_may_pass_are_retryable() -> None:
    """What the foreign error says of retrying is kept."""
    from models.errors import LLMUnavailableError, ModelNotFoundError

    busy, missing = translate(LLMUnavailableError("timeout")), translate(ModelNotFoundError("no weights"))
    assert type(busy) is type(missing) is ModelUnavailableError
    assert (busy.retryable, missing.retryable) == (True, False)


def test_translated_functions_keep_the_foreign_error_as_the_cause() -> None:
    """`raise … from error`: nothing of the first error is lost."""

    @translated
    def fail() -> None:
        raise engine.CollectionNotFoundError("films")

    with pytest.raises(NotFoundError) as caught:
        fail()
    assert isinstance(caught.value.__cause__, engine.CollectionNotFoundError)


@pytest.mark.parametrize("error", [ValueError("ours"), GoneError("luma")])
def test_translated_functions_let_all_other_errors_through(error: Any) -> None:
    """A mistake of ours is not dressed up, and a LumaError is not translated twice."""

    @translated
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error


def test_translated_errors_keep_nothing_alive() -> None:
    """What the frames held that they passed through goes with them, without looking for garbage: a large batch, say."""

    class Held:
        pass

    held = Held()
    alive = weakref.ref(held)

    @translated
    def fail(argument: Held) -> None:
        raise engine.CollectionNotFoundError("films")

    gc.disable()
    try:
        with pytest.raises(NotFoundError):
            fail(held)
        del held
        assert alive() is None
    finally:
        gc.enable()


def test_problem_details_name_a_thousand_errors() -> None:
    """The others are counted: a body can have more than its sender reads."""
    error = InvalidRequestError("wrong", errors=[ErrorDetail(f"/{number}", "x", "wrong") for number in range(1_003)])
    problem = error.to_problem()
    assert (len(problem["errors"]), problem["errors_left_out"]) == (1_000, 3)
    assert problem["errors"][-1]["pointer"] == "/999"
    assert len(from_problem(problem).errors) == 1_000
    assert "errors_left_out" not in InvalidRequestError("wrong", errors=error.errors[:1_000]).to_problem()


def test_importing_errors_loads_no_other_package_of_ours() -> None:
    """The client's part stays light."""
    code = (
        "import sys, lumaai.errors; print([m for m in sys.modules if m.split('.')[0] in ('engine','models','faiss')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
