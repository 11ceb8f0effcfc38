"""What a service that was written for upstream's library finds: the same modules, names and parameters."""

import importlib
import inspect

import pytest

SURFACE = {
    ("ms_init", "register_function"): "name handler",
    ("ms_init", "get_and_call_function"): "name msComm ctx",
    ("ms_init", "Configuration"): "job_name port first_service last_service service_name ms_message_handler",
    ("ms_init", "Configuration.stop"): "self sleep_time=2",
    ("ms_init", "request_handler"): "msComm",
    ("ms_init", "get_env_var"): "var_name",
    ("ms_init", "NewConfiguration"): "service_name grpc_addr ms_message_handler",
    ("signal_flow", "signal_continuation"): "event condition",
    ("signal_flow", "signal_wait"): "event condition",
    ("logger", "InitLogger"): "",
    ("tracer", "InitTracer"): "service_name tracing_host",
    ("tracer", "pretty_print_span_context"): "span",
    ("base_client", "BaseClient"): "channel service_name",
    ("grpc_client", "GRPCClient"): "grpc_addr service_name",
    ("grpc_client", "GRPCClient.close_program"): "self",
    ("grpc_client", "GRPCClient.get_grpc_connection"): "self grpc_addr",
    ("grpc_client", "MicroserviceClient"): "channel service_name logger",
    ("grpc_client", "MicroserviceClient.send_data"): "self msComm data metadata",
    ("grpc_client", "HealthClient"): "channel service_name logger",
    ("grpc_client", "HealthClient.check_health"): "self",
    ("grpc_server", "GRPCServer"): "grpc_addr msCommHandler",
    ("grpc_server", "GRPCServer.start"): "self",
    ("grpc_server", "GRPCServer.start_server"): "self",
    ("grpc_server", "GRPCServer.stop"): "self",
    ("grpc_server", "MicroserviceServicer"): "msCommHandler logger",
    ("grpc_server", "MicroserviceServicer.SendData"): "self msComm context",
    ("grpc_server", "HealthServicer"): "logger",
    ("grpc_server", "HealthServicer.Check"): "self request context",
    ("grpc_server", "HealthServicer.Watch"): "self request context",
    ("rabbit_client", "RabbitClient"): "channel service_name logger",
    ("rabbit_client", "RabbitClient.initialize_rabbit"): "self routing_key port queue_auto_delete=False",
    ("rabbit_client", "RabbitClient.stop"): "self",
    # What upstream copies into each service.
    ("dataframe", "dataframe_to_protobuf"): "df",
    ("dataframe", "protobuf_to_dataframe"): "data_struct metadata=None",
    ("service_metadata", "register_service_on_metadata"): "metadata service_name",
}


@pytest.mark.parametrize(("module", "name"), SURFACE)
def test_the_public_surface_is_upstreams(module, name):
    found = importlib.import_module(f"dynamos.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    parameters = list(inspect.signature(found).parameters.values())
    expected = SURFACE[module, name].split()
    assert [p.name for p in parameters[: len(expected)]] == [text.split("=")[0] for text in expected]
    for parameter, text in zip(parameters, expected, strict=False):
        if "=" in text:
            assert f"={parameter.default}" in text
    # What is beyond upstream's can be left out.
    assert all(p.default is not p.empty for p in parameters[len(expected) :])


def test_what_a_configuration_has(sidecar, start):
    config = start(0, 1, lambda msComm: None)
    for name in ("job_name", "Port", "first_service", "last_service", "service_name", "ms_message_handler"):
        assert getattr(config, name) is not None
    assert config.rabbit_msg_client is config.next_client
    for client in (config.next_client.health, config.next_client.ms_comm, config.next_client.rabbit):
        assert client.stub
        assert (client.channel, client.service_name) == (config.next_client.channel, "service-0")
    assert config.next_client.logger
    assert config.grpc_server.server


@pytest.mark.parametrize(("place", "has"), [(0, True), (1, False), (2, True)])
def test_who_talks_to_the_sidecar(sidecar, start, place, has):
    assert (start(place, 3, lambda msComm: None).rabbit_msg_client is not None) is has
