"""Keys of a message's metadata that services agree on.

Beside them, metadata may hold the pandas type of each column under the column's own name.
"""

import json
from collections.abc import Mapping, MutableMapping

ERROR = "error"
"""Why the chain failed, "<service>: <text>". A message that has it carries no data."""

SERVICES = "services"
"""A JSON list of the services that worked on the message, first to last."""

DATAFRAME = "dataframe_metadata"
"""A JSON object, column to pandas type, for services that keep the types apart from the rest."""

RESERVED = frozenset({ERROR, SERVICES, DATAFRAME})
"""A column of such a name has no type under its own name: a table with a column ``error`` didn't fail."""


def register_service_on_metadata(metadata: MutableMapping[str, str], service_name: str) -> dict[str, str]:
    """A copy of the metadata in which the service is listed after those that worked before it.

    Raises ValueError if the list that is there is not a JSON list.
    """
    services = _services(metadata)
    return {**metadata, SERVICES: json.dumps([*services, service_name])}


def _services(metadata: Mapping[str, str]) -> list[str]:
    text = metadata.get(SERVICES, "[]") or "[]"
    try:
        services = json.loads(text)
    except ValueError:
        services = None
    if not isinstance(services, list):
        raise ValueError(f'metadata["{SERVICES}"] is not a JSON list: {text[:80]}')
    return services
