"""The connection to the next container of the Pod: a service, or the sidecar at the end of the chain."""

import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import grpc
import health_pb2 as health
import health_pb2_grpc as health_grpc
import microserviceCommunication_pb2 as chain
import microserviceCommunication_pb2_grpc as chain_grpc
from google.protobuf.struct_pb2 import Struct

from dynamos import errors
from dynamos.base_client import BaseClient
from dynamos.channel import open_channel
from dynamos.errors import ChainError, MessageTooLarge, Unreachable
from dynamos.rabbit_client import RabbitClient
from dynamos.tracer import current_forms

__all__ = ["ChainError", "GRPCClient", "HealthClient", "MicroserviceClient", "table"]


def ready_timeout(request_timeout: str | None) -> float:
    """Two thirds of the seconds that an agent waits for the answer: 30, unless it tells its Jobs another number."""
    seconds = int(request_timeout) if request_timeout and request_timeout.isdecimal() else 0
    return (seconds or 30) * 2 / 3


READY_TIMEOUT = ready_timeout(os.getenv("DYNAMOS_HTTP_REQUEST_TIMEOUT"))
"""Seconds that the other end has to start listening. Less than an agent waits for the answer."""


class GRPCClient(BaseClient):
    """One channel with a client for each thing that the other end offers: health, ms_comm, rabbit.

    Making one doesn't wait: the channel connects in the background, and each call waits for it.
    """

    def __init__(self, grpc_addr: str, service_name: str) -> None:
        self.grpc_addr = grpc_addr
        super().__init__(self.get_grpc_connection(grpc_addr), service_name)
        self.ready = grpc.channel_ready_future(self.channel)
        self.health = HealthClient(self.channel, service_name, self.logger)
        self.ms_comm = MicroserviceClient(self.channel, service_name, self.logger)
        self.rabbit = RabbitClient(self.channel, service_name, self.logger)
        self.ms_comm.ready, self.ms_comm.address = self.ready, grpc_addr

    def get_grpc_connection(self, grpc_addr: str) -> grpc.Channel:
        """A channel to ``grpc_addr`` (HOST:PORT) with the limits of the chain."""
        return open_channel(grpc_addr)

    def close_program(self) -> None:
        """Close the channel. Calls under way end with an error."""
        if not self.ready.done():
            self.ready.cancel()
        self.channel.close()


class MicroserviceClient(BaseClient):
    """Hands messages to the other end."""

    def __init__(self, channel: grpc.Channel, service_name: str, logger: logging.Logger | None = None) -> None:
        super().__init__(channel, service_name, logger)
        self.stub = chain_grpc.MicroserviceStub(channel)
        self._outcome = threading.local()
        self._deadline: float | None = None
        self.ready: grpc.Future[Any] | None = None
        self.address = "the next service"
        self.answers_requester = False
        """Set for the last service of a chain whose answer goes to the requester: a message
        without ``result`` then gets its data as one (:func:`table`)."""

    def send_data(
        self, msComm: chain.MicroserviceCommunication, data: Struct | None, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Replace the message's data, add to its metadata, and hand it on.

        Returns when the other end has handled it, and with it the rest of the chain. Raises ChainError if
        there is no data, if the other end can't be reached within READY_TIMEOUT, if the message is too
        large (MessageTooLarge), or if the call fails.
        """
        try:
            if data is None:
                raise ChainError("there is no data to send on")
            msComm.data.CopyFrom(data)
            for key, value in (metadata or {}).items():
                msComm.metadata[key] = value
            if self.answers_requester and not msComm.result:
                msComm.result = table(msComm.data)
            self.send(msComm)
        except ChainError as error:
            self._outcome.error = error
            raise

    def send(self, msComm: chain.MicroserviceCommunication) -> None:
        """Hand the message on as it is. Raises what send_data raises.

        A message that belongs to no trace yet gets that of the span that this thread is in.
        """
        if not msComm.traces:
            msComm.traces.update(current_forms())
        size = msComm.ByteSize()
        if size > errors.MESSAGE_LIMIT:
            raise MessageTooLarge("the message", size)
        try:
            if self.ready is not None:
                self.ready.result(timeout=self._patience())
            self.stub.SendData(msComm)
        except grpc.FutureTimeoutError:
            raise Unreachable(f"{self.address} did not listen within {READY_TIMEOUT:.0f} s") from None
        except grpc.RpcError as error:
            kind = Unreachable if error.code() is grpc.StatusCode.UNAVAILABLE else ChainError
            raise kind(f"{self.address} refused the message: {error.code().name}: {error.details()}") from error
        self._outcome.sent = True

    def take_sent(self) -> bool:
        """Whether this thread has handed on a message since it last asked."""
        sent: bool = getattr(self._outcome, "sent", False)
        self._outcome.sent = False
        return sent

    def take_error(self) -> ChainError | None:
        """What send_data raised in this thread since it was last asked."""
        error: ChainError | None = getattr(self._outcome, "error", None)
        self._outcome.error = None
        return error

    def _patience(self) -> float:
        """Seconds of READY_TIMEOUT that are left; it begins with the first message."""
        if self._deadline is None:
            self._deadline = time.monotonic() + READY_TIMEOUT
        return max(0.0, self._deadline - time.monotonic())


class HealthClient(BaseClient):
    """Asks the other end whether it serves."""

    def __init__(self, channel: grpc.Channel, service_name: str, logger: logging.Logger | None = None) -> None:
        super().__init__(channel, service_name, logger)
        self.stub = health_grpc.HealthStub(channel)

    def check_health(self, timeout: float = READY_TIMEOUT) -> int | None:
        """Its status (1 is SERVING) as soon as it listens, or None if it does not within ``timeout`` seconds."""
        request = health.HealthCheckRequest(service=self.service_name)
        try:
            status: int = self.stub.Check(request, timeout=timeout, wait_for_ready=True).status
        except grpc.RpcError as error:
            self.logger.warning("no health status: %s", error.code().name)
            return None
        return status


def table(data: Struct) -> bytes:
    """The data as the platform's tables are answered: a JSON array of rows of strings, column names first.

    Columns are in the order of their names, so that the same request gets the same answer; cells that a shorter column
    lacks are empty.
    """
    names = sorted(data.fields)
    columns = [[_text(value) for value in data.fields[name].list_value.values] for name in names]
    rows = [names, *(list(row) for row in itertools.zip_longest(*columns, fillvalue=""))]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: object) -> str:
    kind = value.WhichOneof("kind")  # type: ignore[attr-defined]
    return "" if kind in (None, "null_value") else str(getattr(value, kind))
