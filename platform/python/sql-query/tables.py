"""The party's CSV files as SQLite tables: ``<table>_<steward>.csv`` in one folder."""

import csv
import sqlite3
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dynamos.datasets import Dataset
from dynamos.frame_struct import unique_names

T = TypeVar("T")

LARGEST_INTEGER = 2**63 - 1


class DatasetError(Exception):
    """A dataset file can't be read as a table; the text says where."""


class Tables:
    """The tables that a party has. Nothing is read before create and fill are called.

    Values are separated as the table's data set declares it, ``;`` otherwise.
    """

    def __init__(self, folder: str | Path, steward: str, datasets: Iterable[Dataset] = ()) -> None:
        self._delimiters = {table.lower(): dataset.delimiter for dataset in datasets for table in dataset.tables}
        suffix = f"_{steward}.csv"
        self._files = {
            file.name.removesuffix(suffix): file
            for file in sorted(Path(folder).glob("*.csv"))
            if steward and file.name.endswith(suffix)
        }

    @property
    def names(self) -> list[str]:
        """What can be queried, sorted."""
        return list(self._files)

    def find(self, name: str) -> str | None:
        """The table that SQLite would mean by this name (letter case doesn't matter to it), or None."""
        if name in self._files:
            return name
        return next((table for table in self._files if table.lower() == name.lower()), None)

    def create(self, connection: sqlite3.Connection, table: str) -> None:
        """Make an empty table with the file's columns. Raises DatasetError."""
        columns = ", ".join(map(_quoted, self._read(table, _header)))
        # No declared types: a column compares as what it holds, and _typed gives each column one type.
        connection.execute(f"CREATE TABLE {_quoted(table)} ({columns})")

    def fill(self, connection: sqlite3.Connection, table: str, wanted: Container[str]) -> None:
        """Insert the file's rows into the created table; columns not wanted stay NULL. Raises DatasetError."""
        header, columns = self._read(table, _content)
        # Some column is always there, so that every row is.
        used = [index for index, name in enumerate(header) if name in wanted] or [0]
        names = ", ".join(_quoted(header[index]) for index in used)
        values = zip(*(_typed(columns[index]) for index in used), strict=True)
        places = ",".join("?" * len(used))
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {_quoted(table)} ({names}) VALUES ({places})", values)
        connection.execute("COMMIT")

    def _read(self, table: str, part: Callable[[Any], T]) -> T:
        file = self._files[table]
        try:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                return part(csv.reader(lines, delimiter=self._delimiters.get(table.lower(), ";")))
        except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:  # TypeError: a delimiter of two characters
            raise DatasetError(f"{file.name}: {error}") from error
        except ValueError as error:
            raise DatasetError(f"{file.name}:{error}") from error


def _header(reader: Any) -> list[str]:
    for row in reader:
        if row:
            return unique_names(row)
    raise ValueError("1: no header line")


def _content(reader: Any) -> tuple[list[str], list[Sequence[str]]]:
    """The header and the columns of texts."""
    header = _header(reader)
    width = len(header)
    rows = []
    for row in reader:
        if len(row) == width:
            rows.append(row)
        elif row:
            raise ValueError(f"{reader.line_num}: {len(row)} values in a row, {width} in the header")
    return header, list(zip(*rows, strict=True)) if rows else [()] * width


def _typed(texts: Sequence[str]) -> Sequence[Any]:
    """The column as whole numbers, else as decimals, else as text; an empty value is NULL."""
    if "_" not in "".join(texts):  # Python would read 1_000 as a number
        for number in (int, float):
            try:
                values = [number(text) if text else None for text in texts]
            except ValueError:
                continue
            if number is float or all(value is None or abs(value) <= LARGEST_INTEGER for value in values):
                return values
    return [text or None for text in texts]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
