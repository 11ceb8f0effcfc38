"""Notice that the sidecar ends: a service of a chain that broke elsewhere would wait for its message for good."""

import threading
from collections.abc import Callable
from typing import Any

import grpc
import health_pb2 as health
import health_pb2_grpc as health_grpc

from dynamos.logger import InitLogger

PATIENCE = 60.0
"""Seconds that the sidecar may be away. One whose part is done isn't started again."""

PAUSE = 0.05
"""Seconds between two lives of the sidecar, at least."""

STOP = 1.0
"""Seconds to wait for the thread when following ends; it may be asking the sidecar something just then."""


class Follower:
    """Watches the sidecar's health in a thread of its own, and says when there is nothing to wait for any more.

    ``over`` is called once, when the sidecar announces its end or stays away for ``patience`` seconds. ``again`` is
    called when the sidecar is back after it was lost: it has forgotten what it was asked. A sidecar that can't be
    watched is not followed.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        over: Callable[[], None],
        again: Callable[[], None] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._stub = health_grpc.HealthStub(channel)
        self._over = over
        self._again = again
        self._patience = patience
        self._stopped = threading.Event()
        self._call: Any = None
        self._logger = InitLogger()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="sidecar")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End watching; ``over`` is not called afterwards."""
        self._stopped.set()
        if self._call is not None:
            self._call.cancel()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP)

    def _follow(self) -> None:
        lost = False
        while not self._stopped.is_set():
            try:
                self._serving()
                if lost and self._again is not None:
                    self._again()
                if self._announces_its_end():
                    self._end("the sidecar ends, and so does this service")
                return
            except (grpc.RpcError, grpc.FutureCancelledError) as error:
                code = error.code() if isinstance(error, grpc.RpcError) else grpc.StatusCode.CANCELLED
                if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._end(f"the sidecar is away for {self._patience:g} s, and this service ends")
                if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED) or self._stopped.is_set():
                    return
                self._logger.warning("sidecar lost, waiting for it: %s", code.name)
                lost = True
                self._stopped.wait(PAUSE)

    def _serving(self) -> None:
        """Return when the sidecar listens; raise RpcError if it doesn't within the patience."""
        call = self._stub.Check.future(health.HealthCheckRequest(), timeout=self._patience, wait_for_ready=True)
        self._cancellable(call)
        call.result()

    def _announces_its_end(self) -> bool:
        """Whether it did, as soon as it does; False if it doesn't tell. Raises RpcError when it is lost."""
        call = self._stub.Watch(health.HealthCheckRequest())
        self._cancellable(call)
        return any(response.status == health.HealthCheckResponse.NOT_SERVING for response in call)

    def _cancellable(self, call: Any) -> None:
        self._call = call
        if self._stopped.is_set():
            call.cancel()

    def _end(self, why: str) -> None:
        if not self._stopped.is_set():
            self._logger.info(why)
            self._over()
