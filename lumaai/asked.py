"""What is asked, on its way in: a question, a plan to run, a program to run. Each knows its place in the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.search import check_strings

VERDICTS = ("right", "wrong")
PLANNERS = ("auto", "rules", "llm")


@dataclass(frozen=True, slots=True)
class Question:
    """A question.

    Attributes:
        collections: where to look; None for all.
        conversation: the name of the conversation that it belongs to, if it belongs to one.
        time_zone: whose "today" is meant, by its IANA name; None: UTC.
        earlier: the questions before it, of a conversation that its caller keeps; None: it is of none.
    """

    text: str
    collections: list[str] | None
    planner: str
    conversation: str | None
    time_zone: str | None = None
    earlier: tuple[str, ...] | None = None

    @classmethod
    def checked(
        cls,
        text: object,
        collections: Sequence[str] | None,
        planner: object,
        conversation: object,
        time_zone: object = None,
    ) -> Question:
        """The question, if its parts are of the right types; what they may say is checked where it is answered.

        Raises:
            InvalidRequestError: they are not.
        """
        if not isinstance(text, str):
            raise InvalidRequestError(f"question is not text: got={type(text).__name__}", code="question_not_text")
        if planner not in PLANNERS:
            raise InvalidRequestError(f"planner must be 'auto', 'rules' or 'llm': got={planner!r:.40}")
        if conversation is not None and not isinstance(conversation, str):
            message = f"conversation must be a name: got={type(conversation).__name__}"
            raise InvalidRequestError(message, code="conversation_invalid")
        if time_zone is not None and not isinstance(time_zone, str):
            raise _wrong(
                "/time_zone", f"time_zone must be a name, such as Europe/Paris: got={type(time_zone).__name__}"
            )
        return cls(text, _names(collections), str(planner), conversation, time_zone)

    @property
    def path(self) -> str:
        """Where it is asked."""
        return "/v1/ask"

    def to_body(self) -> dict[str, Any]:
        """The body of the request."""
        body = {"question": self.text, "collections": self.collections, "planner": self.planner}
        more = {"conversation": self.conversation, "time_zone": self.time_zone}
        return {key: value for key, value in {**body, **more}.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Execution:
    """A plan to run, as JSON.

    Attributes:
        params: values of its parameters.
        from_step: where to begin; None: everywhere.
        collections: what it may read; None for all.
        partial: begin though the language model's budget will not suffice.
    """

    plan: Mapping[str, Any]
    params: Mapping[str, Any]
    from_step: str | None
    collections: list[str] | None
    partial: bool = False

    @classmethod
    def checked(
        cls,
        plan: object,
        params: object,
        from_step: object,
        collections: Sequence[str] | None,
        *,
        partial: object = False,
    ) -> Execution:
        """The execution, if its parts are of the right types; the plan itself is checked where it is run.

        Raises:
            InvalidRequestError: they are not.
        """
        if from_step is not None and not isinstance(from_step, str):
            raise _wrong("/from_step", f"from_step must be a step's id: got={type(from_step).__name__}")
        if not isinstance(partial, bool):
            raise _wrong("/partial", f"partial must be true or false: got={type(partial).__name__}")
        return cls(plan_json(plan), params_json(params), from_step, _names(collections), partial)

    @property
    def path(self) -> str:
        """Where it is asked."""
        return "/v1/ask/execute"

    def to_body(self) -> dict[str, Any]:
        """The body of the request."""
        body = {
            "params": self.params or None,
            "from_step": self.from_step,
            "collections": self.collections,
            "partial": self.partial or None,
        }
        return {"plan": self.plan} | {key: value for key, value in body.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """A program to run; `version` None is the last one."""

    name: str
    params: Mapping[str, Any]
    version: int | None

    @property
    def collections(self) -> None:
        """What it may read: all."""
        return

    @classmethod
    def checked(cls, name: object, params: object, version: object) -> ProgramRun:
        """The run, if its parts are of the right types.

        Raises:
            InvalidRequestError: they are not.
        """
        return cls(program_name(name), params_json(params), program_version(version))

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"{program_path(self.name)}/run"

    def to_body(self) -> dict[str, Any]:
        """The body of the request."""
        body = {"params": self.params or None, "version": self.version}
        return {key: value for key, value in body.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody says of an answer.

    Attributes:
        plan: the answer's, as JSON, or its hash.
        correction: what were right; None where nobody says.
    """

    plan: Mapping[str, Any] | str
    verdict: str
    correction: Mapping[str, Any] | None

    @classmethod
    def checked(cls, plan: object, verdict: object, correction: object) -> Feedback:
        """The feedback, if its parts are of the right types; what they say is checked where it is learned.

        Raises:
            InvalidRequestError: they are not.
        """
        if verdict not in VERDICTS:
            raise _wrong("/verdict", f"verdict must be 'right' or 'wrong': got={verdict!r:.40}")
        if correction is not None and not isinstance(correction, Mapping):
            raise _wrong("/correction", f"correction must be an object: got={type(correction).__name__}")
        return cls(plan if isinstance(plan, str) else plan_json(plan), str(verdict), correction)

    def to_body(self) -> dict[str, Any]:
        """The body of the request."""
        body: dict[str, Any] = {"plan_hash" if isinstance(self.plan, str) else "plan": self.plan}
        body["verdict"] = self.verdict
        return body if self.correction is None else body | {"correction": self.correction}


