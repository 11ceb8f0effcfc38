"""A whole service that is given its work."""

import json

import pytest

WORK = {
    "a function": "def work(frame): return make('a', frame)",
    "a part of one": "work = functools.partial(make, 'a')",
    "an object": "class Work:\n    def __call__(self, frame): return make('a', frame)\nwork = Work()",
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_work_is_whatever_can_be_called(sidecar, ports, container, message, work):
    program = (
        "import functools\nimport pandas as pd\nfrom dynamos.frame_service import run\n"
        f"def make(name, frame): return pd.DataFrame({{name: [1, 2]}})\n{work}\nrun('own', work)"
    )
    service = container("-c", program)
    sidecar.deliver(ports[1], message(""))
    answer = sidecar.answer()
    assert "error" not in answer.metadata
    assert json.loads(answer.result) == [["a"], ["1"], ["2"]]
    assert service.wait(timeout=30) == 0
