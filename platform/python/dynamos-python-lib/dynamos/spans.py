"""Spans of OpenTelemetry's API, kept in memory until somebody takes them: see :class:`Recorder`."""

import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

MOST_SPANS = 2048
"""Spans that are kept; what comes after them is counted and dropped."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a span."""

    name: str
    time: int  # nanoseconds since 1970
    attributes: Mapping[str, Any]


class Span(trace.Span):
    """A span of a service, told to the recorder when it ends. After that nothing changes it."""

    def __init__(
        self,
        recorder: "Recorder",
        service: str,
        name: str,
        context: SpanContext,
        parent_id: int,
        kind: SpanKind,
        start: int | None,
        mark_exceptions: tuple[bool, bool],
    ) -> None:
        self._recorder = recorder
        self._context = context
        self._mark_exceptions = mark_exceptions
        self.service = service
        self.name = name
        self.parent_id = parent_id  # 0 for the first span of a trace
        self.kind = kind
        self.start = start or time.time_ns()
        self.ended = 0  # not yet
        self.attributes: dict[str, Any] = {}
        self.events: list[Event] = []
        self.links: list[tuple[SpanContext, Mapping[str, Any]]] = []
        self.status = Status()

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return not self.ended

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if self.is_recording():
            self.attributes.update(attributes)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        if self.is_recording():
            self.events.append(Event(name, timestamp or time.time_ns(), dict(attributes or {})))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self.is_recording():
            self.links.append((context, dict(attributes or {})))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        about = {
            "exception.type": module + kind.__qualname__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", about | dict(attributes or {}), timestamp)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        new = status if isinstance(status, Status) else Status(status, description)
        # As OpenTelemetry has it: OK is final, and nothing goes back to UNSET.
        if self.is_recording() and self.status.status_code is not StatusCode.OK and not new.is_unset:
            self.status = new

    def update_name(self, name: str) -> None:
        if self.is_recording():
            self.name = name

    def end(self, end_time: int | None = None) -> None:
        if self.is_recording():
            self.ended = end_time or time.time_ns()
            self._recorder.keep(self)

    def __exit__(self, kind: Any, error: BaseException | None, stack: Any) -> None:
        record, set_status = self._mark_exceptions
        if isinstance(error, Exception):
            if record:
                self.record_exception(error)
            if set_status:
                self.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self.end()


@dataclass
class Recorder(trace.TracerProvider):
    """Keeps what the spans of its tracers tell, at the cost of a few objects each. Takes calls of any thread."""

    service: str = ""
    spans: list[Span] = field(default_factory=list)
    dropped: int = 0

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> "Tracer":
        """A tracer of the recorder's service; of one with the name that is asked for, if that has none."""
        return Tracer(self, self.service or instrumenting_module_name)

    def keep(self, span: Span) -> None:
        """Remember a span that ended."""
        if len(self.spans) < MOST_SPANS:
            self.spans.append(span)
        else:
            self.dropped += 1

    def take(self) -> Sequence[Span]:
        """The spans that ended since the last call."""
        taken, self.spans = self.spans, []
        return taken


class Tracer(trace.Tracer):
    """Makes the spans of one service."""

    def __init__(self, recorder: Recorder, service: str) -> None:
        self._recorder = recorder
        self.service = service

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """A span that the caller ends; a child of the one in ``context``, else of the one that the thread is in."""
        parent = trace.get_current_span(context).get_span_context()
        own = SpanContext(
            parent.trace_id if parent.is_valid else _random(16),
            _random(8),
            is_remote=False,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            trace_state=parent.trace_state,
        )
        span = Span(
            self._recorder,
            self.service,
            name,
            own,
            parent.span_id if parent.is_valid else 0,
            kind,
            start_time,
            (record_exception, set_status_on_exception),
        )
        span.set_attributes(attributes or {})
        for link in links or ():
            span.add_link(link.context, link.attributes)
        return span

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # decorates no async functions
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        """The block, or the decorated function, as a span. Gives the span."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span


def _random(size: int) -> int:
    # Not from random, which a service may seed.
    return int.from_bytes(os.urandom(size)) or 1
