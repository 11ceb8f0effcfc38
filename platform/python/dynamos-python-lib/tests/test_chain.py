"""Services in their places of a chain, over real gRPC on loopback, with a fake sidecar at its ends."""

import contextlib
import json
import queue
import re
import sys
import threading
import time
from collections.abc import Callable

import grpc
import health_pb2
import microserviceCommunication_pb2 as chain
import pytest
from google.protobuf.struct_pb2 import Struct

from dynamos import dataframe, errors, grpc_client, rabbit_client, signal_flow
from dynamos.errors import Unreachable
from dynamos.grpc_client import GRPCClient
from dynamos.ms_init import Configuration
from dynamos.trace_forms import trace_ids

Message = Callable[..., chain.MicroserviceCommunication]


def struct(**columns: list[str]) -> Struct:
    data = Struct()
    for name, values in columns.items():
        data[name] = values
    return data


class Step:
    """A handler that appends its name to the column ``steps`` and hands the message on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.contexts: list[object] = []
        self._config: Configuration
        self._has_config = threading.Event()

    @property
    def config(self) -> Configuration:
        # A message may come before whoever starts the service has what that returns.
        assert self._has_config.wait(10)
        return self._config

    @config.setter
    def config(self, config: Configuration) -> None:
        self._config = config
        self._has_config.set()

    def one_argument(self, msComm: chain.MicroserviceCommunication) -> None:
        self.two_arguments(msComm, "none given")

    def two_arguments(self, msComm: chain.MicroserviceCommunication, ctx: object) -> None:
        self.contexts.append(ctx)
        steps = [v.string_value for v in msComm.data.fields["steps"].list_value.values]
        self.config.next_client.ms_comm.send_data(msComm, struct(steps=[*steps, self.name]), {self.name: "was here"})


def test_a_message_passes_every_service_and_keeps_what_the_chain_must_keep(sidecar, ports, start, message: Message):
    steps = [Step("a"), Step("b"), Step("c")]
    handlers = [steps[0].two_arguments, steps[1].one_argument, steps[2].two_arguments]
    for place in (2, 1, 0):
        steps[place].config = start(place, 3, handlers[place])

    request = sidecar.initialised.get(timeout=1)
    assert (request.routing_key, request.port, request.queue_auto_delete) == ("user-1234uva1", ports[1], False)

    sent = message("SELECT 1")
    sidecar.deliver(ports[1], sent)
    answer = sidecar.answer()
    assert list(answer.data["steps"]) == ["a", "b", "c"]
    assert dict(answer.metadata) == {"a": "was here", "b": "was here", "c": "was here"}
    assert answer.original_request == sent.original_request
    assert answer.request_metadata == sent.request_metadata
    assert trace_ids(answer.traces)[0] == trace_ids(sent.traces)[0]
    assert json.loads(answer.result) == [["steps"], ["a"], ["b"], ["c"]]
    # The place in the chain doesn't decide what a handler is called with; its parameters do.
    assert steps[1].contexts == ["none given"]
    assert steps[2].contexts != ["none given"]


def test_a_data_providers_last_service_leaves_the_result_to_the_compute_provider(sidecar, ports, start, message):
    step = Step("a")
    step.config = start(0, 1, step.two_arguments, AGENT_ROLE="dataProvider")
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().result == b""


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ({}, [[]]),
        ({"b": ["1", "2"], "a": ["é", None], "c": ["x"]}, [["a", "b", "c"], ["é", "1", "x"], ["", "2", ""]]),
    ],
)
def test_a_table_is_the_same_each_time(columns, rows):
    assert json.loads(grpc_client.table(struct(**columns))) == rows


def test_a_result_that_the_handler_set_stays(sidecar, ports, start, message):
    def handler(msComm, ctx):
        msComm.result = b'{"own": 1}'
        config.next_client.ms_comm.send_data(msComm, struct(a=["1"]), {})

    config = start(0, 1, handler)
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().result == b'{"own": 1}'


@pytest.mark.parametrize(("place", "stops"), [(0, 0), (1, 0), (2, 1)])
def test_only_the_last_service_ends_the_sidecar_and_only_once(sidecar, start, place, stops):
    config = start(place, 3, lambda msComm: None)
    config.stop()
    config.stop()
    assert sidecar.stopped.qsize() == stops


def test_a_column_called_error_is_no_failure(sidecar, ports, start, message):
    step = Step("a")
    step.config = start(0, 1, step.two_arguments)
    sent = message("SELECT 1")
    sent.data.CopyFrom(struct(error=["none"], steps=["before"]))
    sent.metadata["error"] = "object"  # its type, as upstream's services write it
    sidecar.deliver(ports[1], sent)
    assert list(sidecar.answer().data["steps"]) == ["before", "a"]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_exception_reaches_the_end_of_the_chain(sidecar, ports, start, message, failing):
    steps = [Step(f"s{place}") for place in range(3)]

    def broken(msComm, ctx):
        raise KeyError("Salschal")

    for place in (2, 1, 0):
        handler = broken if place == failing else steps[place].two_arguments
        steps[place].config = start(place, 3, handler)
    sent = message("SELECT 1")
    sidecar.deliver(ports[1], sent)

    answer = sidecar.answer()
    assert answer.metadata["error"] == f"service-{failing}: 'Salschal'"
    assert not answer.data.fields
    assert answer.result == b""
    assert answer.request_metadata == sent.request_metadata
    assert len(steps[2].contexts) == 0  # nobody works on a message that failed
    assert sidecar.answers.empty()


def test_main_goes_on_when_the_handler_failed(sidecar, ports, start, message):
    def broken(msComm, ctx):
        raise ValueError("no")

    start(0, 1, broken)
    event, condition = threading.Event(), threading.Condition()
    main = threading.Thread(target=signal_flow.signal_wait, args=(event, condition))
    main.start()
    sidecar.deliver(ports[1], message("SELECT 1"))
    main.join(timeout=5)
    assert not main.is_alive()
    assert signal_flow.released()


def test_an_exception_after_the_answer_gives_no_second_answer(sidecar, ports, start, message):
    def handler(msComm, ctx):
        config.next_client.ms_comm.send_data(msComm, struct(a=["1"]), {})
        raise RuntimeError("too late")

    config = start(0, 1, handler)
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert "error" not in sidecar.answer().metadata
    assert sidecar.answers.empty()
    assert signal_flow.released()


def test_a_handler_that_swallows_its_failure_is_no_silence(sidecar, ports, start, message):
    start(0, 1, lambda msComm, ctx: None)
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().metadata["error"] == "service-0: the handler sent nothing on; its log says why"


def test_a_handler_that_swallows_why_it_could_not_send_is_found_out(sidecar, ports, start, message):
    def handler(msComm, ctx):
        with contextlib.suppress(Exception):
            config.next_client.ms_comm.send_data(msComm, None, {})

    config = start(0, 1, handler)
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().metadata["error"] == "service-0: there is no data to send on"


def test_a_handler_may_wait_for_every_provider(sidecar, ports, start, message, monkeypatch):
    monkeypatch.setenv("NR_OF_DATA_PROVIDERS", "2")
    collected = []

    def handler(msComm, ctx):
        collected.append(msComm.request_metadata.correlation_id)
        if len(collected) == 2:
            config.next_client.ms_comm.send_data(msComm, struct(ids=collected), {})

    config = start(0, 1, handler)
    sidecar.deliver(ports[1], message("SELECT 1", "from-uva"))
    assert sidecar.answers.empty()
    sidecar.deliver(ports[1], message("SELECT 1", "from-vu"))
    answer = sidecar.answer()
    assert list(answer.data["ids"]) == ["from-uva", "from-vu"]
    assert "error" not in answer.metadata


def test_no_data_is_an_error_and_not_silence(sidecar, ports, start, message):
    config = start(0, 1, lambda msComm, ctx: config.next_client.ms_comm.send_data(msComm, None, {}))
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().metadata["error"] == "service-0: there is no data to send on"


def test_a_message_of_another_type_is_refused_aloud(sidecar, ports, start, message):
    start(0, 1, lambda msComm, ctx: pytest.fail("called"))
    sent = message("SELECT 1")
    sent.type = "policyUpdate"
    sidecar.deliver(ports[1], sent)
    assert "policyUpdate" in sidecar.answer().metadata["error"]


@pytest.mark.parametrize(("told", "seconds"), [(None, 20), ("60", 40), ("", 20), ("0", 20), ("soon", 20)])
def test_the_next_service_may_take_two_thirds_of_the_request(told, seconds):
    assert grpc_client.ready_timeout(told) == seconds


def test_a_dead_end_is_told_to_the_requester_past_the_services_left_out(sidecar, ports, start, message, monkeypatch):
    monkeypatch.setattr(grpc_client, "READY_TIMEOUT", 0.3)
    step = Step("a")
    step.config = start(0, 3, step.two_arguments)  # nobody is service 1
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert f"localhost:{ports[2]} did not listen" in sidecar.answer().metadata["error"]
    step.config.stop(0)
    assert sidecar.stopped.qsize() == 1  # nobody else would end it


def test_nobody_is_waited_for_twice(sidecar, ports, start, message, monkeypatch):
    monkeypatch.setattr(grpc_client, "READY_TIMEOUT", 0.2)
    config = start(0, 2, lambda msComm: None)
    times = []
    for _ in range(2):
        begin = time.monotonic()
        with pytest.raises(Unreachable):
            config.next_client.ms_comm.send(message("SELECT 1"))
        times.append(time.monotonic() - begin)
    assert times[0] >= 0.2 > times[1]


def test_a_service_without_a_sidecar_tells_its_caller(sidecar, ports, start, message, monkeypatch):
    monkeypatch.setattr(grpc_client, "READY_TIMEOUT", 0.3)
    step = Step("a")
    step.config = start(1, 3, step.two_arguments, DESIGNATED_GRPC_PORT=str(ports[1]), SIDECAR_PORT="")
    with pytest.raises(grpc.RpcError) as failure:
        sidecar.deliver(ports[1], message("SELECT 1"))
    assert failure.value.code() == grpc.StatusCode.INTERNAL
    assert f"localhost:{ports[2]} did not listen" in failure.value.details()


def test_a_message_over_the_limit_becomes_a_clear_error(sidecar, ports, start, message, monkeypatch):
    monkeypatch.setattr(errors, "MESSAGE_LIMIT", 1 << 20)
    config = start(0, 1, lambda m, ctx: config.next_client.ms_comm.send_data(m, struct(a=["x" * (3 << 20)]), {}))
    sidecar.deliver(ports[1], message("SELECT 1"))
    error = sidecar.answer().metadata["error"]
    assert error.startswith("service-0: the message is too large: 6 MiB, and at most 1 MiB can be sent")


def test_a_message_that_the_next_service_does_not_take_becomes_a_clear_error(
    silent_sidecar, ports, start, message, monkeypatch
):
    silent_sidecar.options = []  # gRPC's own, as in upstream's services
    silent_sidecar.listen()
    config = start(0, 1, lambda m, ctx: config.next_client.ms_comm.send_data(m, struct(a=["x" * (5 << 20)]), {}))
    silent_sidecar.deliver(ports[1], message("SELECT 1"))
    error = silent_sidecar.answer().metadata["error"]
    assert re.search(r"RESOURCE_EXHAUSTED: .*larger than max \(\d+ vs\. 4194304\)", error), error


def test_pandas_is_imported_while_a_service_that_works_on_frames_waits(silent_sidecar, start, monkeypatch):
    monkeypatch.setattr(rabbit_client, "INIT_TIMEOUT", 5.0)
    monkeypatch.setattr(dataframe, "load", silent_sidecar.listen)
    start(0, 1, lambda msComm: None)  # fails if the sidecar is there only afterwards


def test_frames_can_do_without_pandas_until_they_are_converted(monkeypatch):
    for name in ("pandas", "dynamos.frame_read", "dynamos.frame_write"):
        monkeypatch.setitem(sys.modules, name, None)
    dataframe.load()
    with pytest.raises(ImportError):
        dataframe.protobuf_to_dataframe(struct(a=["1"]))


def test_a_message_of_16_mib_passes(sidecar, ports, start, message):
    large = ["x" * 1024] * (16 << 10)
    config = start(0, 1, lambda m, ctx: config.next_client.ms_comm.send_data(m, struct(a=large), {}))
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().ByteSize() > 16 << 20


def test_the_first_service_waits_for_its_sidecar(silent_sidecar, start):
    threading.Timer(0.3, silent_sidecar.listen).start()
    start(0, 2, lambda msComm: None)
    silent_sidecar.initialised.get(timeout=1)


def test_the_next_service_may_start_after_the_message_came(sidecar, ports, start, message):
    first, second = Step("a"), Step("b")
    first.config = start(0, 2, first.two_arguments)
    delivery = threading.Thread(target=sidecar.deliver, args=(ports[1], message("SELECT 1")))
    delivery.start()
    with pytest.raises(queue.Empty):
        sidecar.answers.get(timeout=0.2)
    second.config = start(1, 2, second.two_arguments)
    assert list(sidecar.answer().data["steps"]) == ["a", "b"]
    delivery.join()


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"DESIGNATED_GRPC_PORT": ""}, "DESIGNATED_GRPC_PORT"),
        ({"FIRST": "yes"}, "FIRST is 'yes'"),
        ({"JOB_NAME": ""}, "JOB_NAME"),
        ({"SIDECAR_PORT": "none"}, "SIDECAR_PORT"),
    ],
)
def test_an_incomplete_environment_is_named(start, env, named):
    with pytest.raises(ValueError, match=named):
        start(0, 1, lambda msComm: None, **env)


def test_a_port_in_use_is_an_error(sidecar, ports, start):
    with pytest.raises(RuntimeError):
        start(0, 1, lambda msComm: None, DESIGNATED_GRPC_PORT=str(ports[0]))


def test_a_configuration_that_was_never_connected_can_be_stopped():
    Configuration("job", 1, True, True, "a", lambda msComm: None).stop()


def test_a_service_tells_that_it_serves(sidecar, ports, start):
    start(0, 1, lambda msComm: None)
    client = GRPCClient(f"localhost:{ports[1]}", "test")
    assert client.health.check_health() == health_pb2.HealthCheckResponse.SERVING
    client.close_program()


def test_nobody_there_has_no_status(ports):
    client = GRPCClient(f"localhost:{ports[3]}", "test")
    assert client.health.check_health(timeout=0.2) is None
    client.close_program()


def test_limits_are_those_of_the_platform():
    assert errors.MESSAGE_LIMIT == 256 * 1024 * 1024
