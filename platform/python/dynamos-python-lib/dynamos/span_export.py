"""Send spans to a collector: OTLP over gRPC, plaintext. Imported once there are spans to send."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.trace import StatusCode

from dynamos.spans import Span

PORT = 4317  # of OTLP over gRPC
_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.service_config_disable_resolution", 1)]
_STATUS = {
    StatusCode.UNSET: Status.STATUS_CODE_UNSET,
    StatusCode.OK: Status.STATUS_CODE_OK,
    StatusCode.ERROR: Status.STATUS_CODE_ERROR,
}


def send(spans: Sequence[Span], collector: str, seconds: float) -> None:
    """Hand the spans to the collector (HOST:PORT or a URL). Raises grpc.RpcError if it didn't take them in time.

    The time is for everything: names, the connection, the answer. Starts no thread, so that it can run at exit.
    """
    with grpc.insecure_channel(_target(collector), options=_OPTIONS) as channel:
        TraceServiceStub(channel).Export(request(spans), timeout=seconds)


def request(spans: Sequence[Span]) -> ExportTraceServiceRequest:
    """The spans as OTLP has them, those of each service together."""
    services = defaultdict(list)
    for span in spans:
        services[span.service].append(_message(span))
    scope = InstrumentationScope(name="dynamos")
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_attributes(_environment() | {"service.name": service})),
                scope_spans=[ScopeSpans(scope=scope, spans=messages)],
            )
            for service, messages in services.items()
        ]
    )


def _environment() -> dict[str, str]:
    """What OTEL_RESOURCE_ATTRIBUTES says of this process: ``key=value,key=value``, with values as in URLs."""
    entries = (entry.partition("=") for entry in os.getenv("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return {key.strip(): unquote(value.strip()) for key, equals, value in entries if equals}


def _target(collector: str) -> str:
    address = collector.removeprefix("http://").rstrip("/")
    return address if ":" in address else f"{address}:{PORT}"


def _message(span: Span) -> Message:
    context = span.get_span_context()
    return Message(
        trace_id=context.trace_id.to_bytes(16),
        span_id=context.span_id.to_bytes(8),
        parent_span_id=span.parent_id.to_bytes(8) if span.parent_id else b"",
        name=span.name,
        kind=Message.SpanKind.Value(f"SPAN_KIND_{span.kind.name}"),
        flags=context.trace_flags,
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.ended,
        attributes=_attributes(span.attributes),
        events=[
            Message.Event(name=event.name, time_unix_nano=event.time, attributes=_attributes(event.attributes))
            for event in span.events
        ],
        links=[
            Message.Link(
                trace_id=to.trace_id.to_bytes(16), span_id=to.span_id.to_bytes(8), attributes=_attributes(attributes)
            )
            for to, attributes in span.links
        ],
        status=Status(code=_STATUS[span.status.status_code], message=span.status.description or ""),
    )


def _attributes(attributes: Mapping[str, Any]) -> Iterable[KeyValue]:
    return [KeyValue(key=str(key), value=_value(value)) for key, value in attributes.items() if value is not None]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
    return AnyValue(string_value=str(value).encode(errors="replace").decode())
