"""What goes wrong between the services of a chain, and how large a message may be."""

MESSAGE_LIMIT = 256 << 20
"""Bytes of the largest message that is sent or accepted (gRPC's own default is 4 MiB)."""


class ChainError(Exception):
    """A message can't be handed on; the text says which peer or which limit stands in the way."""


class Unreachable(ChainError):
    """The other end doesn't listen."""


class MessageTooLarge(ChainError, ValueError):
    """A message or its table is larger than MESSAGE_LIMIT; the text names both sizes."""

    def __init__(self, what: str, size: int) -> None:
        super().__init__(
            f"{what} is too large: {_mib(size)} MiB, and at most {_mib(MESSAGE_LIMIT)} MiB can be sent; "
            "select fewer rows or columns"
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f}".removesuffix(".0")