Asked: TypeAlias = Question | Execution | ProgramRun


def plan_json(plan: object) -> Mapping[str, Any]:
    """The JSON of a plan: its own, or of what has a plan, such as an answer.

    Raises:
        InvalidRequestError: it is none.
    """
    found = plan if isinstance(plan, Mapping) else getattr(plan, "plan", None)
    if found is None and hasattr(plan, "to_json"):
        found = plan.to_json()
    if not isinstance(found, Mapping):
        raise _wrong("/plan", f"a plan is a JSON object: got={type(plan).__name__}")
    return found


def params_json(params: object) -> Mapping[str, Any]:
    """Values of parameters by name.

    Raises:
        InvalidRequestError: they are none.
    """
    if params is None:
        return {}
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise _wrong("/params", f"params must be values by name: got={type(params).__name__}")
    return params


def program_name(name: object) -> str:
    """A name that a path can lead to.

    Raises:
        InvalidRequestError: it is none.
    """
    if not isinstance(name, str) or not name or "/" in name:
        message = f"program name must be letters, digits, _ . and -: got={name!r:.140}"
        raise InvalidRequestError(
            message, code="program_name_invalid", errors=[ErrorDetail("/name", "program_name_invalid", message)]
        )
    return name


def program_version(version: object) -> int | None:
    """A version, counted from 1; None for the last one.

    Raises:
        InvalidRequestError: it is none.
    """
    if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
        raise _wrong("/version", f"version must be a whole number from 1: got={version!r:.40}")
    return version


def program_path(name: str) -> str:
    """The path of a program."""
    quoted = quote(name, safe="")
    return f"/v1/programs/{quoted if quoted.strip('.') else quoted.replace('.', '%2E')}"


def question_set(questions: Sequence[Mapping[str, Any]] | None) -> Sequence[Mapping[str, Any]] | None:
    """Questions with known answers, as JSON.

    Raises:
        InvalidRequestError: it is no list of objects.
    """
    is_list = isinstance(questions, list | tuple) and all(isinstance(item, Mapping) for item in questions)
    if questions is not None and not is_list:
        raise _wrong("/questions", "questions must be a list of objects")
    return questions


def lesson_name(lesson_id: object) -> str:
    """The id of a lesson, which a path can lead to.

    Raises:
        InvalidRequestError: it is none.
    """
    if not isinstance(lesson_id, str) or not lesson_id.isalnum():
        raise _wrong("/lesson", f"the id of a lesson is letters and digits: got={lesson_id!r:.40}")
    return lesson_id


def _names(collections: Sequence[str] | None) -> list[str] | None:
    """Names of collections; a bare string would be taken for the collections that its letters name."""
    return None if collections is None else check_strings("collections", collections)


def _wrong(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
