"""The gRPC settings that both ends of every connection in a chain share."""

import grpc

from dynamos.errors import MESSAGE_LIMIT

_LIMITS = [
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
]
SERVER_OPTIONS = [*_LIMITS, ("grpc.so_reuseport", 0)]  # a port in use must be an error
CHANNEL_OPTIONS = [
    *_LIMITS,
    # Containers of one Pod start within a fraction of a second of each other: try again every
    # 100 ms, gRPC's smallest interval, instead of after 1 s, 1.6 s, ...
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_http_proxy", 0),  # every peer is in this Pod
]


def resolved(address: str) -> str:
    """HOST:PORT with 127.0.0.1 in place of localhost.

    The kubelet writes /etc/hosts anew when it starts another container of the Pod, and who asks for
    localhost just then is told that there is no such host.
    """
    return f"127.0.0.1:{address.removeprefix('localhost:')}" if address.startswith("localhost:") else address


def open_channel(address: str) -> grpc.Channel:
    """A plaintext channel to HOST:PORT. Connects in the background once it is used."""
    return grpc.insecure_channel(resolved(address), options=CHANNEL_OPTIONS)
