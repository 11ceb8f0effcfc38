"""End the service when the Pod ends: on SIGTERM."""

import os
import signal
import sys
import threading

from dynamos import signal_flow
from dynamos.logger import InitLogger

GRACE = 5.0
"""Seconds after SIGTERM that the service has to end by itself."""


def stop_on_sigterm() -> None:
    """From now on, SIGTERM ends main's wait, so that it stops the service; GRACE seconds later the process ends.

    Without this the kernel ignores SIGTERM for a container's first process, and the Pod's end takes the whole grace
    period of 30 s. Does nothing outside the main thread, where Python handles no signals.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _terminate())


def _terminate() -> None:
    # In other threads: the main one may hold the locks that these need.
    threading.Thread(target=signal_flow.release).start()
    end = threading.Timer(GRACE, _cut_off)
    end.daemon = True
    end.start()


def _cut_off() -> None:
    InitLogger().warning("still at work %g s after SIGTERM, and ended", GRACE)
    sys.stdout.flush()
    os._exit(128 + signal.SIGTERM)  # Python itself would wait for the handler's thread
