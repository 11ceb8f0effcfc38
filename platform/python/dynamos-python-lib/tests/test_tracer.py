"""Spans are remembered while a request runs, and sent when the service ends."""

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import microserviceCommunication_pb2 as chain
import pytest
from google.protobuf.struct_pb2 import Struct
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import Status, StatusCode

from dynamos import span_export, spans, tracer
from dynamos.grpc_client import GRPCClient
from dynamos.trace_forms import trace_forms, trace_ids
from dynamos.tracer import InitTracer, current_forms, flush, parent_context

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
IDS = f'{{"TraceID": "{TRACE}", "SpanID": "{PARENT}"}}'.encode()
WAIT = 10.0  # seconds after which a test stops to believe that something still comes


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, port: int) -> None:
        self.address = f"localhost:{port}"
        self.spans: queue.Queue[tuple[str, Span]] = queue.Queue()

    def Export(self, request, context):
        for resource in request.resource_spans:
            (service,) = resource.resource.attributes
            assert service.key == "service.name"
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put((service.value.string_value, span))
        return trace_service_pb2.ExportTraceServiceResponse()

    def take(self, number: int) -> dict[str, Span]:
        """The spans that came, under their service's name and their own."""
        taken = [self.spans.get(timeout=WAIT) for _ in range(number)]
        assert self.spans.empty()
        return {f"{service}: {span.name}": span for service, span in taken}


@pytest.fixture
def collector(ports, monkeypatch) -> Iterator[Collector]:
    flush()  # what other tests left goes to nobody
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    collector = Collector(ports[3])
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    server.add_insecure_port(collector.address)
    server.start()
    yield collector
    server.stop(0).wait()


def attributes(of: Span | Span.Event | Resource) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


def test_the_calls_of_the_handlers_follow_each_other_in_the_messages_trace(collector, sidecar, ports, start, message):
    own = InitTracer("own", f"http://{collector.address}")
    configs = {}

    def handler(place: int) -> Callable[..., None]:
        def handle(msComm, ctx):
            with own.start_as_current_span("inside"):
                pass
            worker = threading.Thread(target=lambda: own.start_span("in another thread", context=ctx).end())
            worker.start()
            worker.join()
            configs[place].next_client.ms_comm.send_data(msComm, Struct())

        return handle

    for place in (1, 0):
        configs[place] = start(place, 2, handler(place))
    sent = message("SELECT 1", "c-42")
    sidecar.deliver(ports[1], sent)
    answer = sidecar.answer()
    for config in configs.values():
        config.stop(WAIT)

    arrived = [collector.spans.get(timeout=WAIT) for _ in range(6)]
    handled = {service: span for service, span in arrived if span.name == "handle sqlDataRequest"}
    first, second = handled["service-0"], handled["service-1"]
    assert {span.trace_id.hex() for _, span in arrived} == {"0af7" * 8}
    assert first.parent_span_id.hex() == "b7ad" * 4
    assert second.parent_span_id == first.span_id
    assert attributes(first) == {"dynamos.correlation": "c-42"}
    assert first.kind == Span.SPAN_KIND_SERVER
    assert first.start_time_unix_nano < second.start_time_unix_nano
    assert second.end_time_unix_nano < first.end_time_unix_nano
    inner = sorted((span.name, span.parent_span_id) for service, span in arrived if service == "own")
    assert inner == sorted((name, span.span_id) for name in ("inside", "in another thread") for span in (first, second))
    # The answer belongs to the last of them, in both forms.
    assert dict(answer.traces) == trace_forms(int.from_bytes(second.trace_id), int.from_bytes(second.span_id))


def broken(msComm: object, ctx: object) -> None:
    raise KeyError("Salschal")


@pytest.mark.parametrize(
    ("handler", "words", "exceptions"),
    [
        (broken, "service-0: 'Salschal'", ["'Salschal'"]),
        (lambda msComm, ctx: None, "service-0: the handler sent nothing on; its log says why", []),
    ],
)
def test_a_failed_handlers_span_says_what_the_requester_reads(
    collector, sidecar, ports, start, message, handler, words, exceptions
):
    config = start(0, 1, handler)
    InitTracer("service-0", collector.address)
    sidecar.deliver(ports[1], message("SELECT 1"))
    answer = sidecar.answer()
    config.stop(WAIT)
    (span,) = collector.take(1).values()
    assert answer.metadata["error"] == words
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, words)
    assert [attributes(event)["exception.message"] for event in span.events] == exceptions
    assert trace_ids(answer.traces) == (int.from_bytes(span.trace_id), int.from_bytes(span.span_id))


def test_a_message_of_no_trace_begins_one(collector, sidecar, ports, start, message):
    InitTracer("service-0", collector.address)
    config = start(0, 1, lambda msComm, ctx: config.next_client.ms_comm.send_data(msComm, Struct()))
    sent = message("SELECT 1")
    sent.traces.clear()
    sidecar.deliver(ports[1], sent)
    answer = sidecar.answer()
    config.stop(WAIT)
    (span,) = collector.take(1).values()
    assert span.parent_span_id == b""
    assert trace_ids(answer.traces) == (int.from_bytes(span.trace_id), int.from_bytes(span.span_id))


