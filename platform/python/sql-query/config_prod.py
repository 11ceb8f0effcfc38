"""Settings in a Job's Pod."""

service_name = "sql-query"
grpc_addr = "localhost:"
dataset_filepath = "/app/datasets/"
tracing_host = "collector.linkerd-jaeger:4317"
query_seconds = 20.0  # less than the 30 s that an agent waits for the whole chain
result_values = 5_000_000  # rows times columns; about 1 GiB of memory at its peak
