"""Let threads of a service wait for each other: for the set-up to be done, for the work to be finished.

Events and conditions are the service's own. What this module adds is a way out: when the service
cannot go on (a failed message, SIGTERM), :func:`release` ends every wait, present and future, so that
``main`` goes on to stop the service instead of waiting for a handler that gave up.
"""

import threading

_released = threading.Event()
_waiting: set[threading.Condition] = set()
_waiting_lock = threading.Lock()


def signal_continuation(event: threading.Event, condition: threading.Condition) -> None:
    """Set the event and wake all that wait for it."""
    with condition:
        event.set()
        condition.notify_all()


def signal_wait(event: threading.Event, condition: threading.Condition) -> None:
    """Return once the event is set, or once the service was released."""
    with _waiting_lock:
        _waiting.add(condition)
    with condition:
        condition.wait_for(lambda: event.is_set() or _released.is_set())


def release() -> None:
    """End every wait of this process, and let later ones return at once."""
    _released.set()
    with _waiting_lock:
        conditions = list(_waiting)
    for condition in conditions:
        with condition:
            condition.notify_all()


def released() -> bool:
    """Whether :func:`release` was called: the service is to stop, whatever its events say."""
    return _released.is_set()
