"""Whether this process serves: as dynamos.Health, which the platform asks, and as grpc.health.v1, which probes ask."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import health_pb2 as health
import health_pb2_grpc as health_grpc

from dynamos.logger import InitLogger

WATCHERS = 4
"""How many may watch at the same time; each holds a thread of the server."""

STANDARD = "grpc.health.v1.Health"
"""Its messages are those of dynamos.Health, under another name."""


class HealthServicer:
    """Serving from the start, and not serving once :meth:`ending` was called. The service asked for doesn't matter."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.logger = logger or InitLogger()
        self._changed = threading.Condition()
        self._ending = False
        self._watchers = 0

    def Check(self, request: Any, context: Any) -> health.HealthCheckResponse:
        """The status."""
        return self._status()

    def Watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[health.HealthCheckResponse]:
        """The status, and then its change, which is the last there is. RESOURCE_EXHAUSTED for too many watchers."""
        with self._changed:
            if self._watchers == WATCHERS:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS} others watch already")
            self._watchers += 1
        context.add_callback(self._wake)
        try:
            yield health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)
            with self._changed:
                self._changed.wait_for(lambda: self._ending or not context.is_active())
            if self._ending:
                yield self._status()
        finally:
            with self._changed:
                self._watchers -= 1

    def ending(self) -> None:
        """Tell all who watch, and all who check from now on, that this process is about to end."""
        with self._changed:
            self._ending = True
        self._wake()

    def add_to_server(self, server: grpc.Server) -> None:
        """Answer under both names."""
        health_grpc.add_HealthServicer_to_server(self, server)
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(
                self.Check, health.HealthCheckRequest.FromString, health.HealthCheckResponse.SerializeToString
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self.Watch, health.HealthCheckRequest.FromString, health.HealthCheckResponse.SerializeToString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(STANDARD, methods),))

    def _status(self) -> health.HealthCheckResponse:
        response = health.HealthCheckResponse
        return response(status=response.NOT_SERVING if self._ending else response.SERVING)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
