"""The data sets that the launch files declare (``datasets.json``), as the agent tells them to a Job's services."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VARIABLE = "DATASETS"
"""A JSON list of the elements of ``datasets.json``."""


@dataclass(frozen=True)
class Dataset:
    """One element. Letter case doesn't matter in the names of tables and columns, as in SQL."""

    name: str = ""
    type: str = "csv"
    delimiter: str = ";"
    tables: Sequence[str] = ()
    sensitive_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by table


def declared() -> list[Dataset]:
    """All data sets; none if the agent didn't tell. Raises ValueError if what it told can't be read."""
    try:
        return [
            Dataset(
                name=one.get("name", ""),
                type=one.get("type") or "csv",
                delimiter=one.get("delimiter") or ";",
                tables=tuple(one.get("tables") or ()),
                sensitive_columns={
                    table: tuple(columns) for table, columns in (one.get("sensitive_columns") or {}).items()
                },
            )
            for one in json.loads(os.getenv(VARIABLE) or "[]")
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{VARIABLE} can't be read: {error}") from error
