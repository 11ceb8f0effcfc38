"""A sidecar for tests: it answers like the real one and keeps what it was sent."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import microserviceCommunication_pb2 as chain
import microserviceCommunication_pb2_grpc as chain_grpc
import pytest
import rabbitMQ_pb2 as rabbit
import rabbitMQ_pb2_grpc as rabbit_grpc
from google.protobuf.empty_pb2 import Empty

from dynamos import channel, signal_flow
from dynamos.health import HealthServicer
from dynamos.ms_init import Configuration, NewConfiguration

WAIT = 10.0
"""Seconds after which a test stops to believe that something still comes."""


class Sidecar:
    """Listens on ``port`` from listen on; events arrive in the order of the calls."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.watched = True  # whether it has dynamos.Health
        self.options = channel.SERVER_OPTIONS
        self.initialised: queue.Queue[rabbit.ChainRequest] = queue.Queue()
        self.answers: queue.Queue[chain.MicroserviceCommunication] = queue.Queue()
        self.stopped: queue.Queue[rabbit.StopRequest] = queue.Queue()
        self._server: grpc.Server | None = None

    def listen(self) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=self.options)
        chain_grpc.add_MicroserviceServicer_to_server(self, self._server)
        rabbit_grpc.add_RabbitMQServicer_to_server(_Rabbit(self), self._server)
        self.health = HealthServicer()
        if self.watched:
            self.health.add_to_server(self._server)
        self._server.add_insecure_port(f"localhost:{self.port}")
        self._server.start()

    def close(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()

    def SendData(self, msComm: chain.MicroserviceCommunication, context: object) -> chain.ContinueReceiving:
        self.answers.put(msComm)
        return chain.ContinueReceiving()

    def deliver(self, port: int, msComm: chain.MicroserviceCommunication) -> None:
        """Give the message to the service on that port, as the first hop of a chain is given it."""
        with channel.open_channel(f"localhost:{port}") as way:
            chain_grpc.MicroserviceStub(way).SendData(msComm, wait_for_ready=True, timeout=WAIT)

    def answer(self) -> chain.MicroserviceCommunication:
        """What came out at the end of the chain."""
        return self.answers.get(timeout=WAIT)


class _Rabbit(rabbit_grpc.RabbitMQServicer):
    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar

    def InitRabbitForChain(self, request: rabbit.ChainRequest, context: object) -> Empty:
        self.sidecar.initialised.put(request)
        return Empty()

    def StopReceivingRabbit(self, request: rabbit.StopRequest, context: object) -> Empty:
        self.sidecar.stopped.put(request)
        return Empty()


def sql_message(query: str, correlation_id: str = "c-1") -> chain.MicroserviceCommunication:
    """The message of a sqlDataRequest as an agent sends it to a Job."""
    msComm = chain.MicroserviceCommunication(type="microserviceCommunication", request_type="sqlDataRequest")
    msComm.original_request.Pack(rabbit.SqlDataRequest(type="sqlDataRequest", query=query, algorithm="average"))
    msComm.request_metadata.correlation_id = correlation_id
    msComm.request_metadata.return_address = "UVA-in"
    msComm.traces["jsonTrace"] = json.dumps({"TraceID": "0af7" * 8, "SpanID": "b7ad" * 4}).encode()
    msComm.traces["binaryTrace"] = b"\x00" * 29
    return msComm


@pytest.fixture
def message() -> Callable[..., chain.MicroserviceCommunication]:
    return sql_message


@pytest.fixture
def ports() -> range:
    """Four ports in a row that nobody uses: of the sidecar and of the services after it."""
    for first in range(20000 + os.getpid() % 2000 * 4, 32000, 4):
        found = range(first, first + 4)
        if all(_free(port) for port in found):
            return found
    raise RuntimeError("no four free ports in a row")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def sidecar_at() -> Iterator[Callable[[int], Sidecar]]:
    """A sidecar that listens on a port of the test's choice."""
    running: list[Sidecar] = []

    def listen(port: int) -> Sidecar:
        running.append(Sidecar(port))
        running[-1].listen()
        return running[-1]

    yield listen
    for sidecar in running:
        sidecar.close()


@pytest.fixture
def silent_sidecar(ports: range) -> Iterator[Sidecar]:
    """A sidecar that doesn't listen yet."""
    sidecar = Sidecar(ports[0])
    yield sidecar
    sidecar.close()


@pytest.fixture
def sidecar(silent_sidecar: Sidecar) -> Sidecar:
    silent_sidecar.listen()
    return silent_sidecar


@pytest.fixture
def start(ports: range, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Configuration]]:
    """Start service number ``place`` of ``length``, as its container would find itself."""
    running: list[Configuration] = []

    def start_service(place: int, length: int, handler: Callable[..., object], **env: str) -> Configuration:
        settings = {
            "SIDECAR_PORT": str(ports[0]),
            "DESIGNATED_GRPC_PORT": str(ports[1 + place]),
            "FIRST": str(int(place == 0)),
            "LAST": str(int(place == length - 1)),
            "JOB_NAME": "user-1234uva1",
            "AGENT_ROLE": "all",
            **env,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        running.append(NewConfiguration(f"service-{place}", "localhost:", handler))
        return running[-1]

    before = signal.getsignal(signal.SIGTERM)
    yield start_service
    for config in running:
        config.stop(0)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def container(ports: range) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start Python with arguments and variables as the container of the only service of a Job at UVA."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **env: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "PYTHONPATH": ":".join(sys.path),
            "DATA_STEWARD_NAME": "UVA",
            "DESIGNATED_GRPC_PORT": str(ports[1]),
            "SIDECAR_PORT": str(ports[0]),
            "FIRST": "1",
            "LAST": "1",
            "JOB_NAME": "user-1234uva1",
            "AGENT_ROLE": "all",
            **env,
        }
        environment.pop("ENV", None)
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans go nowhere, whatever listens on this machine."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:1")


@pytest.fixture(autouse=True)
def fresh_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process is one service, except in tests: forget that an earlier one was released."""
    monkeypatch.setattr(signal_flow, "_released", threading.Event())