def test_a_message_that_failed_before_is_no_call_of_the_handler(collector, sidecar, ports, start, message):
    InitTracer("service-0", collector.address)
    config = start(0, 1, broken)
    sent = message("SELECT 1")
    sent.metadata["error"] = "other: no"
    sidecar.deliver(ports[1], sent)
    assert sidecar.answer().traces == sent.traces
    config.stop(WAIT)
    assert collector.spans.empty()


def test_what_a_span_was_told_arrives(collector):
    own = InitTracer("sql-query", collector.address)

    @own.start_as_current_span("decorated", attributes={"kept": "a"})
    def work() -> None:
        span = trace.get_current_span()
        span.set_attributes({"flag": True, "rows": 3, "share": 0.5, "raw": b"\xff", "list": ["a", 1], "none": None})
        span.set_attribute("large", 1 << 64)
        span.set_attribute("surrogate", "\ud800")
        span.add_event("read", {"table": "Personen"})
        span.add_link(trace.SpanContext(1, 2, is_remote=True))
        span.update_name("renamed")
        trace.get_tracer("a library").start_span("of OpenTelemetry's own").end()

    work()
    flush()
    arrived = collector.take(2)
    span = arrived["sql-query: renamed"]
    found = attributes(span)
    assert [value.WhichOneof("value") for value in found.pop("list").values] == ["string_value", "int_value"]
    assert found == {
        "kept": "a", "flag": True, "rows": 3, "share": 0.5, "raw": b"\xff", "large": str(1 << 64), "surrogate": "?"
    }  # fmt: skip
    assert [(event.name, attributes(event)) for event in span.events] == [("read", {"table": "Personen"})]
    assert [(link.trace_id[-1], link.span_id[-1]) for link in span.links] == [(1, 2)]
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert arrived["sql-query: of OpenTelemetry's own"].parent_span_id == span.span_id


def test_an_exception_marks_the_spans_that_it_leaves(collector):
    own = InitTracer("sql-query", collector.address)
    with pytest.raises(ValueError, match="no"), own.start_as_current_span("outer"), own.start_span("inner"):
        raise ValueError("no")
    with pytest.raises(ValueError, match="no"), own.start_span("quiet", None, trace.SpanKind.INTERNAL, None, None, None,
                                                              False, False):  # fmt: skip
        raise ValueError("no")
    flush()
    arrived = collector.take(3)
    for name in ("inner", "outer"):
        span = arrived[f"sql-query: {name}"]
        assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "ValueError: no")
        (event,) = span.events
        about = attributes(event)
        assert (event.name, about["exception.type"], about["exception.message"]) == ("exception", "ValueError", "no")
        assert "test_an_exception_marks" in about["exception.stacktrace"]
    assert not arrived["sql-query: quiet"].events
    assert arrived["sql-query: quiet"].status.code == span.status.STATUS_CODE_UNSET


def test_a_status_is_final_when_it_is_ok_and_a_span_when_it_ended(collector):
    span = InitTracer("sql-query", collector.address).start_span("query")
    span.set_status(Status(StatusCode.ERROR, "no"))
    span.set_status(StatusCode.UNSET)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no")
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR, "no")
    span.end(end_time=span.start + 7)
    for change in (span.end, lambda: span.update_name("late"), lambda: span.set_attribute("late", 1),
                   lambda: span.add_event("late"), lambda: span.set_status(StatusCode.ERROR)):  # fmt: skip
        change()
    flush()
    arrived = collector.take(1)["sql-query: query"]
    assert arrived.status.code == arrived.status.STATUS_CODE_OK
    assert arrived.end_time_unix_nano - arrived.start_time_unix_nano == 7
    assert not arrived.attributes
    assert not arrived.events


def test_the_environment_tells_another_collector(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}/")
    InitTracer("sql-query", "localhost:1").start_span("query").end()
    flush()
    assert list(collector.take(1)) == ["sql-query: query"]


