"""Run one SQL query over a party's tables: reading only, those tables only, within limits.

The dialect is SQLite's. Which tables and columns a query needs is SQLite's to say as well: the query is
compiled, each table that it misses is created empty, and the columns that it reads are noted; then only those columns
are filled. So any spelling works that SQLite understands (letter case, comma joins, subqueries, CTEs), and no value is
loaded that the query doesn't read. README.md says what is accepted and what is refused.
"""

import re
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct

from dynamos.frame_schema import Column, Schema
from dynamos.frame_struct import add_column, unique_names
from dynamos.sensitive import Sensitive, SensitiveError
from masks import Masks
from place import place
from tables import DatasetError, Tables

HEAP_LIMIT = 1 << 30
"""Bytes that SQLite may use: the tables, and what sorting and grouping need."""

STEPS_BETWEEN_CHECKS = 20_000
"""SQLite instructions between two looks at the clock: about 1 ms."""

LONGEST_VALUE = 64 << 20
"""Bytes of one value, or of one row of it."""

_MISSING_TABLE = re.compile(r"no such table: (?:main\.)?(.*)", re.DOTALL)
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_ACTIONS = {
    getattr(sqlite3, name): name.removeprefix("SQLITE_").replace("_", " ")
    for name in dir(sqlite3)
    if re.fullmatch(r"SQLITE_(CREATE|DROP|ALTER|REINDEX|ANALYZE|INSERT|UPDATE|DELETE)\w*", name)
    or name in ("SQLITE_PRAGMA", "SQLITE_ATTACH", "SQLITE_DETACH", "SQLITE_TRANSACTION", "SQLITE_SAVEPOINT")
}


class QueryError(Exception):
    """The query can't be answered; the text is for the one who asked."""


@dataclass(frozen=True)
class Limits:
    """What one query may use."""

    seconds: float
    values: int  # of the result, rows times columns
    bytes: int = 1 << 30  # of the result, as Python holds it


@dataclass(frozen=True)
class Result:
    """The answer by columns; names are unique (:func:`dynamos.dataframe.unique_names`)."""

    names: list[str]
    columns: list[Sequence[Any]]

    def to_protobuf(self) -> tuple[Struct, dict[str, str]]:
        """As the data and the column types of a message, the same that pandas would have given.

        Whole numbers are int64, numbers with a decimal or with a NULL among them float64 (NULL is ``nan``),
        everything else is object (NULL is ``None``, or a null in a column that has a text ``None``).
        """
        data = Struct()
        described = []
        for name, values in zip(self.names, self.columns, strict=True):
            texts, column = _as_pandas(values, name)
            add_column(data, name, texts)
            described.append(column)
        return data, Schema(described).to_metadata()


