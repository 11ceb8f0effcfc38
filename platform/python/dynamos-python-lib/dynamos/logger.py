"""One logger per process, on standard output, where the kubelet reads it.

Lines are text, or JSON objects if LOG_FORMAT is "json", with the keys of the platform's Go services: time, level, msg,
service. What is logged while a message is handled also tells the request's correlation id, as ``correlation``.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_FORMAT = "%(asctime)s - %(name)s - %(filename)s:%(lineno)d - %(levelname)s - %(message)s"

_correlation: ContextVar[str] = ContextVar("correlation", default="")
_service = ""


def InitLogger() -> logging.Logger:
    """The process's logger, named after the program. Calling it again gives the same one.

    ``LOG_LEVEL`` (DEBUG, INFO, WARN, ...) sets what is shown; INFO if unset or unknown.
    """
    logger = logging.getLogger(os.path.basename(sys.argv[0]) or "dynamos")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JSON() if os.getenv("LOG_FORMAT", "").lower() == "json" else _Text(_FORMAT))
        logger.addHandler(handler)
        logger.propagate = False
        wanted = os.getenv("LOG_LEVEL", "").upper()
        logger.setLevel(logging.getLevelNamesMapping().get(wanted, logging.INFO))
    return logger


def set_service(name: str) -> None:
    """What lines in JSON give as their service; the program's name before."""
    global _service
    _service = name


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Lines that this thread logs in the block tell the correlation id, if it isn't empty."""
    token = _correlation.set(correlation_id)
    try:
        yield
    finally:
        _correlation.reset(token)


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        correlation = _correlation.get()
        return f"{line} correlation={correlation}" if correlation else line


class _JSON(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": "WARN" if record.levelno == logging.WARNING else record.levelname,
            "msg": record.getMessage(),
            "service": _service or record.name,
        }
        if correlation := _correlation.get():
            line["correlation"] = correlation
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = repr(record.exc_info[1])
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
