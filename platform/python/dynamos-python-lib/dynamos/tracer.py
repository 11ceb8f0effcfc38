"""OpenTelemetry spans, at next to no cost while a request runs.

The library makes a span of each call of a handler; a service makes more with the tracer of :func:`InitTracer`. They are
only remembered, and sent when the service ends, in one call that has SEND_SECONDS: so nobody waits for a collector.

OpenTelemetry's SDK isn't used. Processor time, in the middle of 15 processes (Python 3.11; everything else that
sql-query imports takes 92 ms):

============================================================  =====
the API, which has the contexts and the classes to derive      4 ms
the SDK's spans                                               18 ms
a provider of the SDK, and one span                           10 ms
the SDK's exporter                                            27 ms
after the answer: OTLP's messages (opentelemetry-proto)        8 ms
============================================================  =====

So with the SDK each request would take 28 ms more of each Python container before its answer; the spans of
:mod:`dynamos.spans` take the 4 ms of the API.
"""

import atexit
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace

from dynamos.logger import InitLogger
from dynamos.spans import Recorder, Span, Tracer
from dynamos.trace_forms import trace_forms, trace_ids

COLLECTOR = "collector.linkerd-jaeger:4317"
"""Where spans go if neither the service nor one of ENDPOINTS says."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The variables that say where spans go. The first that does counts."""

SEND_SECONDS = 1.0
"""Seconds that all of sending may take, however the collector fails."""

logger = InitLogger()
_recorder = Recorder()
_collector = COLLECTOR


def InitTracer(service_name: str, tracing_host: str) -> Tracer:
    """A tracer of spans of this service, and where to send all of this process: ``tracing_host``.

    That is HOST:PORT or a URL, OTLP over gRPC, plaintext; ENDPOINTS override it. Never waits and never fails. What uses
    OpenTelemetry's API by itself makes spans of this service too.
    """
    global _collector
    _collector = tracing_host or COLLECTOR
    _recorder.service = service_name
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):  # nobody has set another
        trace.set_tracer_provider(_recorder)
    return Tracer(_recorder, service_name)


def flush() -> None:
    """Send the spans that ended, in SEND_SECONDS at most. What can't be sent is dropped, and the log says why.

    Configuration.stop calls this when everything else is done, and so does Python at exit.
    """
    spans = _recorder.take()
    if not spans:
        return
    collector = next(filter(None, map(os.getenv, ENDPOINTS)), _collector)
    try:
        from dynamos.span_export import send

        send(spans, collector, SEND_SECONDS)
    except Exception as error:
        code = getattr(error, "code", None)  # of grpc.RpcError, whose text has many lines
        logger.info(
            "spans not sent to %s, and %d lost: %s", collector, len(spans), code().name if code else repr(error)
        )
    if _recorder.dropped:
        logger.warning("%d spans too many, and dropped", _recorder.dropped)
        _recorder.dropped = 0


atexit.register(flush)


@contextmanager
def handling(service_name: str, name: str, traces: Any, correlation_id: str) -> Iterator[Span]:
    """The block as a span: the child of the one that ``traces`` carries, which from now on carry the new one."""
    attributes = {"dynamos.correlation": correlation_id} if correlation_id else {}
    parent = parent_context(traces) or trace.set_span_in_context(trace.INVALID_SPAN)
    with Tracer(_recorder, service_name).start_as_current_span(name, parent, trace.SpanKind.SERVER, attributes) as span:
        traces.update(forms_of(span))
        yield span


def parent_context(traces: Mapping[str, bytes]) -> Any:
    """The trace context that a message carries, in ``traces["jsonTrace"]`` or ``traces["binaryTrace"]``, or None."""
    ids = trace_ids(traces)
    if ids is None:
        return None
    parent = trace.SpanContext(ids[0], ids[1], is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


def forms_of(span: trace.Span) -> dict[str, bytes]:
    """The span as a message carries it; empty for no span."""
    context = span.get_span_context()
    return trace_forms(context.trace_id, context.span_id, context.trace_flags.sampled) if context.is_valid else {}


def current_forms() -> dict[str, bytes]:
    """The span that this thread is in, as a message carries it; empty outside of one."""
    return forms_of(trace.get_current_span())


def pretty_print_span_context(span: Any) -> None:
    """Log the span's identity."""
    context = span.get_span_context()
    logger.info("trace %032x span %016x", context.trace_id, context.span_id)
