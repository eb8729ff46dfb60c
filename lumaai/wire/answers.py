"""What the service answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from lumaai.wire.base import Shape, Wire

StoredDocument = Annotated[dict[str, Any], Field(description='The document as it was given, with its "id".')]


class ErrorItem(Wire):
    """One thing that is wrong, and where."""

    pointer: str | None = Field(default=None, description="JSON Pointer into the body (RFC 6901).")
    code: str
    message: str | None = None
    index: int | None = Field(default=None, description="Which document of the batch.")
    id: str | None = None
    expected: Any = None
    got: Any = None
    offset: int | None = Field(default=None, description="Character of a filter written like SQL, from 0.")
    hint: str | None = Field(default=None, description="What would be right.")


class Problem(Wire):
    """RFC 9457 problem details; `code` is for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The id of the request, also in X-Request-Id.")
    retry_after: float | None = Field(default=None, description="Seconds; also in the Retry-After header.")
    code: str
    errors: list[ErrorItem]
    errors_left_out: int | None = Field(default=None, description="How many more there are, where that is too many.")
    retryable: bool


class CollectionInfo(Wire):
    """A collection as it is now."""

    name: str
    documents: int
    sequence: int = Field(description="Of the last change that this view includes.")
    # Called `schema` on the wire; pydantic has a method of that name.
    schema_: dict[str, Any] = Field(alias="schema", description="What `PUT` takes: fields, embed, strict.")
    damaged: str | None = Field(default=None, description="Why it cannot be used; the others serve.")


class Reembedding(Wire):
    """A collection on its way to another model."""

    collection: str
    field: str
    model: str
    state: Literal["running", "switching", "done", "failed", "cancelled", "interrupted"]
    documents: int = Field(description="That the new model has embedded.")
    total: int
    error: str | None = None


class ReembeddingState(Wire):
    """What is known of it in this process, or was left by one that ended."""

    reembedding: Reembedding | None


class CollectionList(Wire):
    """All collections, by name."""

    collections: list[CollectionInfo]
    next_cursor: str | None = None


class Stats(Shape):
    """How a collection is kept."""

    model_config = ConfigDict(extra="allow")

    documents: int
    sequence: int


class DatabaseStats(Shape):
    """How much the database takes."""

    model_config = ConfigDict(extra="allow")


class StoredObject(Shape):
    """The document as it was given, with its "id"."""

    model_config = ConfigDict(extra="allow")

    id: str


class DocumentResult(Wire):
    """What became of one document of a batch."""

    id: str | None
    status: Literal["added", "replaced", "skipped", "error"]
    error: ErrorItem | None = None


class WriteResponse(Wire):
    """What became of a batch; the next search finds it, and it is as durable as `durability` says."""

    sequence: int
    durability: str
    added: int
    replaced: int
    skipped: int = Field(description="Identical documents, left as they were.")
    ids: list[str]
    errors: list[ErrorItem]
    results: list[DocumentResult] | None = Field(
        default=None, description="What became of each document, in order; only with `atomic` false."
    )


class DeleteResponse(Wire):
    """How many documents were deleted (with `dry_run`: would be)."""

    sequence: int
    deleted: int
    durability: str
    dry_run: bool = Field(default=False, description="true: nothing was deleted.")


class DocumentList(Wire):
    """Documents in the order of the ids asked for; null where there is none."""

    documents: list[StoredDocument | None]
    versions: list[int | None] | None = Field(default=None, description="Theirs, where they were asked for.")


class CountResponse(Wire):
    """How many documents match."""

    count: int
    explain: dict[str, Any] | None = Field(default=None, description="What ran on which part, where it was asked for.")


class ScrollPage(Wire):
    """One page of documents; the last has no `next_cursor`."""

    documents: list[StoredDocument]
    next_cursor: str | None


class PassageHit(Wire):
    """The part of a text field that matched: characters `start` to `end`."""

    field: str
    start: int
    end: int
    text: str


