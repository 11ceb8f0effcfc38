"""Call a service's handler the way it was written: with ``(msComm, ctx)`` or with ``(msComm)``."""

import inspect
from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]
"""Takes a MicroserviceCommunication and, if it has a second positional parameter, the trace context.
What it returns is ignored."""


def takes_context(handler: Handler) -> bool:
    """Whether the handler can be called with two positional arguments."""
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        return False
    return True


def call(handler: Handler, msComm: Any, ctx: Any) -> Any:
    """Call the handler with as many of the two as it takes."""
    if takes_context(handler):
        return handler(msComm, ctx)
    return handler(msComm)
