"""Traces of requests and of the steps of plans, for OpenTelemetry; nothing is made where none are wanted.

Spans hold routes, operations and numbers: never document text, questions or keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context, trace

from lumaai.errors import InvalidRequestError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    from promptql import Event, Tell

SERVICE_NAME = "lumaai"
FLUSH_MILLISECONDS_MAX = 3_000


def otlp_provider(endpoint: str) -> TracerProvider:
    """What sends spans to a collector, in batches and in a thread of its own.

    Args:
        endpoint: of OTLP over HTTP, without the path, such as http://127.0.0.1:4318.

    Raises:
        InvalidRequestError: the extra is missing (code "extra_missing").
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        message = "LUMAAI_OTLP_ENDPOINT needs the extra otel: pip install 'lumaai[otel]'"
        raise InvalidRequestError(message, code="extra_missing") from error
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE_NAME}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    return provider


class Tracing:
    """Spans within those of requests, which the web framework makes.

    Args:
        provider: where they go; None: nowhere.
    """

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer(SERVICE_NAME)

    @property
    def is_on(self) -> bool:
        """Whether anybody wants spans."""
        return self._tracer is not None

    @property
    def provider(self) -> TracerProvider | None:
        """Where spans go."""
        return self._provider

    def mark_request(self, request_id: str) -> None:
        """Put the request's id, by which it is found in the log, on its span."""
        if self._tracer is not None:
            trace.get_current_span().set_attribute("lumaai.request_id", request_id)

    def steps(self) -> StepSpans | None:
        """What makes a span of each step that is told; call it in the request's own task. None: nobody wants them."""
        return None if self._tracer is None else StepSpans(self._tracer, context.get_current())

    def close(self) -> None:
        """Send what waits."""
        shutdown = getattr(self._provider, "shutdown", None)
        flush = getattr(self._provider, "force_flush", None)
        if flush is not None:
            flush(FLUSH_MILLISECONDS_MAX)
        if shutdown is not None:
            shutdown()


class StepSpans:
    """The spans of one plan's steps; they are told by one thread."""

    def __init__(self, tracer: trace.Tracer, parent: Context) -> None:
        self._tracer = tracer
        self._parent = parent
        self._running: dict[str, Span] = {}

    def around(self, tell: Tell | None) -> Tell:
        """Calls `tell` with each event, too."""

        def told(event: Event) -> None:
            self._take(event)
            if tell is not None:
                tell(event)

        return told

    def close(self) -> None:
        """End the spans of steps that did not finish."""
        for span in self._running.values():
            span.set_status(trace.StatusCode.ERROR)
            span.end()
        self._running.clear()

    def _take(self, event: Event) -> None:
        from promptql import PlanMade, StepFinished, StepStarted

        match event:
            case PlanMade():
                facts = {"planner": event.planner, "plan_hash": event.plan_hash, "band": event.band}
                span = trace.get_current_span(self._parent)
                span.set_attributes({f"lumaai.{name}": fact for name, fact in facts.items()})
            case StepStarted():
                attributes = {"lumaai.step.id": event.id, "lumaai.step.op": event.op}
                self._running[event.id] = self._tracer.start_span(
                    f"step {event.op}", context=self._parent, attributes=attributes
                )
            case StepFinished():
                report = event.report
                step = self._running.pop(report.id, None)
                if step is not None:
                    rows = {"lumaai.step.rows_in": report.rows_in, "lumaai.step.rows_out": report.rows_out}
                    step.set_attributes({name: count for name, count in rows.items() if count is not None})
                    step.set_attribute("lumaai.step.cached", report.cached)
                    step.end()
