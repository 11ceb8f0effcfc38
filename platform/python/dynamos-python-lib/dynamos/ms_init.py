"""Find the service's place in its chain, connect it, and take it down again. Begin with NewConfiguration."""

import functools
import itertools
import os
import sys
import threading
from typing import Any

import microserviceCommunication_pb2 as chain
from opentelemetry import trace

from dynamos import signal_flow, tracer
from dynamos.errors import ChainError, Unreachable
from dynamos.grpc_client import GRPCClient
from dynamos.grpc_server import GRPCServer
from dynamos.handler import Handler, call
from dynamos.logger import InitLogger, correlated, set_service
from dynamos.service_metadata import ERROR
from dynamos.sidecar import Follower
from dynamos.termination import stop_on_sigterm

MESSAGE_TYPE = "microserviceCommunication"

logger = InitLogger()
_functions: dict[str, Handler] = {}


def register_function(name: str, handler: Handler) -> None:
    """Remember a function under a name, for get_and_call_function."""
    _functions[name] = handler


def get_and_call_function(name: str, msComm: chain.MicroserviceCommunication, ctx: Any) -> Any:
    """Call the function of that name. Raises ValueError if there is none."""
    if name not in _functions:
        raise ValueError(f"no function is registered as {name!r}")
    return call(_functions[name], msComm, ctx)


def request_handler(msComm: chain.MicroserviceCommunication) -> None:
    """Give a message to the function ``callback`` with the trace context that the message carries.

    Raises ValueError for a message that is not one of a chain.
    """
    check_type(msComm)
    get_and_call_function("callback", msComm, tracer.parent_context(msComm.traces))


class Configuration:
    """One service in its chain: its server, the way to the next, and the sidecar if it talks to that.

    ``rabbit_msg_client`` is the connection to the sidecar; the first service has it, and the last.
    ``next_client`` leads to the next service, from the last one to the sidecar.
    """

    def __init__(
        self,
        job_name: str,
        port: int,
        first_service: bool,
        last_service: bool,
        service_name: str,
        ms_message_handler: Handler,
    ) -> None:
        self.job_name = job_name
        self.Port = port
        self.first_service = first_service
        self.last_service = last_service
        self.service_name = service_name
        self.ms_message_handler = ms_message_handler
        self.rabbit_msg_client: GRPCClient | None = None
        # NewConfiguration sets both; a service never sees the None.
        self.next_client: GRPCClient = None  # type: ignore[assignment]
        self.grpc_server: GRPCServer = None  # type: ignore[assignment]
        self.sidecar: GRPCClient | None = None
        """The connection to the sidecar of any service that was told its port."""
        self.follower: Follower | None = None
        self._received = itertools.count(1)
        self._broken = False  # the services after this one were left out

    def receive(self, msComm: chain.MicroserviceCommunication) -> None:
        """Handle one message, however it ends: the requester gets an answer or the error.

        A message that failed before is handed on without asking the handler. If the handler raises, or
        the message can't be sent, the error is sent to the end of the chain instead; so it is if the
        handler returns without having sent anything although all messages it can wait for are there.
        If the next service can't be reached, the error goes to the sidecar directly. Raises ChainError only
        if that is impossible too; the caller then knows that the message went nowhere.

        The call of the handler is a span, which the message's ``traces`` and the handler's ``ctx`` carry.
        """
        with correlated(msComm.request_metadata.correlation_id):
            self._receive(msComm)

    def _receive(self, msComm: chain.MicroserviceCommunication) -> None:
        complete = next(self._received) >= _messages_to_come()
        if msComm.metadata.get(ERROR) and not msComm.HasField("data"):  # with data, it is the type of a column
            self._fail(msComm, msComm.metadata[ERROR])
            return
        self.next_client.ms_comm.take_sent()
        self.next_client.ms_comm.take_error()
        correlation_id = msComm.request_metadata.correlation_id
        with tracer.handling(self.service_name, f"handle {msComm.request_type}", msComm.traces, correlation_id) as span:
            self._handle(msComm, span, complete)

    def _handle(self, msComm: chain.MicroserviceCommunication, span: trace.Span, complete: bool) -> None:
        try:
            check_type(msComm)
            call(self.ms_message_handler, msComm, trace.set_span_in_context(span))
        except Exception as error:
            logger.exception("the request failed")
            text = f"{self.service_name}: {str(error) or type(error).__name__}"
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, text)
            if self.next_client.ms_comm.take_sent():  # the answer is out; there is no second one
                signal_flow.release()
                return
            self._fail(msComm, text, reachable=not isinstance(error, Unreachable))
            return
        if complete and not self.next_client.ms_comm.take_sent():
            # Many handlers catch what send_data raises, and log it.
            caught = self.next_client.ms_comm.take_error()
            text = f"{self.service_name}: {caught or 'the handler sent nothing on; its log says why'}"
            span.set_status(trace.StatusCode.ERROR, text)
            self._fail(msComm, text, reachable=not isinstance(caught, Unreachable))

    def _fail(self, msComm: chain.MicroserviceCommunication, text: str, reachable: bool = True) -> None:
        failed = chain.MicroserviceCommunication()
        msComm.ClearField("data")  # before the copy: it may be large
        failed.CopyFrom(msComm)
        failed.ClearField("result")
        failed.metadata[ERROR] = text
        try:
            self._send_failure(failed, text, reachable)
        finally:
            signal_flow.release()  # the handler gave up, and nobody else would end main's wait

    def _send_failure(self, failed: chain.MicroserviceCommunication, text: str, reachable: bool) -> None:
        ways = [self.next_client] if reachable else []
        if self.sidecar is not None and self.sidecar is not self.next_client:
            ways.append(self.sidecar)
        reason: ChainError | None = None
        for way in ways:
            try:
                way.ms_comm.send(failed)
            except ChainError as error:
                reason = error
                continue
            self._broken = way is not self.next_client
            return
        raise ChainError(f"{text} (and {reason})" if reason else text) from reason

    def stop(self, sleep_time: float = 2) -> None:
        """End the service: finish calls under way (``sleep_time`` seconds at most), then close everything.

        The last service of a chain also ends the sidecar, as does one that had to leave out those after it. Then the
        spans are sent, see :func:`dynamos.tracer.flush`.
        """
        if self.follower is not None:
            self.follower.stop()
        if self.grpc_server is not None:
            self.grpc_server.stop(sleep_time)
        if self.sidecar is not None and (self.last_service or self._broken):
            self.sidecar.rabbit.stop()
        for client in (self.next_client, self.sidecar):
            if client is not None:
                client.close_program()
        tracer.flush()