def run(query: str, tables: Tables, limits: Limits, sensitive: Sensitive | None = None) -> Result:
    """Answer the query. Raises QueryError for what is wrong with it, DatasetError for a broken file."""
    guard = _Guard(time.monotonic() + limits.seconds)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if not query.strip():
            raise QueryError("the query is empty")
        connection.execute(f"PRAGMA hard_heap_limit={HEAP_LIMIT}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.set_progress_handler(guard.late, STEPS_BETWEEN_CHECKS)
        masks = _prepare(connection, guard, query, tables, sensitive or Sensitive())
        result = _answer(connection, guard, query, limits)
        if masks:
            masks.put(connection)
            masks.check(result, _answer(connection, guard, query, limits))
        return result
    except DatasetError:
        raise
    except SensitiveError as error:
        raise QueryError(str(error)) from error
    except (sqlite3.Error, sqlite3.Warning, MemoryError, ValueError) as error:
        raise QueryError(guard.explain(error, limits, query)) from error
    finally:
        connection.close()


def _prepare(
    connection: sqlite3.Connection, guard: "_Guard", query: str, tables: Tables, sensitive: Sensitive
) -> Masks:
    """Make the tables that the query needs, with the columns that it reads; gives masks for the sensitive ones."""
    while missing := _missing_table(connection, guard, query):
        table = tables.find(missing)
        if table is None:
            known = ", ".join(tables.names) or "none"
            words = f"no such table: {missing}"
            raise QueryError(f"{words}{place(query, words)} (tables here: {known})")
        tables.create(connection, table)
        guard.tables[table.lower()] = table
    masks = Masks()
    for table in guard.tables.values():
        read = guard.read[table.lower()]
        for column in sensitive.among(table, read):
            masks.add(table, column)
        tables.fill(connection, table, read)
    return masks


def _missing_table(connection: sqlite3.Connection, guard: "_Guard", query: str) -> str | None:
    """Compile the query; the name of a table that it needs and that isn't there yet, if any."""
    roots = dict(connection.execute("SELECT rootpage, name FROM sqlite_master"))
    connection.set_authorizer(guard.authorize)
    try:
        program = connection.execute("EXPLAIN " + query).fetchall()
    except sqlite3.OperationalError as error:
        if missing := _MISSING_TABLE.fullmatch(str(error)):
            return missing[1]
        raise
    finally:
        connection.set_authorizer(None)
    # The authorizer isn't asked about the columns of USING and NATURAL; the compiled query reads them by number.
    cursors: dict[int, str] = {}
    for _, operation, first, second, *_ in program:
        if operation == "OpenRead" and second in roots:
            cursors[first] = roots[second]
        elif operation == "Column" and first in cursors:
            table = cursors[first]
            guard.read[table.lower()].add(_column(connection, table, second))
    return None


def _column(connection: sqlite3.Connection, table: str, number: int) -> str:
    name = connection.execute("SELECT name FROM pragma_table_info(?) WHERE cid = ?", (table, number)).fetchone()
    return str(name[0])


def _answer(connection: sqlite3.Connection, guard: "_Guard", query: str, limits: Limits) -> Result:
    connection.set_authorizer(guard.authorize)
    try:
        cursor = connection.execute(query)
        if cursor.description is None:
            raise QueryError("the query gives no table; it must be one SELECT")
        names = unique_names(column[0] for column in cursor.description)
        return Result(names, _fetch(cursor, len(names), limits))
    finally:
        connection.set_authorizer(None)


def _fetch(cursor: sqlite3.Cursor, width: int, limits: Limits) -> list[Sequence[Any]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += sum(map(sys.getsizeof, row))
        if len(rows) * width > limits.values or size > limits.bytes:
            most = f"{limits.values:,} values" if size <= limits.bytes else f"{limits.bytes >> 20:,} MiB"
            raise QueryError(f"the result has more than {most}; select fewer columns or rows, or set a LIMIT")
    return list(zip(*rows, strict=True)) if rows else [()] * width


class _Guard:
    """Allows reading the created tables until the deadline; notes what is read and what it refused."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.tables: dict[str, str] = {}  # lower-case name to name
        self.read: defaultdict[str, set[str]] = defaultdict(set)  # columns, by lower-case name of the table
        self.refused = ""

    def authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, trigger: str | None
    ) -> int:
        """SQLite asks this for each thing that a query does, while it compiles the query."""
        if action == sqlite3.SQLITE_READ:  # first is the table, second the column
            table = (first or "").lower()
            if schema is None or table in self.tables:  # without a schema: a name that the query itself defines
                self.read[table].add(second or "")
                return sqlite3.SQLITE_OK
            self.refused = f"reading {first} is not allowed"
        elif action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
            self.refused = "load_extension is not allowed"
        elif action in _READING:
            return sqlite3.SQLITE_OK
        elif action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
            # SQLite is about to make a table of a table-valued function (json_each, pragma_...).
            self.refused = "only the datasets' tables can be read"
        else:
            self.refused = f"only reading is allowed, not {_ACTIONS.get(action, 'this statement')}"
        return sqlite3.SQLITE_DENY

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def explain(self, error: BaseException, limits: Limits, query: str) -> str:
        """The reason, in SQLite's words where they are about the query."""
        if self.refused:
            return self.refused
        if self.late() and "interrupted" in str(error):
            return f"the query takes longer than {limits.seconds:g} s"
        if isinstance(error, MemoryError):
            return f"the query needs more than {HEAP_LIMIT >> 20} MiB of memory"
        return f"{error}{place(query, str(error))}"


def _as_pandas(values: Sequence[Any], name: str) -> tuple[Iterable[str | None], Column]:
    kinds = set(map(type, values))
    if kinds == {int}:
        return map(str, values), Column(name, "int64")
    if kinds & {int, float} and kinds <= {int, float, type(None)}:
        return ("nan" if value is None else str(float(value)) for value in values), Column(name, "float64")
    if None in values and "None" in values:
        return (None if value is None else str(value) for value in values), Column(name, "object", null="None")
    return map(str, values), Column(name, "object", missing=("None",) if None in values else ())
