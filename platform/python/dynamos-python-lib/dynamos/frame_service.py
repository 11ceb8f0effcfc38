"""A whole service whose work takes a table and gives one; see :func:`run`."""

import json
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import microserviceCommunication_pb2 as chain

from dynamos.dataframe import dataframe_to_protobuf, protobuf_to_dataframe
from dynamos.logger import InitLogger
from dynamos.ms_init import Configuration, NewConfiguration
from dynamos.service_metadata import DATAFRAME, register_service_on_metadata
from dynamos.signal_flow import signal_continuation, signal_wait
from dynamos.tracer import COLLECTOR, InitTracer

if TYPE_CHECKING:
    import pandas as pd

Work = Callable[["pd.DataFrame"], "pd.DataFrame"]


def run(service: str, work: Work) -> None:
    """Take the service's place in its chain, hand on what ``work`` makes of the message's table, and end.

    The first service of a chain is given a table without columns. What ``work`` raises, the requester reads. The
    columns' types go into ``dataframe_metadata``, and the service's name is added to ``services``.
    """
    name = getattr(work, "__name__", service)  # a functools.partial, or an object that can be called, has none
    logger = InitLogger()
    tracer = InitTracer(service, COLLECTOR if os.getenv("ENV") == "PROD" else "localhost:4317")
    connected, done, condition = threading.Event(), threading.Event(), threading.Condition()
    config: Configuration

    def handle(msComm: chain.MicroserviceCommunication, ctx: Any = None) -> None:
        signal_wait(connected, condition)
        frame = protobuf_to_dataframe(msComm.data, dict(msComm.metadata))
        with tracer.start_as_current_span(name, context=ctx) as span:
            frame = work(frame)
            span.set_attribute("rows", len(frame))
        logger.info("request %s: %d rows", msComm.request_metadata.correlation_id, len(frame))
        data, types = dataframe_to_protobuf(frame)
        metadata = register_service_on_metadata(dict(msComm.metadata), service)
        config.next_client.ms_comm.send_data(msComm, data, metadata | {DATAFRAME: json.dumps(types)})
        signal_continuation(done, condition)

    config = NewConfiguration(service, "localhost:", handle)
    signal_continuation(connected, condition)
    signal_wait(done, condition)
    config.stop(2)
