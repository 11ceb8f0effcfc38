"""Whether a service serves, as the platform and as Kubernetes ask; and what a service makes of its sidecar's health."""

import threading
from collections.abc import Callable, Iterator

import grpc
import health_pb2
import health_pb2_grpc
import pytest

from dynamos import health, signal_flow
from dynamos import sidecar as sidecar_module
from dynamos.grpc_server import GRPCServer
from dynamos.sidecar import Follower

Status = health_pb2.HealthCheckResponse
REQUEST = health_pb2.HealthCheckRequest()


@pytest.fixture
def server(ports: range) -> Iterator[GRPCServer]:
    server = GRPCServer(f"localhost:{ports[1]}", lambda msComm: None)
    yield server
    server.stop(0)


@pytest.fixture
def channel(server: GRPCServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_addr) as channel:
        yield channel


class Standard:
    """The client of grpc.health.v1 that a probe has."""

    def __init__(self, channel: grpc.Channel) -> None:
        to, answer = health_pb2.HealthCheckRequest.SerializeToString, Status.FromString
        self.Check = channel.unary_unary("/grpc.health.v1.Health/Check", to, answer)
        self.Watch = channel.unary_stream("/grpc.health.v1.Health/Watch", to, answer)


@pytest.mark.parametrize("client", [health_pb2_grpc.HealthStub, Standard])
def test_serving_and_then_not(server, channel, client):
    stub = client(channel)
    assert stub.Check(REQUEST).status == Status.SERVING
    watch = stub.Watch(REQUEST)
    assert next(watch).status == Status.SERVING
    server.health.ending()
    assert next(watch).status == Status.NOT_SERVING
    assert list(watch) == []
    assert stub.Check(REQUEST).status == Status.NOT_SERVING


def test_whoever_watches_hears_of_the_end_before_it(server, channel):
    watch = health_pb2_grpc.HealthStub(channel).Watch(REQUEST)
    assert next(watch).status == Status.SERVING
    server.stop(5)
    assert [response.status for response in watch] == [Status.NOT_SERVING]


def test_watchers_leave_threads_for_messages(server, channel):
    stub = health_pb2_grpc.HealthStub(channel)
    watches = [stub.Watch(REQUEST) for _ in range(health.WATCHERS)]
    assert [next(watch).status for watch in watches] == [Status.SERVING] * health.WATCHERS
    with pytest.raises(grpc.RpcError) as refused:
        next(stub.Watch(REQUEST))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    watches[0].cancel()
    assert eventually(lambda: next(stub.Watch(REQUEST)).status == Status.SERVING)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes true within five seconds; a refused call is no answer yet."""
    for _ in range(500):
        try:
            if holds():
                return True
        except grpc.RpcError:
            pass
        threading.Event().wait(0.01)
    return False


class Followed:
    """A follower of a sidecar, and what it says."""

    def __init__(self, port: int, patience: float) -> None:
        self.over, self.again = threading.Event(), threading.Event()
        self.channel = grpc.insecure_channel(f"localhost:{port}", options=[("grpc.max_reconnect_backoff_ms", 100)])
        self.follower = Follower(self.channel, self.over.set, self.again.set, patience)
        self.follower.start()


@pytest.fixture
def follow() -> Iterator[Callable[..., Followed]]:
    running: list[Followed] = []

    def begin(port: int, patience: float = 10) -> Followed:
        running.append(Followed(port, patience))
        return running[-1]

    yield begin
    for followed in running:
        followed.follower.stop()
        assert not followed.follower._thread.is_alive()
        followed.channel.close()


def test_the_end_of_the_sidecar_is_noticed(sidecar, follow):
    followed = follow(sidecar.port)
    assert not followed.over.wait(0.2)
    sidecar.health.ending()
    assert followed.over.wait(5)
    assert not followed.again.is_set()


def test_a_sidecar_that_never_comes_is_not_waited_for_for_good(silent_sidecar, follow):
    assert follow(silent_sidecar.port, patience=0.3).over.wait(5)


def test_a_sidecar_that_comes_back_is_asked_again(sidecar, follow):
    followed = follow(sidecar.port)
    assert eventually(lambda: sidecar.health._watchers == 1)
    sidecar.close()
    sidecar.listen()
    assert followed.again.wait(5)
    assert not followed.over.is_set()
    sidecar.health.ending()
    assert followed.over.wait(5)


def test_a_sidecar_that_cannot_be_watched_is_not_followed(silent_sidecar, follow):
    silent_sidecar.watched = False
    silent_sidecar.listen()
    followed = follow(silent_sidecar.port, patience=0.3)
    followed.follower._thread.join(5)
    assert not followed.follower._thread.is_alive()
    assert not followed.over.is_set()


def test_who_stops_following_hears_nothing(silent_sidecar, follow):
    followed = follow(silent_sidecar.port)
    followed.follower.stop()
    assert not followed.over.is_set()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_service_ends_with_its_sidecar(sidecar, start, place):
    start(place, 3, lambda msComm: None)
    event, condition = threading.Event(), threading.Condition()
    main = threading.Thread(target=signal_flow.signal_wait, args=(event, condition), daemon=True)
    main.start()
    assert eventually(lambda: sidecar.health._watchers == 1)
    sidecar.health.ending()
    main.join(5)
    assert not main.is_alive()


def test_the_first_service_asks_a_sidecar_that_was_restarted_again(sidecar, start):
    start(0, 2, lambda msComm: None)
    first = sidecar.initialised.get(timeout=5)
    assert eventually(lambda: sidecar.health._watchers == 1)
    sidecar.close()
    sidecar.listen()
    assert sidecar.initialised.get(timeout=5) == first


def test_a_minute_is_the_patience():
    assert sidecar_module.PATIENCE == 60
