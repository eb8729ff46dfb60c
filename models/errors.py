"""What can go wrong with models.

    ModelError
    ├── ModelNameError          what is given as a model's name is none: too long, control characters
    ├── ModelNotFoundError      no weights under that name; the message names the ways to get them
    ├── ModelUnsupportedError   weights are there, but of an architecture that we cannot run
    ├── ModelDamagedError       a file of the model is unreadable or contradicts its configuration
    ├── InvalidTextError        a text that is not text: wrong type, lone surrogates
    ├── QueueFullError          too many texts are waiting to be embedded; retry later
    ├── CacheUnavailableError   a cache could not forget what it was told to; retry later
    ├── RemoteModelError        an embedding or reranking service refused, or our request was wrong
    │   ├── RemoteUnavailableError  no connection, timeout, rate limit, 5xx; retry later
    │   └── RemoteReplyError        it answered with nonsense: wrong count, wrong dimension, not numbers
    └── LLMError                the language model refused, or our request was wrong
        ├── LLMUnavailableError     no connection, timeout, rate limit, 5xx; retry later
        ├── LLMReplyError           it answered, but not in the shape that was asked for
        ├── LLMBudgetError          the budget might not suffice for the next request, which was not made
        └── LLMCancelledError       the caller gave the call up

Every error has a `code` for programs, `details` with the facts, and says by `retryable` whether the same
call may succeed later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from models.llm import Usage


class ModelError(Exception):
    """Base class; also raised itself where no caller would act differently (an unwritable cache)."""

    code: ClassVar[str] = "model_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details: Mapping[str, Any] = details


class ModelNotFoundError(ModelError):
    """No weights under that name."""

    code = "model_not_found"


class ModelNameError(ModelError):
    """What is given as a model's name cannot be one."""

    code = "model_name_invalid"


class ModelUnsupportedError(ModelError):
    """The architecture, activation or pooling of the model is not one that we can run."""

    code = "model_unsupported"


class ModelDamagedError(ModelError):
    """A file of the model is unreadable or contradicts its configuration."""

    code = "model_damaged"


class InvalidTextError(ModelError):
    """A text cannot be tokenized; `details["index"]` is its position in the call."""

    code = "invalid_text"


class QueueFullError(ModelError):
    """Too many texts are waiting to be embedded."""

    code = "queue_full"
    retryable = True


class CacheUnavailableError(ModelError):
    """A cache of embeddings may still hold what it was told to forget."""

    code = "cache_unavailable"
    retryable = True


class RemoteModelError(ModelError):
    """An embedding or reranking service refused the request (authentication, unknown model, bad request)."""

    code = "remote_model_error"


class RemoteUnavailableError(RemoteModelError):
    """No connection, timeout, rate limit or a failure on the other side, after all retries."""

    code = "remote_model_unavailable"
    retryable = True


class RemoteReplyError(RemoteModelError):
    """The reply is not what was asked for: not JSON, another count or dimension, not finite numbers."""

    code = "remote_model_reply"


class LLMError(ModelError):
    """The language model refused the request (authentication, unknown model, bad request).

    Attributes:
        usage: what the call had cost when it failed.
    """

    code = "llm_error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message, **details)
        self.usage = Usage()


class LLMUnavailableError(LLMError):
    """No connection, timeout, rate limit or a failure on the other side."""

    code = "llm_unavailable"
    retryable = True


class LLMReplyError(LLMError):
    """The reply is not in the shape that was asked for: not JSON, cut off, or a refusal."""

    code = "llm_reply"


class LLMBudgetError(LLMError):
    """The next request might have taken more than is left; `details["limit"]` names what would have run out."""

    code = "llm_budget"


class LLMCancelledError(LLMError):
    """The caller set the event that gives the call up."""

    code = "llm_cancelled"
