"""Where in a query SQLite's error lies. Python's module doesn't tell, and the message names only a token."""

import re
import sqlite3

_SYNTAX = re.compile(r'near "(.+)": syntax error', re.DOTALL)
_NAMED = re.compile(
    r'(?:no such (?:table|column|function)|ambiguous column name): (?:main\.)?(.+)|unrecognized token: "(.+)"',
    re.DOTALL,
)

MOST_TRIES = 100


def place(query: str, message: str) -> str:
    """`` (line 1, column 8)`` for SQLite's message about the query, or nothing where it isn't certain.

    >>> place("SELECT a FROM FROM t", 'near "FROM": syntax error')
    ' (line 1, column 15)'
    >>> place("SELECT a,\\n  b, c FROM t", "no such column: c")
    ' (line 2, column 6)'
    >>> place("SELECT c FROM t WHERE c = 1", "no such column: c")
    ''
    """
    if match := _SYNTAX.fullmatch(message):
        start = _of_syntax_error(query, match[1], message)
    elif match := _NAMED.fullmatch(message):
        starts = _occurrences(query, match[1] or match[2])
        start = starts[0] if len(starts) == 1 else None
    else:
        return ""
    if start is None:
        return ""
    before = query[:start]
    return f" (line {before.count(chr(10)) + 1}, column {start - before.rfind(chr(10))})"


def _occurrences(query: str, token: str) -> list[int]:
    """Where the token stands, by itself and not as a part of a longer name."""
    left = r"(?<![\w$])" if re.match(r"[\w$]", token) else ""
    right = r"(?![\w$])" if re.search(r"[\w$]$", token) else ""
    return [match.start() for match in re.finditer(left + re.escape(token) + right, query)]


def _of_syntax_error(query: str, token: str, message: str) -> int | None:
    """The first occurrence at which the parser gives up, with nothing after it.

    SQLite's parser stops at the first token that can't follow those before it, so what comes later doesn't matter. An
    empty database is enough: tables are looked up later.
    """
    starts = _occurrences(query, token)
    if len(starts) > MOST_TRIES:
        return None
    connection = sqlite3.connect(":memory:")
    try:
        for start in starts:
            try:
                connection.execute("EXPLAIN " + query[: start + len(token)])
            except (sqlite3.Error, sqlite3.Warning) as error:
                if str(error) == message:
                    return start
        return None
    finally:
        connection.close()
