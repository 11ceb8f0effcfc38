"""The two forms in which messages carry their trace, byte for byte."""

import pytest

from dynamos.trace_forms import trace_forms, trace_ids

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
BINARY = bytes.fromhex("0000 0af7651916cd43dd8448eb211c80319c 01 b7ad6b7169203331 02 01")
JSON = b'{"SpanID":"b7ad6b7169203331","TraceID":"0af7651916cd43dd8448eb211c80319c"}'


def test_the_forms_are_those_of_the_platform():
    assert trace_forms(TRACE, SPAN) == {"binaryTrace": BINARY, "jsonTrace": JSON}
    assert trace_forms(TRACE, SPAN, sampled=False)["binaryTrace"][-1] == 0
    assert len(BINARY) == 29


@pytest.mark.parametrize(
    "traces",
    [
        {"jsonTrace": JSON},
        {"binaryTrace": BINARY},
        {"jsonTrace": b"{", "binaryTrace": BINARY},
        {"jsonTrace": JSON, "binaryTrace": b"\0" * 29},
    ],
)
def test_either_form_is_read(traces):
    assert trace_ids(traces) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "traces",
    [
        {},
        {"binaryTrace": b"\0" * 29},
        {"binaryTrace": BINARY[:-1]},
        {"binaryTrace": BINARY[:18] + b"\3" + BINARY[19:]},
        *(
            {"jsonTrace": text}
            for text in (b"", b"{", b"{}", b"[]", b'{"TraceID": "zz", "SpanID": "1"}', b'{"TraceID": 1, "SpanID": 1}',
                         b'{"TraceID": "0", "SpanID": "1"}', b'{"TraceID": "1", "SpanID": "-1"}', b"\xff")
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_no_trace(traces):
    assert trace_ids(traces) is None
