"""One logger per process, on standard output, where the kubelet reads it."""

import logging
import os
import sys

_FORMAT = "%(asctime)s - %(name)s - %(filename)s:%(lineno)d - %(levelname)s - %(message)s"


def InitLogger() -> logging.Logger:
    """The process's logger, named after the program. Calling it again gives the same one.

    ``LOG_LEVEL`` (DEBUG, INFO, WARNING, ...) sets what is shown; INFO if unset or unknown.
    """
    logger = logging.getLogger(sys.argv[0] or "dynamos")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        logger.propagate = False
        wanted = os.getenv("LOG_LEVEL", "").upper()
        logger.setLevel(logging.getLevelNamesMapping().get(wanted, logging.INFO))
    return logger
