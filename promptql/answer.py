"""The answer: text, values, and everything needed to check them. Pure data, no engine needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from promptql.plan import Assumption
from promptql.rendering import answer_to_csv, answer_to_markdown


class Band(StrEnum):
    """How far the answer commits itself."""

    ANSWER = "answer"
    ASSUMPTIONS = "answer_with_assumptions"
    SEARCH = "search"
    CLARIFY = "clarify"


class PlannerName(StrEnum):
    """Who made the plan; `fallback`: the rules, after the LLM failed; `given`: whoever asked; `learned`: feedback."""

    RULES = "rules"
    LLM = "llm"
    FALLBACK = "fallback"
    GIVEN = "given"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a figure or sentence comes from.

    Attributes:
        cell: ``a1[0].n`` (artifact, row, column), or ``a1[0]`` for a whole row that is one document.
        ids: documents behind it, at most 20; `count` says how many there are in all.
        spans: character spans of `field` in the one document of `ids`; empty for figures.
        sequence: the sequence number of the snapshot that was read.
    """

    cell: str
    collection: str
    ids: tuple[str, ...]
    sequence: int
    count: int
    spans: tuple[tuple[int, int], ...] = ()
    field: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"cell", "collection", "ids", "spans", "field", "sequence", "count"}``."""
        return {
            "cell": self.cell,
            "collection": self.collection,
            "ids": list(self.ids),
            "spans": [list(span) for span in self.spans],
            "field": self.field,
            "sequence": self.sequence,
            "count": self.count,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Citation:
        """The inverse of `to_json`."""
        return cls(
            cell=data["cell"],
            collection=data["collection"],
            ids=tuple(data["ids"]),
            sequence=data["sequence"],
            count=data["count"],
            spans=tuple((start, end) for start, end in data["spans"]),
            field=data["field"],
        )


@dataclass(frozen=True, slots=True)
class LlmUse:
    """What a step asked of language models.

    Attributes:
        calls: requests, retries included.
        usd: dollars, by the table of prices.
        cache_hits: questions about a row that had been answered before.
        proxy_decided: rows that were decided without a model.
        failed: rows about which no answer could be had.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    cache_hits: int = 0
    proxy_decided: int = 0
    failed: int = 0

    def to_json(self) -> dict[str, Any]:
        """By the names of the attributes."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LlmUse:
        """The inverse of `to_json`; what a newer service says besides is passed over."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did.

    Attributes:
        rows_in, rows_out: None for a step within a query of SQL, which counts only what comes out of it.
        coverage: of a join: left_rows, left_matched, right_rows, right_matched, rows.
        sql: the query that ran for this step and those before it that are part of it.
        cached: the step did not run: its rows were there from the last time.
        llm: of a step that asks a language model, what that took.
        quality: what such a step promised, and what was reached: ``{"target": "recall 0.9", "certified": 0.91, …}``.
    """

    id: str
    op: str
    rows_in: int | None
    rows_out: int | None
    milliseconds: float
    coverage: Mapping[str, int] | None = None
    sql: str | None = None
    cached: bool = False
    llm: LlmUse | None = None
    quality: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"id", "op", "rows_in", "rows_out", "milliseconds"}``; all else where there is any."""
        data: dict[str, Any] = {
            "id": self.id,
            "op": self.op,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "milliseconds": self.milliseconds,
        }
        if self.coverage is not None:
            data["coverage"] = dict(self.coverage)
        if self.sql is not None:
            data["sql"] = self.sql
        if self.llm is not None:
            data["llm"] = self.llm.to_json()
        if self.quality is not None:
            data["quality"] = dict(self.quality)
        return data | ({"cached": True} if self.cached else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepReport:
        """The inverse of `to_json`."""
        return cls(
            data["id"], data["op"], data["rows_in"], data["rows_out"], data["milliseconds"],
            data.get("coverage"), data.get("sql"), data.get("cached", False),
            LlmUse.from_json(data["llm"]) if "llm" in data else None, data.get("quality"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Artifact:
    """A table: rows as objects, columns in order."""

    id: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    type: str = "table"

    def to_json(self) -> dict[str, Any]:
        """``{"id", "type", "columns", "rows"}``."""
        rows = [dict(row) for row in self.rows]
        return {"id": self.id, "type": self.type, "columns": list(self.columns), "rows": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Artifact:
        """The inverse of `to_json`."""
        return cls(data["id"], tuple(data["columns"]), tuple(dict(row) for row in data["rows"]), data["type"])


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: a Vega-Lite specification with its data in it, drawn from the table `source`."""

    id: str
    spec: Mapping[str, Any]
    source: str | None = None
    type: str = "chart"

    def to_json(self) -> dict[str, Any]:
        """``{"id", "type", "spec", "source"}``."""
        return {"id": self.id, "type": self.type, "spec": dict(self.spec), "source": self.source}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Chart:
        """The inverse of `to_json`."""
        return cls(data["id"], dict(data["spec"]), data.get("source"))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the reader should know: JSON ``{"code", "detail"}``."""

    code: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """``{"code", "detail"}``."""
        return {"code": self.code, "detail": self.detail}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Notice:
        """The inverse of `to_json`."""
        return cls(data["code"], data["detail"])


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One change that the optimizer made: the rule, and the plan's hash before and after.

    Attributes:
        changed, added, removed: ids of steps that the rule wrote anew, made, and left out.
    """

    rule: str
    before: str
    after: str
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``{"rule", "before", "after", "changed", "added", "removed"}``."""
        steps = {"changed": list(self.changed), "added": list(self.added), "removed": list(self.removed)}
        return {"rule": self.rule, "before": self.before, "after": self.after, **steps}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rewrite:
        """The inverse of `to_json`."""
        steps = (tuple(data.get(key, ())) for key in ("changed", "added", "removed"))
        return cls(data["rule"], data["before"], data["after"], *steps)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        text: what to show, Markdown.
        values: the denotation: scalars for one column, rows for several, empty for none.
        citations: in the order of the marks ``[1]``, ``[2]`` in the text, where it has marks.
        plan: the plan as it ran, as JSON; `plan_hash` is its hash.
        rewrites: what the optimizer did to the planner's plan before it ran.
        completeness: share of the result's rows that the artifact shows.
        usage: ``{"milliseconds": {stage: …}, "llm": {"calls", "tokens_in", "tokens_out"}}``.
        alternatives: other readings: ``{"text", "confidence", "plan"}``.
        charts: drawn from the tables; in JSON they are artifacts too.
        options: where the question can be read in several ways, what to choose from: ``{"text", "plan" or "value"}``.
        conversation: under which a follow-up is asked; None where nothing is kept.
    """

    text: str
    values: tuple[Any, ...]
    artifact: str | None
    confidence: float
    band: Band
    completeness: float
    plan: Mapping[str, Any]
    plan_hash: str
    planner: PlannerName
    steps: tuple[StepReport, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    citations: tuple[Citation, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    warnings: tuple[Notice, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)
    alternatives: tuple[Mapping[str, Any], ...] = ()
    charts: tuple[Chart, ...] = ()
    options: tuple[Mapping[str, Any], ...] = ()
    conversation: str | None = None

    def to_markdown(self) -> str:
        """The text with its tables, what it assumed and warns of, and its sources."""
        return answer_to_markdown(self)

    def to_csv(self) -> str:
        """The rows of its table, with a header."""
        return answer_to_csv(self)

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of `promptql.md`."""
        return {
            "answer": {
                "text": self.text,
                "values": [list(row) if isinstance(row, tuple) else row for row in self.values],
                "artifact": self.artifact,
            },
            "confidence": self.confidence,
            "band": self.band.value,
            "completeness": self.completeness,
            "plan": dict(self.plan),
            "plan_hash": self.plan_hash,
            "planner": self.planner.value,
            "steps": [step.to_json() for step in self.steps],
            "artifacts": [table.to_json() for table in self.artifacts] + [chart.to_json() for chart in self.charts],
            "citations": [citation.to_json() for citation in self.citations],
            "assumptions": [assumption.to_json() for assumption in self.assumptions],
            "warnings": [warning.to_json() for warning in self.warnings],
            "rewrites": [rewrite.to_json() for rewrite in self.rewrites],
            "usage": dict(self.usage),
            "alternatives": [dict(item) for item in self.alternatives],
            **({"options": [dict(item) for item in self.options]} if self.options else {}),
            **({"conversation": self.conversation} if self.conversation is not None else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Answer:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: `data` is not an answer.
        """
        said = data["answer"]
        return cls(
            text=said["text"],
            values=tuple(tuple(row) if isinstance(row, list) else row for row in said["values"]),
            artifact=said["artifact"],
            confidence=data["confidence"],
            band=Band(data["band"]),
            completeness=data["completeness"],
            plan=dict(data["plan"]),
            plan_hash=data["plan_hash"],
            planner=PlannerName(data["planner"]),
            steps=tuple(StepReport.from_json(item) for item in data["steps"]),
            artifacts=tuple(Artifact.from_json(item) for item in data["artifacts"] if item["type"] != "chart"),
            citations=tuple(Citation.from_json(item) for item in data["citations"]),
            assumptions=tuple(Assumption.from_json(item) for item in data["assumptions"]),
            warnings=tuple(Notice.from_json(item) for item in data["warnings"]),
            rewrites=tuple(Rewrite.from_json(item) for item in data.get("rewrites", ())),
            usage=dict(data["usage"]),
            alternatives=tuple(dict(item) for item in data["alternatives"]),
            charts=tuple(Chart.from_json(item) for item in data["artifacts"] if item["type"] == "chart"),
            options=tuple(dict(item) for item in data.get("options", ())),
            conversation=data.get("conversation"),
        )
