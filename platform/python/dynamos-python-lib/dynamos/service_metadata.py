"""Keys of a message's metadata that services agree on.

Beside them, metadata may hold the pandas type of each column under the column's own name.
"""

import json
from collections.abc import Mapping, MutableMapping
from typing import TypeVar

ERROR = "error"
"""Why the chain failed, "<service>: <text>". A message that has it carries no data."""

SERVICES = "services"
"""A JSON list of the services that worked on the message, first to last."""

DATAFRAME = "dataframe_metadata"
"""A JSON object, column to pandas type, for services that keep the types apart from the rest."""

SCHEMA = "dataframe_schema"
"""What types alone don't tell about the columns; see :mod:`dynamos.frame_schema`."""

RESERVED = frozenset({ERROR, SERVICES, DATAFRAME, SCHEMA})
"""A column of such a name has no type under its own name: a table with a column ``error`` didn't fail."""

Metadata = TypeVar("Metadata", bound=MutableMapping[str, str])


def register_service_on_metadata(metadata: Metadata, service_name: str) -> Metadata:
    """List the service in the metadata, after those that worked before it. Gives the same metadata.

    Raises ValueError if the list that is there is not a JSON list.
    """
    metadata[SERVICES] = json.dumps([*_services(metadata), service_name])
    return metadata


def _services(metadata: Mapping[str, str]) -> list[str]:
    text = metadata.get(SERVICES, "[]")
    try:
        services = json.loads(text)
    except ValueError:
        services = None
    if not isinstance(services, list):
        raise ValueError(f'metadata["{SERVICES}"] is not a JSON list: {text[:80]}')
    return services