def test_what_the_environment_says_of_traces_goes_first(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://{collector.address}")
    InitTracer("sql-query", "localhost:1").start_span("query").end()
    flush()
    assert list(collector.take(1)) == ["sql-query: query"]


def test_the_environment_tells_where_a_service_runs(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=uva, k8s.job.name=a%2Cb,broken,service.name=x")
    with InitTracer("own", "").start_as_current_span("work") as span:
        pass
    (sent,) = span_export.request([span]).resource_spans
    assert attributes(sent.resource) == {"service.namespace": "uva", "k8s.job.name": "a,b", "service.name": "own"}


def test_the_port_may_be_left_out(collector, monkeypatch):
    monkeypatch.setattr("dynamos.span_export.PORT", int(collector.address.partition(":")[2]))
    InitTracer("sql-query", "localhost").start_span("query").end()
    flush()
    assert list(collector.take(1)) == ["sql-query: query"]


def test_spans_beyond_the_most_are_dropped(collector, monkeypatch, caplog):
    monkeypatch.setattr(spans, "MOST_SPANS", 2)
    monkeypatch.setattr(tracer.logger, "propagate", True)
    own = InitTracer("sql-query", collector.address)
    for number in range(5):
        own.start_span(str(number)).end()
    flush()
    assert list(collector.take(2)) == ["sql-query: 0", "sql-query: 1"]
    assert "3 spans too many" in caplog.text


def test_services_with_a_seed_have_ids_of_their_own(collector):
    program = (
        "import random; random.seed(0); from dynamos.tracer import InitTracer; InitTracer('a', '{}').start_span('s')"
    )
    for _ in range(2):
        run(program.format(collector.address) + ".end()")
    ids = [collector.spans.get(timeout=WAIT)[1] for _ in range(2)]
    assert len({span.trace_id for span in ids}) == len({span.span_id for span in ids}) == 2


def test_a_message_made_anew_gets_the_trace_of_its_sender(ports, sidecar_at):
    sidecar = sidecar_at(ports[1])
    own = InitTracer("sql-query", "localhost:1")
    client = GRPCClient(f"localhost:{ports[1]}", "sql-query")
    for sent in (chain.MicroserviceCommunication(), chain.MicroserviceCommunication(traces={"jsonTrace": IDS})):
        with own.start_as_current_span("send", context=parent_context(sent.traces)):
            expected = current_forms() if not sent.traces else {"jsonTrace": IDS}
            client.ms_comm.send_data(sent, Struct())
        assert dict(sidecar.answer().traces) == expected
    assert current_forms() == {}
    client.close_program()


@pytest.mark.parametrize(
    "host", ["localhost:1", "http://localhost:1", "no-such-host.invalid:4317", "", "https://a:b:c"]
)
def test_without_a_collector_only_the_log_tells(host, monkeypatch, caplog):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    monkeypatch.setattr(tracer.logger, "propagate", True)
    flush()
    with InitTracer("sql-query", host).start_as_current_span("query"):
        pass
    flush()
    assert f"spans not sent to {host or tracer.COLLECTOR}, and 1 lost" in caplog.text
    caplog.clear()
    flush()  # nothing is kept for another try
    assert not caplog.text


@pytest.mark.parametrize("stalls", ["collector", "names"])
def test_a_collector_that_stalls_holds_up_neither_the_answer_nor_the_end(sidecar, ports, container, message, stalls):
    kind = socket.SOCK_STREAM if stalls == "collector" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(WAIT)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        where = f"dns://{address}/collector:4317"
        if stalls == "collector":
            silent.listen()
            where = address
        service = container("-c", SERVICE, OTEL_EXPORTER_OTLP_ENDPOINT=where)
        sidecar.initialised.get(timeout=WAIT)
        sidecar.deliver(ports[1], message("SELECT 1"))
        assert "error" not in sidecar.answer().metadata
        sidecar.stopped.get(timeout=WAIT)
        # Only now does it ask.
        asked = silent.accept()[0] if stalls == "collector" else silent.dup()
        with asked:
            assert asked.recv(512)
            output, _ = service.communicate(timeout=WAIT)  # OpenTelemetry itself tries for a minute
    assert service.returncode == 0
    assert "spans not sent" in output


def test_what_is_slow_is_imported_when_the_service_ends():
    program = (
        "import sys; from dynamos import tracer; import dynamos.ms_init, dynamos.dataframe, query\n"
        "slow = lambda: {'opentelemetry.' + m for m in ('sdk', 'proto', 'exporter')} & {*sys.modules}\n"
        "own = tracer.InitTracer('a', 'localhost:1')\n"
        "with tracer.handling('a', 'handle', {}, 'c'), own.start_as_current_span('work'): pass\n"
        "print([m for m in sys.modules if m in ('pandas', 'numpy')], slow())\n"
        "tracer.flush(); print(slow())"
    )
    lines = run(program).splitlines()
    assert (lines[0], lines[-1]) == ("[] set()", "{'opentelemetry.proto'}")


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[]", b'{"TraceID": "zz", "SpanID": "1"}', b"\xff"])
def test_a_broken_trace_is_no_reason_to_fail(text):
    assert parent_context({"jsonTrace": text}) is None


SERVICE = """
import threading
from google.protobuf.struct_pb2 import Struct
from dynamos.ms_init import NewConfiguration
from dynamos.signal_flow import signal_continuation, signal_wait
from dynamos.tracer import InitTracer

InitTracer("a", "localhost:1")
ready, done, condition = threading.Event(), threading.Event(), threading.Condition()

def handle(msComm, ctx):
    signal_wait(ready, condition)
    config.next_client.ms_comm.send_data(msComm, Struct())
    signal_continuation(done, condition)

config = NewConfiguration("a", "localhost:", handle)
signal_continuation(ready, condition)
signal_wait(done, condition)
config.stop()
"""


def run(program: str) -> str:
    """What the program prints."""
    paths: dict[str, Any] = {"PYTHONPATH": ":".join(sys.path)}
    return subprocess.run([sys.executable, "-c", program], env=paths, capture_output=True, text=True, check=True).stdout
