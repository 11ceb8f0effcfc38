"""A message's place in a distributed trace, as its ``traces`` carry it: in two forms of the same two ids.

``binaryTrace`` is OpenCensus's 29 bytes: 00, 00 and the trace id, 01 and the span id, 02 and the flags (1: sampled).
``jsonTrace`` is ``{"SpanID":"<16 hex digits>","TraceID":"<32 hex digits>"}``. Services hand on both as they came.
"""

import json
from collections.abc import Mapping

from dynamos.logger import InitLogger

BINARY = "binaryTrace"
JSON = "jsonTrace"

logger = InitLogger()


def trace_ids(traces: Mapping[str, bytes]) -> tuple[int, int] | None:
    """The trace id (128 bits) and the span id (64 bits), from the form that can be read; None if there is none."""
    for key, read in ((JSON, _from_json), (BINARY, _from_binary)):
        if form := traces.get(key):
            try:
                trace_id, span_id = read(form)
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("the message's %s can't be read: %r", key, error)
                continue
            if 0 < trace_id < 1 << 128 and 0 < span_id < 1 << 64:  # zero means none
                return trace_id, span_id
    return None


def trace_forms(trace_id: int, span_id: int, sampled: bool = True) -> dict[str, bytes]:
    """Both forms of the ids, for the ``traces`` of a message that begins here.

    >>> trace_forms(0xAF, 0xB7)["jsonTrace"]
    b'{"SpanID":"00000000000000b7","TraceID":"000000000000000000000000000000af"}'
    """
    trace, span = trace_id.to_bytes(16), span_id.to_bytes(8)
    text = json.dumps({"SpanID": span.hex(), "TraceID": trace.hex()}, separators=(",", ":"))
    return {BINARY: b"\0\0" + trace + b"\1" + span + b"\2" + bytes([sampled]), JSON: text.encode()}


def _from_json(form: bytes) -> tuple[int, int]:
    ids = json.loads(form)
    return int(ids["TraceID"], 16), int(ids["SpanID"], 16)


def _from_binary(form: bytes) -> tuple[int, int]:
    if len(form) != 29 or (form[0], form[1], form[18], form[27]) != (0, 0, 1, 2):
        raise ValueError(form.hex())
    return int.from_bytes(form[2:18]), int.from_bytes(form[19:27])
