"""Bodies in OpenAI's shapes, and in that of Jina's and Cohere's rerankers.

https://platform.openai.com/docs/api-reference, https://jina.ai/reranker. Keys of theirs that change nothing here are
taken and say so; those that would change the answer and cannot are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from lumaai.wire.answers import Problem
from lumaai.wire.asking import QUESTION_CHARACTERS_MAX
from lumaai.wire.base import Shape, Wire
from lumaai.wire.values import Integer

INPUTS_MAX = 2_048  # OpenAI's own bound
MESSAGES_MAX = 512
DOCUMENTS_MAX = 1_000
TEXT_CHARACTERS_MAX = 1_000_000

Without = Field(default=None, description="Taken, and changes nothing: answers are computed, not sampled.")
Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
ModelId = Annotated[str, Field(min_length=1, max_length=512, description="One of `GET /v1/models`.")]
TokenIds = Annotated[list[Integer], Field(min_length=1, max_length=INPUTS_MAX, fail_fast=True)]


def _few(value: Any) -> Any:
    """The value, unless it is too long a list: of each member of a union that would be another complaint."""
    if isinstance(value, list) and len(value) > INPUTS_MAX:
        facts = {"maximum": INPUTS_MAX, "got": len(value)}
        raise PydanticCustomError("too_long", "list should have at most {maximum} items, not {got}", facts)
    return value


class EmbeddingsRequest(Wire):
    """Texts to embed."""

    model: ModelId | None = Field(default=None, description="null: the service's own. OpenAI's own takes no null.")
    input: Annotated[
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=INPUTS_MAX, fail_fast=True)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, max_length=INPUTS_MAX, fail_fast=True)],
        BeforeValidator(_few),
    ] = Field(description="A text or several. Token ids are refused: they are of another model's vocabulary.")
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="base64: float32, little-endian; null: float."
    )
    dimensions: Annotated[Integer, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description="The first so many numbers of each vector, scaled to length 1. Models that were not trained for it "
        "lose quality.",
    )
    input_type: Literal["document", "query"] | None = Field(
        default=None, description="Not OpenAI's: what the texts are, for models that embed both differently."
    )
    user: str | None = Without


class EmbeddingObject(Shape):
    """The vector of one text."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Shape):
    """Tokens read, of the model's own kind; what is cut off is not counted."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(Shape):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingsUsage


class ModelObject(Shape):
    """A model."""

    id: str
    object: Literal["model"]
    created: int = Field(description="When the service began to offer it, in seconds since 1970.")
    owned_by: str
    task: Literal["chat", "embedding", "rerank"] = Field(description="Not OpenAI's: what it is for.")


class ModelList(Shape):
    """All models that the key may use."""

    object: Literal["list"]
    data: list[ModelObject]


class TextPart(Wire):
    """A part of a message."""

    type: Literal["text"]
    text: Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)]


class ChatMessage(Wire):
    """A message. Those of the user are the questions; the others are taken, and not read."""

    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)]
        | Annotated[list[TextPart], Field(max_length=64, fail_fast=True)]
        | None
    ) = None
    name: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Wire):
    """What a stream has besides."""

    include_usage: bool | None = Field(default=None, description="One more chunk at the end, with `usage`.")
    include_obfuscation: bool | None = Without


class ResponseFormat(Wire):
    """How the answer is written."""

    type: Literal["text"]


class ChatRequest(Wire):
    """A conversation whose last message is a question about the documents."""

    model: ModelId
    messages: Annotated[
        list[ChatMessage],
        Field(
            min_length=1,
            max_length=MESSAGES_MAX,
            fail_fast=True,
            description=f"The last one is the user's question, of {QUESTION_CHARACTERS_MAX} characters at most; it may "
            "go on from the questions before it.",
        ),
    ]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    planner: Literal["auto", "rules", "llm"] | None = Field(default=None, description="Not OpenAI's: see /v1/ask.")
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="Not OpenAI's: where to look; the model's name may say it, too."
    )
    n: Literal[1] | None = None
    response_format: ResponseFormat | None = None
    logprobs: Literal[False] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    function_call: Literal["none", "auto"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    top_logprobs: Literal[0] | None = None
    stop: Annotated[list[str], Field(max_length=0)] | None = None
    max_completion_tokens: Annotated[Integer, Field(ge=1)] | None = Without
    max_tokens: Annotated[Integer, Field(ge=1)] | None = Without
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Without
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Without
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Without
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Without
    logit_bias: dict[str, Any] | None = Without
    prediction: dict[str, Any] | None = Without
    seed: Integer | None = Without
    parallel_tool_calls: bool | None = Without
    reasoning_effort: str | None = Without
    verbosity: str | None = Without
    service_tier: str | None = Without
    store: bool | None = Without
    metadata: dict[str, Any] | None = Without
    prompt_cache_key: str | None = Without
    prompt_cache_options: dict[str, Any] | None = Without
    prompt_cache_retention: str | None = Without
    safety_identifier: str | None = Without
    user: str | None = Without


class UrlCitation(Shape):
    """A document that a part of the text rests on; `url` is its path in this service."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(Shape):
    """A citation."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class CompletionMessage(Shape):
    """The answer."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]


class Choice(Shape):
    """The one choice."""

    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop"]


class CompletionUsage(Shape):
    """What a language model read and wrote for the answer; 0 where none was asked."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Shape):
    """An answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    lumaai: dict[str, Any] = Field(description="Not OpenAI's: the answer of /v1/ask: values, plan, citations.")


class RerankText(Wire):
    """A text in an object."""

    text: Text


class RerankRequest(Wire):
    """Texts to order by how well they answer a query."""

    query: Annotated[str, Field(min_length=1, max_length=20_000, json_schema_extra={"pattern": r"\S"})]
    documents: Annotated[list[Text | RerankText], Field(min_length=1, max_length=DOCUMENTS_MAX, fail_fast=True)]
    model: ModelId | None = Field(default=None, description="null: the service's own.")
    top_n: Annotated[Integer, Field(ge=1)] | None = Field(default=None, description="null: all of them.")
    return_documents: bool | None = None


class RerankResult(Shape):
    """A text's place in the order."""

    index: int = Field(description="Of the text in `documents`.")
    relevance_score: float = Field(description="Larger is better; to be compared within one answer.")
    document: dict[str, str] | None = None


class RerankUsage(Shape):
    """Texts that were scored."""

    documents: int


class RerankResponse(Shape):
    """The texts, best first."""

    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage


class OpenAIError(Wire):
    """What OpenAI's clients read of an error."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIProblem(Problem):
    """Problem details that are OpenAI's error as well."""

    error: OpenAIError


# The parts of OpenAI's interface, as its SDK has them: what is not there is refused as that SDK expects it.
OPENAI_PARTS = (
    "assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "embeddings", "evals",
    "files", "fine_tuning", "images", "models", "moderations", "organization", "realtime", "responses", "threads",
    "uploads", "vector_stores", "videos",
)  # fmt: skip
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_INDEX = re.compile(r"\.(\d+)(?=[.\[]|$)")


def as_openai(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Problem details with OpenAI's error beside: 400 where the meaning is wrong, as its clients expect it."""
    status = 400 if problem["status"] == 422 else problem["status"]
    pointers = [detail["pointer"] for detail in problem["errors"] if detail.get("pointer")]
    error = {
        "message": problem["detail"],
        "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "param": _INDEX.sub(r"[\1]", pointers[0].replace("/", ".")).lstrip(".") if pointers else None,
        "code": problem["code"],
    }
    return {**problem, "status": status, "error": error}