class Highlight(Wire):
    """Where one text of a document has words of the query."""

    field: str
    item: int | None = Field(description="Its place, where the field is a list.")
    text: str = Field(description="The part of it that shows most of them.")
    start: int = Field(description="Of that part, in characters of the whole text.")
    spans: list[tuple[int, int]] = Field(description="Start and end of each, in characters of the whole text.")


class Hit(Wire):
    """One document found; a larger score is better."""

    id: str
    score: float
    document: StoredDocument
    passage: PassageHit | None = None
    highlights: list[Highlight] | None = Field(default=None, description="With `highlight`.")


class HitGroup(Wire):
    """Hits with one value of the field that they are grouped by; they stand together, in the groups' order."""

    value: Any
    ids: list[str]


class SearchResponse(Wire):
    """The best documents, best first."""

    hits: list[Hit]
    sequence: int
    milliseconds: float
    groups: list[HitGroup] | None = Field(default=None, description="With `group_by`: whose hits are whose.")
    facets: dict[str, dict[str, Any]] | None = None
    explain: dict[str, Any] | None = None
    next_cursor: str | None = Field(default=None, description="Of the hits that follow; null: there are no more.")


class SearchBatchResponse(Wire):
    """For each vector its nearest documents, best first; or the answers to several searches."""

    ids: list[list[str]] | None = None
    scores: list[list[float]] | None = None
    sequence: int | None = None
    milliseconds: float | None = None
    answers: list[SearchResponse] | None = None


class RecallLevel(Wire):
    """One set of parameters."""

    params: dict[str, Any]
    recall: float = Field(description="The mean share of the true nearest documents that is found.")
    milliseconds_p50: float
    milliseconds_p99: float


class RecallReport(Wire):
    """What was measured; the default parameters first, then those that can be asked for."""

    queries: int
    limit: int
    exact: RecallLevel = Field(description="Comparing with every vector, whose recall is 1.")
    levels: list[RecallLevel]


class BulkLine(Wire):
    """One line of the answer to a bulk upload: a batch, a bad line, or (the last) the summary."""

    type: Literal["batch", "error", "summary"]
    line: int | None = Field(default=None, description="Of a bad line, counted from 1.")
    first_line: int | None = None
    last_line: int | None = None
    lines: int | None = None
    sequence: int | None = None
    added: int | None = None
    replaced: int | None = None
    skipped: int | None = None
    failed: int | None = None
    stopped: bool | None = Field(default=None, description="True: the rest of the upload was not taken.")
    next_line: int | None = Field(default=None, description="Where the upload goes on, if it does: its `first_line`.")
    replayed: bool | None = Field(default=None, description="The batch had been written before, under the same key.")
    pointer: str | None = None
    code: str | None = None
    message: str | None = None
    expected: Any = None
    got: Any = None
    id: str | None = None


class Answer(Shape):
    """An answer with its evidence: the plan that ran, rows in and out of each step, citations."""

    model_config = ConfigDict(extra="allow")

    answer: dict[str, Any] = Field(description="`text`, `values`, `citations`…")


_ESTIMATE = (
    "Of a language model: `calls`, `calls_max`, `tokens_in`, `tokens_out`, `usd`, `seconds`; of each in `steps`."
)


class Proposal(Wire):
    """The plan of a question."""

    plan: dict[str, Any]
    plan_hash: str
    planner: Literal["rules", "llm", "fallback", "given", "learned"]
    confidence: float
    band: str
    assumptions: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    alternatives: list[dict[str, Any]]
    options: list[dict[str, Any]] = Field(description="Where it can be read in several ways, what to choose from.")
    estimate: dict[str, Any] | None = Field(default=None, description=_ESTIMATE)


class PlanFault(Wire):
    """What is wrong with a plan."""

    pointer: str = Field(description="JSON Pointer into the plan (RFC 6901).")
    message: str
    hint: str | None = Field(description="What would be right.")


