"""Ask the sidecar to begin and to end receiving messages from RabbitMQ for this Job."""

import logging

import grpc
import rabbitMQ_pb2 as rabbit
import rabbitMQ_pb2_grpc as rabbit_grpc

from dynamos.base_client import BaseClient

INIT_TIMEOUT = 30.0
"""Seconds that the sidecar has to start and to have the Job's queue."""

STOP_TIMEOUT = 2.0
"""Seconds that the sidecar has to take the order to stop."""


class RabbitClient(BaseClient):
    """The sidecar's RabbitMQ service, as the services of a chain need it."""

    def __init__(self, channel: grpc.Channel, service_name: str, logger: logging.Logger | None = None) -> None:
        super().__init__(channel, service_name, logger)
        self.stub = rabbit_grpc.RabbitMQStub(channel)
        self._stopped = False

    def initialize_rabbit(self, routing_key: str, port: int, queue_auto_delete: bool = False) -> None:
        """Have the sidecar consume the queue ``routing_key`` and deliver to this service's ``port``.

        Waits for the sidecar to listen; raises grpc.RpcError if it does not within INIT_TIMEOUT.
        """
        request = rabbit.ChainRequest(
            service_name=self.service_name,
            routing_key=routing_key,
            queue_auto_delete=queue_auto_delete,
            port=port,
        )
        self.stub.InitRabbitForChain(request, timeout=INIT_TIMEOUT, wait_for_ready=True)

    def stop(self) -> None:
        """Tell the sidecar that the Job is done. Only the first call does: a second one crashes some sidecars.

        A sidecar that is gone already needs no order, so failure is only logged.
        """
        if self._stopped:
            return
        self._stopped = True
        try:
            self.stub.StopReceivingRabbit(rabbit.StopRequest(), timeout=STOP_TIMEOUT)
        except grpc.RpcError as error:
            self.logger.warning("the sidecar did not take the order to stop: %s", error.code().name)
