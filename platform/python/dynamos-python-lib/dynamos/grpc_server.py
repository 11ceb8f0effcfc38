"""The service's own end: where the sidecar or the service before it delivers messages."""

import logging
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import health_pb2 as health
import health_pb2_grpc as health_grpc
import microserviceCommunication_pb2 as chain
import microserviceCommunication_pb2_grpc as chain_grpc

from dynamos.channel import SERVER_OPTIONS
from dynamos.handler import Handler, call
from dynamos.logger import InitLogger

THREADS = 10
"""Messages that are handled at the same time."""


class HealthServicer:
    """Serving as soon as the server listens. (``dynamos.Health``, not ``grpc.health.v1``.)"""

    def Check(self, request: Any, context: grpc.ServicerContext) -> health.HealthCheckResponse:
        return health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)

    def Watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[health.HealthCheckResponse]:
        yield health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)


class MicroserviceServicer:
    """Gives each message to the callback."""

    def __init__(self, callback: Handler, logger: logging.Logger | None = None) -> None:
        self.callback = callback
        self.logger = logger or InitLogger()

    def SendData(
        self, msComm: chain.MicroserviceCommunication, context: grpc.ServicerContext
    ) -> chain.ContinueReceiving:
        """Answers when the callback returns; what the callback raises becomes the call's INTERNAL status."""
        try:
            call(self.callback, msComm, None)
        except Exception as error:
            self.logger.exception("the handler failed")
            context.abort(grpc.StatusCode.INTERNAL, str(error) or type(error).__name__)
        return chain.ContinueReceiving()


class GRPCServer:
    """Health and Microservice on ``grpc_addr`` (HOST:PORT). Listens when the constructor returns.

    Raises RuntimeError if the address can't be bound.
    """

    def __init__(self, grpc_addr: str, msCommHandler: Handler) -> None:
        self.grpc_addr = grpc_addr
        self.port = 0
        """The port in use; differs from the one asked for if that was 0."""
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS), options=SERVER_OPTIONS)
        health_grpc.add_HealthServicer_to_server(HealthServicer(), self.server)
        chain_grpc.add_MicroserviceServicer_to_server(MicroserviceServicer(msCommHandler), self.server)
        self.start()

    def start(self) -> None:
        """Bind and listen."""
        self.port = self.server.add_insecure_port(self.grpc_addr)
        self.start_server()

    def start_server(self) -> None:
        """Accept calls on what was bound."""
        self.server.start()

    def stop(self, grace: float = 2) -> None:
        """Take no further calls and return when those under way have ended, ``grace`` seconds at most."""
        self.server.stop(grace).wait()
