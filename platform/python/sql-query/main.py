"""Answer SQL over the CSV files of this data steward: the first service of a DYNAMOS chain."""

import os
import sys
import threading
from typing import Any

import microserviceCommunication_pb2 as chain
import rabbitMQ_pb2 as rabbit

from dynamos.datasets import declared
from dynamos.logger import InitLogger
from dynamos.ms_init import Configuration, NewConfiguration
from dynamos.sensitive import Sensitive
from dynamos.signal_flow import signal_continuation, signal_wait
from dynamos.tracer import InitTracer
from query import Limits, run
from tables import Tables

if os.getenv("ENV") == "PROD":
    import config_prod as config
else:
    import config_local as config  # type: ignore[no-redef]

logger = InitLogger()
tracer = InitTracer(config.service_name, config.tracing_host)

stop_event = threading.Event()
stop_microservice_condition = threading.Condition()
wait_for_setup_event = threading.Event()
wait_for_setup_condition = threading.Condition()
ms_config: Configuration


def request_handler(msComm: chain.MicroserviceCommunication, ctx: Any) -> None:
    """Run the request's query and send its table on. What it raises, the requester reads."""
    signal_wait(wait_for_setup_event, wait_for_setup_condition)
    request = rabbit.SqlDataRequest()
    if msComm.request_type != "sqlDataRequest" or not msComm.original_request.Unpack(request):
        raise ValueError(f"expected a sqlDataRequest, got {msComm.request_type!r}")
    tables = Tables(config.dataset_filepath, os.getenv("DATA_STEWARD_NAME", ""), declared())
    limits = Limits(config.query_seconds, config.result_values)
    with tracer.start_as_current_span("query", context=ctx) as span:
        result = run(request.query, tables, limits, Sensitive.from_environment())
        rows = len(result.columns[0]) if result.columns else 0
        span.set_attribute("rows", rows)
    data, types = result.to_protobuf()
    logger.info("request %s: %d rows", msComm.request_metadata.correlation_id, rows)
    ms_config.next_client.ms_comm.send_data(msComm, data, types)
    signal_continuation(stop_event, stop_microservice_condition)


def main() -> None:
    """Serve one request, then end."""
    global ms_config
    if sys.argv[1:] in (["-t"], ["--test"]):
        return
    ms_config = NewConfiguration(config.service_name, config.grpc_addr, request_handler)
    signal_continuation(wait_for_setup_event, wait_for_setup_condition)
    signal_wait(stop_event, stop_microservice_condition)
    ms_config.stop(2)


if __name__ == "__main__":
    main()
