"""Settings for a run on a developer's machine."""

import os

service_name = "sql-query"
grpc_addr = "localhost:"
dataset_filepath = os.path.dirname(os.path.abspath(__file__))
tracing_host = "localhost:4317"
query_seconds = 20.0
result_values = 5_000_000