class PlanCheck(Wire):
    """Whether a plan could run."""

    valid: bool
    errors: list[PlanFault] = Field(description="The first thing that is wrong.")
    columns: dict[str, dict[str, str]] = Field(description="Of each step, the types of its columns.")
    plan_hash: str | None


class Explanation(Wire):
    """What would run for a plan."""

    plan: dict[str, Any] = Field(description="As it would run.")
    plan_hash: str
    rewrites: list[dict[str, Any]] = Field(description="What each rule of the optimizer did.")
    columns: dict[str, dict[str, str]]
    text: str = Field(description="The steps in words.")
    estimate: dict[str, Any] | None = Field(default=None, description=_ESTIMATE)


class Program(Wire):
    """A plan under a name."""

    name: str
    version: int
    versions: list[int] = Field(description="Those that are kept.")
    description: str | None
    plan: dict[str, Any]
    plan_hash: str
    inputs: dict[str, Any] = Field(description="JSON Schema of the parameters.")
    outputs: dict[str, Any] = Field(description="JSON Schema of the rows that it answers with.")
    created: str


class ProgramList(Wire):
    """All programs, by name."""

    programs: list[Program]


class Health(Wire):
    """The process answers."""

    status: Literal["ok"]
    version: str


class Readiness(Wire):
    """Whether the service may serve, and if not, why."""

    ready: bool
    reasons: list[str]


class CallerLimits(Wire):
    """How many requests the key of this request may send; null: without a bound."""

    requests_per_minute: int | None
    requests_per_minute_remaining: int | None = Field(description="Now; the bucket fills evenly.")
    requests_per_day: int | None
    requests_per_day_remaining: int | None = Field(description="Until midnight UTC.")


class Limits(Wire):
    """What one request may ask for at most, and how many requests its key may send."""

    body_bytes_max: int
    request_bytes_max: int
    response_bytes_max: int
    embed_characters_max: int
    bulk_bytes_max: int
    line_bytes_max: int
    batch_documents_max: int
    search_limit_max: int
    search_batch_max: int
    scroll_limit_max: int
    request_seconds_max: float
    idle_seconds_max: float
    question_characters_max: int
    search_threads: int
    search_queue_max: int
    write_threads: int
    write_queue_max: int
    embed_threads: int
    embed_queue_max: int
    ask_threads: int
    ask_queue_max: int
    query_threads: int
    query_queue_max: int
    maintenance_queue_max: int
    caller: CallerLimits


class Change(Wire):
    """One write."""

    sequence: int
    collection: str
    documents: list[StoredDocument] = Field(description="Without those that a later change has in a newer version.")
    deleted: list[str]


class Changes(Wire):
    """Writes in their order."""

    changes: list[Change]
    next: int = Field(description="The `from` to go on with.")


class SnapshotInfo(Wire):
    """A snapshot of the whole database."""

    name: str
    sequence: int = Field(description="Of the last write in it.")
    bytes: int
    files: int
    made: str | None = Field(description="When, in UTC.")


class SnapshotList(Wire):
    """All snapshots, by name."""

    snapshots: list[SnapshotInfo]


class CheckProblem(Wire):
    """Something that is wrong in the files."""

    file: str
    collection: str | None
    what: str
    repaired: bool
    ids: list[str] = Field(description="Of documents that were acknowledged and cannot be read.")


class CheckReport(Wire):
    """What reading everything has shown."""

    files: int
    documents: int
    rows: int
    problems: list[CheckProblem]


class Reclaimed(Shape):
    """What was given back: bytes on disk before and after, and more."""

    model_config = ConfigDict(extra="allow")

    disk_bytes_before: int
    disk_bytes_after: int
    seconds: float
    snapshots: list[str] = Field(description="These keep what they hold, and the disk that it takes.")
