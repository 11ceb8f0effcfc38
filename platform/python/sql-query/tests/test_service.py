"""The service as its container runs it: a process of its own, between a sidecar and the next service."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MAIN = Path(__file__).resolve().parent.parent / "main.py"
JOIN = "SELECT p.Geslacht, s.Salschal FROM Personen p JOIN Aanstellingen s ON p.Unieknr = s.Unieknr"

Service = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def service(container: Callable[..., "subprocess.Popen[str]"]) -> Service:
    """Starts sql-query."""
    return lambda: container(MAIN, AGENT_ROLE="dataProvider")


def test_a_request_is_answered_and_the_container_ends(sidecar, ports, service, message):
    process = service()
    assert sidecar.initialised.get(timeout=10).routing_key == "user-1234uva1"
    sent = message(JOIN)
    sidecar.deliver(ports[1], sent)
    answer = sidecar.answer()
    columns = {name: list(column) for name, column in answer.data.items()}
    assert set(columns) == {"Geslacht", "Salschal"}
    assert len(columns["Geslacht"]) == len(columns["Salschal"]) == 10_838
    men = [int(scale) for gender, scale in zip(columns["Geslacht"], columns["Salschal"], strict=True) if gender == "M"]
    assert f"{sum(men) / len(men):.3f}" == "10.596"
    assert dict(answer.metadata) == {"Geslacht": "object", "Salschal": "int64"}
    assert answer.original_request == sent.original_request
    sidecar.stopped.get(timeout=10)
    assert process.wait(timeout=10) == 0


def test_readmes_request_of_upstream_works(sidecar, ports, service, message):
    service()
    sidecar.deliver(ports[1], message("SELECT * FROM Personen p JOIN Aanstellingen s LIMIT 1000"))
    answer = sidecar.answer()
    assert {len(column) for column in answer.data.values()} == {1000}
    assert {"Geslacht", "Salschal", "Unieknr", "Unieknr.1"} <= set(answer.data)


def test_an_sql_error_is_the_answer_and_the_container_ends(sidecar, ports, service, message):
    process = service()
    sidecar.deliver(ports[1], message("SELECT Salaris FROM Personen"))
    answer = sidecar.answer()
    assert answer.metadata["error"] == "sql-query: no such column: Salaris (line 1, column 8)"
    sidecar.stopped.get(timeout=10)
    assert process.wait(timeout=10) == 0


def test_a_sensitive_column_is_refused_by_name(sidecar, ports, service, message, monkeypatch):
    monkeypatch.setenv("DATASETS", '[{"tables": ["Personen"], "sensitive_columns": {"Personen": ["Gebdat"]}}]')
    service()
    sidecar.deliver(ports[1], message("SELECT * FROM Personen"))
    assert sidecar.answer().metadata["error"].startswith("sql-query: Personen.Gebdat is sensitive")


def test_another_request_type_is_refused_aloud(sidecar, ports, service, message):
    service()
    sent = message(JOIN)
    sent.request_type = "mlRequest"
    sidecar.deliver(ports[1], sent)
    assert "mlRequest" in sidecar.answer().metadata["error"]


def test_sigterm_ends_it_at_once(sidecar, service):
    process = service()
    sidecar.initialised.get(timeout=10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0


@pytest.mark.parametrize("flag", ["-t", "--test"])
def test_the_test_flag_only_imports(flag):
    done = subprocess.run(
        [sys.executable, MAIN, flag], env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, check=False, timeout=30
    )
    assert done.returncode == 0
