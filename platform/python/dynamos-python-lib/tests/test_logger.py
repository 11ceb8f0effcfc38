"""What a line of the log says."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from dynamos.grpc_client import GRPCClient
from dynamos.logger import InitLogger, correlated, set_service
from dynamos.ms_init import Configuration


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A program whose logger is made by the test."""
    monkeypatch.setattr(sys, "argv", ["/app/service/fresh.py"])
    yield monkeypatch
    logger = logging.getLogger("fresh.py")
    logger.handlers.clear()
    logger.propagate = True  # of others, pytest takes hold
    set_service("")


def test_a_line_of_text_tells_the_request(fresh, capsys):
    logger = InitLogger()
    logger.warning("before")
    with correlated("c-1"):
        logger.info("%d rows", 3)
    with correlated(""):
        logger.info("after")
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"^.*? - (.*\.py):\d+", r"\1", line) for line in lines] == [
        "fresh.py - test_logger.py - WARNING - before",
        "fresh.py - test_logger.py - INFO - 3 rows correlation=c-1",
        "fresh.py - test_logger.py - INFO - after",
    ]


def test_a_line_of_json_has_the_keys_of_the_platform(fresh, capsys):
    fresh.setenv("LOG_FORMAT", "json")
    logger = InitLogger()
    set_service("sql-query")
    with correlated("c-1"):
        try:
            raise KeyError("Salschal")
        except KeyError:
            logger.exception('it "failed"')
    logger.warning("é")
    failed, warned = map(json.loads, capsys.readouterr().out.splitlines())
    assert set(failed) == {"time", "level", "msg", "service", "correlation", "error", "stack"}
    assert (failed["level"], failed["msg"], failed["service"], failed["correlation"]) == (
        "ERROR", 'it "failed"', "sql-query", "c-1",
    )  # fmt: skip
    assert failed["error"] == "KeyError('Salschal')"
    assert "Traceback" in failed["stack"]
    assert (warned["level"], warned["msg"]) == ("WARN", "é")
    assert set(warned) == {"time", "level", "msg", "service"}


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("", 2), ("warn", 1), ("loud", 2)])
def test_the_level_is_told(fresh, capsys, level, shown):
    fresh.setenv("LOG_LEVEL", level)
    logger = InitLogger()
    assert InitLogger() is logger
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    assert len(capsys.readouterr().out.splitlines()) == shown


def test_a_handlers_lines_tell_the_request_that_it_works_on(fresh, capsys, message):
    logger = InitLogger()
    config = Configuration("job", 1, True, True, "a", lambda msComm: logger.info("at work"))
    fresh.setattr(config, "_fail", lambda *_, **__: None)  # there is nobody to tell
    config.next_client = GRPCClient("localhost:1", "a")
    config.receive(message("SELECT 1", "c-7"))
    assert capsys.readouterr().out.rstrip().endswith("at work correlation=c-7")
    config.stop()
