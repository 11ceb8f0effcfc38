"""Where the containers of a Pod find each other."""

import pytest

from dynamos import channel


@pytest.mark.parametrize(
    ("address", "found"),
    [("localhost:50051", "127.0.0.1:50051"), ("localhost.example:1", "localhost.example:1"), ("[::1]:1", "[::1]:1")],
)
def test_the_pod_is_found_without_its_hosts_file(address: str, found: str) -> None:
    assert channel.resolved(address) == found
