"""OpenTelemetry spans, at no cost while nobody collects them.

The OpenTelemetry SDK and its exporter take 175 ms to import, which would be a fifth of a request. So
:func:`InitTracer` first looks, in the background, whether anything answers at the collector's address,
and only then imports them.
"""

import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dynamos.logger import InitLogger

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
        """The block as a span; ``context`` is the handler's ``ctx``. Gives the span."""
        if not self.active:
            yield IdleSpan()
            return
        with self._real.start_as_current_span(name, context=context, **options) as span:
            yield span

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
    """The trace context that a message carries in ``traces["jsonTrace"]``.

    None if there is none, or if this process doesn't use OpenTelemetry.
    """
    text = traces.get("jsonTrace")
    if not text or "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    try:
        ids = json.loads(text)
        parent = trace.SpanContext(
            trace_id=int(ids["TraceID"], 16),
            span_id=int(ids["SpanID"], 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("the message's jsonTrace can't be read: %r", error)
        return None
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


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
