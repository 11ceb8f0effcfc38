"""OpenTelemetry spans, at no cost while nobody collects them.

The OpenTelemetry SDK and its exporter take 175 ms to import, which would be a fifth of a request. So
:func:`InitTracer` first looks, in the background, whether anything answers at the collector's address,
and only then imports them.
"""

import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dynamos.logger import InitLogger
from dynamos.trace_forms import trace_forms, trace_ids

CONNECT_TIMEOUT = 0.25
"""Seconds that the collector has to accept a connection."""

PROBE_TIMEOUT = 0.5
"""Seconds that the first span waits to hear whether there is a collector. It is known long before,
unless DNS hangs."""

IMPORT_TIMEOUT = 10.0
"""Seconds that the first span waits for OpenTelemetry, once there is a collector."""

EXPORT_TIMEOUT = 2
"""Seconds that one batch of spans may take to be sent, also while the process ends."""

logger = InitLogger()
_traces: ContextVar[Mapping[str, bytes]] = ContextVar("traces", default={})  # noqa: B039 # never written


class IdleSpan:
    """Has the methods of an OpenTelemetry span, and does nothing."""

    def set_attribute(self, key: str, value: Any) -> None: ...

    def set_attributes(self, attributes: Mapping[str, Any]) -> None: ...

    def add_event(self, name: str, *_: Any, **__: Any) -> None: ...

    def add_link(self, *_: Any, **__: Any) -> None: ...

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None: ...

    def set_status(self, status: Any, description: str | None = None) -> None: ...

    def update_name(self, name: str) -> None: ...

    def end(self, end_time: int | None = None) -> None: ...

    def is_recording(self) -> bool:
        return False

    def __enter__(self) -> "IdleSpan":
        return self

    def __exit__(self, *_: object) -> None: ...

    def get_span_context(self) -> Any:
        """OpenTelemetry's context of no span. Imports its API."""
        from opentelemetry import trace

        return trace.INVALID_SPAN_CONTEXT


class Tracer:
    """Makes spans if the collector was there when the service started; else its spans do nothing."""

    def __init__(self, service_name: str, tracing_host: str) -> None:
        self.service_name = service_name
        self._real: Any = None
        self._found = False  # whether the collector answered
        self._probed = threading.Event()
        self._decided = threading.Event()
        threading.Thread(target=self._decide, args=(tracing_host,), daemon=True, name="tracer").start()

    @property
    def active(self) -> bool:
        """Whether spans are sent. Waits until that is known, unless it takes unreasonably long."""
        self._probed.wait(PROBE_TIMEOUT)
        if self._found:
            self._decided.wait(IMPORT_TIMEOUT)
        return self._real is not None

    @contextmanager
    def start_as_current_span(self, name: str, context: Any = None, **options: Any) -> Iterator[Any]:
        """The block, or the decorated function, as a span. Gives the span.

        ``context`` is the handler's ``ctx``; without one, a span that isn't inside another is the child of the
        message that this thread handles.
        """
        if not self.active:
            yield IdleSpan()
            return
        with self._real.start_as_current_span(name, context=context or _inherited(), **options) as span:
            yield span

    def start_span(self, name: str, context: Any = None, **options: Any) -> Any:
        """A span that the caller ends; see start_as_current_span."""
        return self._real.start_span(name, context=context or _inherited(), **options) if self.active else IdleSpan()

    def _decide(self, tracing_host: str) -> None:
        try:
            self._found = _answers(tracing_host)
            self._probed.set()
            if self._found:
                self._real = _open_telemetry(self.service_name, tracing_host)
            else:
                logger.info("no spans: nobody answers at the collector %s", tracing_host)
        except Exception as error:
            logger.warning("no spans: %s", error)
        finally:
            self._probed.set()
            self._decided.set()


def InitTracer(service_name: str, tracing_host: str) -> Tracer:
    """A tracer that sends to the collector at ``tracing_host`` (HOST:PORT, OTLP over gRPC, plaintext).

    Never waits and never fails: without a collector, its spans do nothing.
    """
    return Tracer(service_name, tracing_host)


def parent_context(traces: Mapping[str, bytes]) -> Any:
    """The trace context that a message carries, in ``traces["jsonTrace"]`` or ``traces["binaryTrace"]``.

    None if there is none, or if this process doesn't use OpenTelemetry.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    ids = trace_ids(traces)
    if ids is None:
        return None
    from opentelemetry import trace

    parent = trace.SpanContext(ids[0], ids[1], is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


@contextmanager
def carried(traces: Mapping[str, bytes]) -> Iterator[None]:
    """In the block, spans without another parent belong to the trace that the message carries."""
    token = _traces.set(traces)
    try:
        yield
    finally:
        _traces.reset(token)


def current_forms() -> dict[str, bytes]:
    """The span that this thread is in, as a message carries it; empty outside of one."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry import trace

    span = trace.get_current_span().get_span_context()
    return trace_forms(span.trace_id, span.span_id, span.trace_flags.sampled) if span.is_valid else {}


def _inherited() -> Any:
    """The context of the message that this thread handles; None inside a span, and where there is no message."""
    from opentelemetry import trace

    if trace.get_current_span().get_span_context().is_valid:
        return None
    return parent_context(_traces.get())


def pretty_print_span_context(span: Any) -> None:
    """Log the span's identity."""
    context = span.get_span_context()
    logger.info("trace %032x span %016x", context.trace_id, context.span_id)


def _answers(tracing_host: str) -> bool:
    host, _, port = tracing_host.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port or 4317)), timeout=CONNECT_TIMEOUT).close()
    except OSError:
        return False
    return True


def _open_telemetry(service_name: str, tracing_host: str) -> Any:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    exporter = OTLPSpanExporter(endpoint=tracing_host, insecure=True, timeout=EXPORT_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return trace.get_tracer(service_name)
