"""The service's own end: where the sidecar or the service before it delivers messages."""

import logging
from concurrent import futures

import grpc
import microserviceCommunication_pb2 as chain
import microserviceCommunication_pb2_grpc as chain_grpc

from dynamos.channel import SERVER_OPTIONS, resolved
from dynamos.handler import Handler, call
from dynamos.health import WATCHERS, HealthServicer
from dynamos.logger import InitLogger

__all__ = ["GRPCServer", "HealthServicer", "MicroserviceServicer"]

THREADS = 10
"""Messages that are handled at the same time."""


class MicroserviceServicer:
    """Gives each message to the handler."""

    def __init__(self, msCommHandler: Handler, logger: logging.Logger | None = None) -> None:
        self.callback = msCommHandler
        self.logger = logger or InitLogger()

    def SendData(
        self, msComm: chain.MicroserviceCommunication, context: grpc.ServicerContext
    ) -> chain.ContinueReceiving:
        """Answers when the handler returns; what the handler raises becomes the call's INTERNAL status."""
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
        self.callback = msCommHandler
        self.logger = InitLogger()
        self.port = 0
        """The port in use; differs from the one asked for if that was 0."""
        self.health = HealthServicer(self.logger)
        pool = futures.ThreadPoolExecutor(max_workers=THREADS + WATCHERS)
        self.server = grpc.server(pool, options=SERVER_OPTIONS)
        self.health.add_to_server(self.server)
        chain_grpc.add_MicroserviceServicer_to_server(MicroserviceServicer(msCommHandler, self.logger), self.server)
        self.start()

    def start(self) -> None:
        """Bind and listen."""
        self.port = self.server.add_insecure_port(resolved(self.grpc_addr))
        self.start_server()

    def start_server(self) -> None:
        """Accept calls on what was bound."""
        self.server.start()

    def stop(self, grace: float = 2) -> None:
        """Announce the end, take no further calls, and return when those under way have ended.

        They have ``grace`` seconds; after that they are cancelled.
        """
        self.health.ending()
        self.server.stop(grace).wait()
