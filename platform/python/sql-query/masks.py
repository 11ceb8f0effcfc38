"""Make sure that sensitive values leave a query only under their column's own name, as they are.

A service that anonymises finds its columns by their names. A query that hands a value on under another name, that
computes with it, or that chooses, groups or sorts rows by it, would get something about it past that service. So the
query runs once more with other values in the sensitive columns: nothing else in the result may change by it.
"""

import secrets
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

from dynamos.sensitive import SensitiveError

FUNCTION = "mask"


class Table(Protocol):
    """A query's result."""

    @property
    def names(self) -> list[str]: ...

    @property
    def columns(self) -> list[Sequence[Any]]: ...


class Masks:
    """Other values for sensitive columns: a random number for each value, the same for equal ones of a column.

    The numbers are in the opposite order of the values, so that no row stays where its value has put it.
    """

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], dict[Any, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._columns)

    def add(self, table: str, column: str) -> None:
        """Mask this column from the next put on."""
        self._columns[table, column] = {}

    def put(self, connection: sqlite3.Connection) -> None:
        """Replace the values in the tables."""
        for (table, column), masks in self._columns.items():
            table, column = _quoted(table), _quoted(column)
            values = [v for (v,) in connection.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY {column} DESC")]
            numbers: set[int] = set()
            while len(numbers) < len(values):
                numbers.add(secrets.randbits(62))
            masks.update(zip(values, sorted(numbers), strict=True))
            connection.create_function(FUNCTION, 1, masks.__getitem__)
            connection.execute(f"UPDATE {table} SET {column} = {FUNCTION}({column})")
        connection.create_function(FUNCTION, 1, None)

    def check(self, result: Table, masked: Table) -> None:
        """Raise SensitiveError unless the results are the same, but for masks in the columns that are masked."""
        originals: dict[str, dict[int, Any]] = {}
        for (_, column), masks in self._columns.items():
            originals.setdefault(column, {}).update((number, value) for value, number in masks.items())
        for name, values, others in zip(result.names, result.columns, masked.columns, strict=True):
            if name in originals:
                others = [originals[name].get(other, other) for other in others]
            if list(values) != list(others):
                which = ", ".join(f"{table}.{column}" for table, column in self._columns)
                raise SensitiveError(
                    f"{which}: a sensitive column can only be selected, under its own name, for the service that "
                    "anonymises it; this query renames it, computes with it, or chooses or sorts rows by it"
                )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
