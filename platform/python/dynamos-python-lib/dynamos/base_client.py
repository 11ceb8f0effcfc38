"""What the clients of one connection have in common."""

import logging

import grpc

from dynamos.logger import InitLogger


class BaseClient:
    """A channel, the name of the service that uses it, and that service's logger."""

    def __init__(self, channel: grpc.Channel, service_name: str, logger: logging.Logger | None = None) -> None:
        self.channel = channel
        self.service_name = service_name
        self.logger = logger or InitLogger()