def NewConfiguration(service_name: str, grpc_addr: str, ms_message_handler: Handler) -> Configuration:
    """Take the service's place in its chain, which the environment tells.

    DESIGNATED_GRPC_PORT is its own port, FIRST and LAST are 1 or 0, JOB_NAME the Job's queue, SIDECAR_PORT
    where the sidecar listens; ``grpc_addr`` is what comes before a port, "localhost:". Messages may arrive
    before this returns, so a handler that needs the Configuration waits for an event that main sets
    afterwards (see the package's example). From now on, SIGTERM, a message that failed, and the end of the
    sidecar end main's wait, so that it stops the service.

    Raises ValueError if the environment is incomplete, RuntimeError if the port is taken, grpc.RpcError
    if the sidecar doesn't answer the first service.
    """
    port = _number("DESIGNATED_GRPC_PORT")
    first, last = _number("FIRST") > 0, _number("LAST") > 0
    job_name = get_env_var("JOB_NAME") or ""
    if not job_name:
        raise ValueError("environment variable JOB_NAME is not set")
    set_service(service_name)
    config = Configuration(job_name, port, first, last, service_name, ms_message_handler)
    if first or last or get_env_var("SIDECAR_PORT"):
        config.sidecar = GRPCClient(f"{grpc_addr}{_number('SIDECAR_PORT')}", service_name)
    config.rabbit_msg_client = config.sidecar if first or last else None
    config.next_client = (
        config.sidecar if last and config.sidecar else GRPCClient(f"{grpc_addr}{port + 1}", service_name)
    )
    # A data provider's last service feeds another Job, which would be sent every value twice.
    provider = (get_env_var("AGENT_ROLE") or "").lower() == "dataprovider"
    config.next_client.ms_comm.answers_requester = last and not provider
    register_function("callback", ms_message_handler)
    config.grpc_server = GRPCServer(f"{grpc_addr}{port}", config.receive)
    stop_on_sigterm()
    if frames := sys.modules.get("dynamos.dataframe"):
        # The service works on frames: import pandas while nothing is to do, the wait for the sidecar included.
        threading.Thread(target=frames.load, daemon=True, name="pandas").start()
    if config.sidecar is not None:
        consume = functools.partial(config.sidecar.rabbit.initialize_rabbit, job_name, port)
        again = consume if first else None
        config.follower = Follower(config.sidecar.channel, over=signal_flow.release, again=again)
        if first:
            consume()
        config.follower.start()
    return config


def _messages_to_come() -> int:
    """How many messages a service may want before it answers: one, or one from each data provider."""
    providers = get_env_var("NR_OF_DATA_PROVIDERS") or ""
    return max(1, int(providers)) if providers.isdecimal() else 1


def check_type(msComm: chain.MicroserviceCommunication) -> None:
    """Raise ValueError unless the message is one of a chain."""
    if msComm.type != MESSAGE_TYPE:
        raise ValueError(f"message of type {msComm.type!r}, expected {MESSAGE_TYPE!r}")


def get_env_var(var_name: str) -> str | None:
    """The environment variable, or None."""
    return os.getenv(var_name)


def _number(var_name: str) -> int:
    value = get_env_var(var_name)
    try:
        return int(value or "")
    except ValueError:
        raise ValueError(f"environment variable {var_name} is {value!r}, expected a number") from None
