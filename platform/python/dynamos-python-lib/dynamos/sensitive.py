"""The sensitive columns of a party's tables, and who may be given them.

``datasets.json`` declares which columns are sensitive, and ``microservices.json`` which columns a service makes
anonymous (``anonymizes``). A service that reads data may hand a sensitive column on only if a later service of the same
Job, so of the same party, anonymises it. Agents tell it what it needs for that, in its environment.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dynamos import datasets

ANONYMIZED = "ANONYMIZED_COLUMNS"
"""Variable with a JSON list: the columns that services after this one in its Job make anonymous."""


class SensitiveError(ValueError):
    """Something that would let a sensitive column out; the text is for the one who asked."""


@dataclass(frozen=True)
class Sensitive:
    """What is sensitive for one service in its chain. Letter case doesn't matter in names, as in SQL."""

    columns: Mapping[str, Iterable[str]] = field(default_factory=dict)  # by table
    anonymized: Iterable[str] = ()

    @classmethod
    def from_environment(cls) -> "Sensitive":
        """What the agent told. Raises ValueError if that can't be read: better no answer than a wrong one."""
        columns: defaultdict[str, list[str]] = defaultdict(list)
        for dataset in datasets.declared():
            for table, names in dataset.sensitive_columns.items():
                columns[table] += names
        try:
            anonymized = tuple(map(str, json.loads(os.getenv(ANONYMIZED) or "[]")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{ANONYMIZED} can't be read: {error}") from error
        return cls(dict(columns), anonymized)

    def among(self, table: str, columns: Iterable[str]) -> list[str]:
        """Those of the columns that are sensitive, sorted. Raises SensitiveError if one isn't anonymised later."""
        names = {name.lower() for its, names in self.columns.items() if its.lower() == table.lower() for name in names}
        found = sorted(column for column in columns if column.lower() in names)
        later = {name.lower() for name in self.anonymized}
        for column in found:
            if column.lower() not in later:
                raise SensitiveError(
                    f"{table}.{column} is sensitive, and no later service of this party's chain anonymises it; "
                    "leave it out, or ask for a service that does"
                )
        return found
