"""The service that the README shows, as its container runs it."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pandas as pd
import pytest

from dynamos.dataframe import dataframe_to_protobuf, protobuf_to_dataframe

Service = Callable[..., "subprocess.Popen[str]"]
README = Path(__file__).resolve().parent.parent / "README.md"


@pytest.fixture
def service(
    container: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the README's service, with another text in place of one line."""
    (example,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    main = tmp_path / "main.py"

    def start(line: str = "", instead: str = "") -> "subprocess.Popen[str]":
        main.write_text(example.replace(line, instead, 1))
        return container(main, LOG_FORMAT="json")

    return start


def test_it_answers_logs_and_ends(sidecar, ports, service, message):
    process = service()
    sidecar.initialised.get(timeout=10)
    frame = pd.DataFrame({"Salschal": [9, 10, 11], "Geslacht": ["M", "V", None]})
    sent = message("SELECT 1", "c-42")
    data, types = dataframe_to_protobuf(frame)
    sent.data.CopyFrom(data)
    sent.metadata.update({"services": '["sql-query"]', **types})
    sidecar.deliver(ports[1], sent)

    answer = sidecar.answer()
    top = protobuf_to_dataframe(answer.data, answer.metadata)
    pd.testing.assert_frame_equal(top, frame.iloc[1:].reset_index(drop=True))
    assert json.loads(answer.metadata["services"]) == ["sql-query", "top-scales"]
    assert json.loads(answer.result) == [["Geslacht", "Salschal"], ["V", "10"], ["nan", "11"]]
    sidecar.stopped.get(timeout=10)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    lines = [json.loads(line) for line in output.splitlines()]
    assert {
        "level": "INFO", "msg": "2 of 3 rows", "service": "top-scales", "correlation": "c-42",
    }.items() <= next(line for line in lines if "rows" in line["msg"]).items()  # fmt: skip


def test_what_goes_wrong_in_it_is_the_answer(sidecar, ports, service, message):
    process = service()
    sidecar.deliver(ports[1], message("SELECT 1"))
    assert sidecar.answer().metadata["error"] == "top-scales: 'Salschal'"
    assert process.wait(timeout=10) == 0


def test_sigterm_cuts_off_a_handler_that_goes_on(sidecar, ports, service, message):
    process = service("top = frame", "print('at work', flush=True); threading.Event().wait()\n        top = frame")
    sidecar.initialised.get(timeout=10)
    delivery = threading.Thread(target=deliver_in_vain, args=(sidecar, ports[1], message("SELECT 1")))
    delivery.start()
    assert "at work\n" in iter(process.stdout.readline, "")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    delivery.join()


def deliver_in_vain(sidecar, port, message):
    with pytest.raises(grpc.RpcError):
        sidecar.deliver(port, message)


def test_sigterm_ends_it_and_its_sidecar(sidecar, service):
    process = service()
    sidecar.initialised.get(timeout=10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert sidecar.stopped.qsize() == 1
