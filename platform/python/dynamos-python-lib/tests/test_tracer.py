"""Spans where somebody collects them, nothing where nobody does."""

import queue
import subprocess
import sys
from concurrent import futures

import grpc
import microserviceCommunication_pb2 as chain
import pytest
from google.protobuf.struct_pb2 import Struct
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from dynamos.grpc_client import GRPCClient
from dynamos.trace_forms import trace_forms, trace_ids
from dynamos.tracer import InitTracer, carried, current_forms, parent_context

IDS = b'{"TraceID": "0af7651916cd43dd8448eb211c80319c", "SpanID": "b7ad6b7169203331"}'


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: queue.Queue[object] = queue.Queue()

    def Export(self, request, context):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put(span)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector(ports):
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    server.add_insecure_port(f"localhost:{ports[0]}")
    server.start()
    collector.server = server
    yield collector
    server.stop(0).wait()


def test_spans_continue_the_trace_of_the_message(collector, ports):
    tracer = InitTracer("sql-query", f"http://localhost:{ports[0]}")
    with tracer.start_as_current_span("query", context=parent_context({"jsonTrace": IDS})) as span:
        assert span.is_recording()
    trace.get_tracer_provider().force_flush()
    sent = collector.spans.get(timeout=5)
    assert sent.name == "query"
    assert sent.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert sent.parent_span_id.hex() == "b7ad6b7169203331"


def test_a_span_without_a_context_belongs_to_the_message_that_is_handled(collector, ports):
    tracer = InitTracer("sql-query", f"http://localhost:{ports[0]}")

    @tracer.start_as_current_span("decorated")
    def work():
        tracer.start_span("inner").end()
        return current_forms()

    assert tracer.active
    with carried({"jsonTrace": IDS}):
        forms = work()
        work()
    trace.get_tracer_provider().force_flush()
    inner, outer = (collector.spans.get(timeout=5) for _ in range(2))
    assert (inner.name, outer.name) == ("inner", "decorated")
    assert outer.parent_span_id.hex() == "b7ad6b7169203331"
    assert inner.parent_span_id == outer.span_id
    assert inner.trace_id == outer.trace_id
    assert trace_ids(forms) == (int.from_bytes(outer.trace_id), int.from_bytes(outer.span_id))
    assert current_forms() == {}


def test_a_message_of_no_trace_gets_that_of_its_sender(collector, ports, sidecar_at):
    sidecar = sidecar_at(ports[1])
    tracer = InitTracer("sql-query", f"http://localhost:{ports[0]}")
    client = GRPCClient(f"localhost:{ports[1]}", "sql-query")
    for sent in (chain.MicroserviceCommunication(), chain.MicroserviceCommunication(traces={"jsonTrace": IDS})):
        with tracer.start_as_current_span("send") as span:
            client.ms_comm.send_data(sent, Struct())
        own = span.get_span_context()
        expected = {"jsonTrace": IDS} if sent.traces.get("jsonTrace") == IDS else trace_forms(own.trace_id, own.span_id)
        assert dict(sidecar.answer().traces) == expected
    client.close_program()


def test_a_collector_that_went_away_does_not_hold_up_the_end(collector, ports):
    program = (
        "import sys; from dynamos.tracer import InitTracer;"
        f"tracer = InitTracer('a', 'localhost:{ports[0]}'); print(tracer.active, flush=True); sys.stdin.readline();"
        "tracer.start_span('late').end()"
    )
    service = subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout.readline() == "True\n"
    collector.server.stop(0).wait()
    service.communicate("\n", timeout=10)  # OpenTelemetry itself tries for a minute
    assert service.returncode == 0


@pytest.mark.parametrize("host", ["localhost:1", "http://localhost:1", "no-such-host.invalid:4317"])
def test_without_a_collector_the_block_runs_all_the_same(host):
    with InitTracer("sql-query", host).start_as_current_span("query") as span:
        span.set_attribute("rows", 1)
        span.add_event("done", {"a": 1})
    assert not span.is_recording()
    assert not span.get_span_context().is_valid
    with InitTracer("sql-query", host).start_span("query") as span:
        span.end()


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[]", b'{"TraceID": "zz", "SpanID": "1"}', b"\xff"])
def test_a_broken_trace_is_no_reason_to_fail(text):
    assert parent_context({"jsonTrace": text}) is None


def test_a_service_does_not_import_what_is_slow_before_it_is_needed():
    program = (
        "import sys; from dynamos.tracer import InitTracer; import dynamos.ms_init, dynamos.dataframe, query;"
        "InitTracer('a', 'localhost:1').active;"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'pandas', 'numpy')])"
    )
    paths = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=paths, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
