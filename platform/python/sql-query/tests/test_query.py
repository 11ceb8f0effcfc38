"""What can be asked of a party's tables, and what can't."""

from pathlib import Path

import pytest

from dynamos.dataframe import protobuf_to_dataframe
from query import Limits, QueryError, run
from tables import DatasetError, Tables

LIMITS = Limits(seconds=5, values=100_000)

PEOPLE = "id;name;score;note\n1;Ann;1.5;\n2;Bob;;x\n3;Čeněk;-2;1_000\n"
JOBS = "id;title;since\n1;nurse;20200101\n1;cook;20210101\n3;smith;00012\n"


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    (tmp_path / "People_UVA.csv").write_text(PEOPLE, encoding="utf-8")
    (tmp_path / "Jobs_UVA.csv").write_text(JOBS)
    (tmp_path / "Secret_VU.csv").write_text("a\n1\n")
    (tmp_path / "notes.txt").write_text("a\n1\n")
    return Tables(tmp_path, "UVA")


def rows(query: str, tables: Tables) -> list[tuple[object, ...]]:
    return list(zip(*run(query, tables, LIMITS).columns, strict=True))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT name FROM People WHERE id = 2", [("Bob",)]),
        ("select NAME from people where ID = 2", [("Bob",)]),
        ("SELECT p.name, j.title FROM People p JOIN Jobs j ON p.id = j.id WHERE p.id = 3", [("Čeněk", "smith")]),
        ("SELECT count(*) FROM People p JOIN Jobs j", [(9,)]),
        ("SELECT count(*) FROM People, Jobs", [(9,)]),
        ("SELECT count(*) FROM People p join Jobs j LIMIT 1000", [(9,)]),
        ("SELECT max(score), min(score), typeof(max(score)) FROM People", [(1.5, -2.0, "real")]),
        ("SELECT id FROM People WHERE score IS NULL", [(2,)]),
        ("SELECT name FROM People WHERE id IN (SELECT id FROM Jobs WHERE since > 20200601)", [("Ann",)]),
        ("WITH old AS (SELECT * FROM Jobs) SELECT title FROM old ORDER BY title LIMIT 1", [("cook",)]),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3) SELECT group_concat(i) FROM n",
            [("1,2,3",)],
        ),
        ('SELECT "name" FROM "People" WHERE "id" = 1 -- done', [("Ann",)]),
        ("SELECT name FROM main.People WHERE id = 1;", [("Ann",)]),
        ("SELECT since FROM Jobs WHERE title = 'smith'", [(12,)]),
        ("SELECT note FROM People ORDER BY id", [(None,), ("x",), ("1_000",)]),
        ("SELECT rowid FROM People WHERE name = 'Bob'", [(2,)]),
        ("SELECT 1 FROM Jobs", [(1,), (1,), (1,)]),
    ],
)
def test_sqlites_dialect_is_understood(query, expected, tables):
    assert rows(query, tables) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC * FROM People", 'near "SELEC": syntax error'),
        ("SELECT wages FROM People", "no such column: wages"),
        ("SELECT * FROM Pets", r"no such table: Pets \(tables here: Jobs, People\)"),
        ("SELECT * FROM Secret", "no such table: Secret"),
        ('SELECT * FROM "../notes"', "no such table"),
        ("SELECT * FROM People; DELETE FROM People", "one statement"),
        ("", "empty"),
        ("  \n", "empty"),
        ("-- nothing", "incomplete input"),
        ("DELETE FROM People", "only reading is allowed, not DELETE"),
        ("INSERT INTO People VALUES (1,2,3,4)", "only reading is allowed, not INSERT"),
        ("UPDATE People SET id = 1", "only reading is allowed, not UPDATE"),
        ("DROP TABLE People", "only reading is allowed, not DELETE"),
        ("CREATE TABLE t (a)", "only reading is allowed, not INSERT"),
        ("ATTACH '/etc/passwd' AS x", "only reading is allowed, not ATTACH"),
        ("PRAGMA hard_heap_limit=0", "only reading is allowed, not PRAGMA"),
        ("VACUUM INTO '/tmp/copy'", "VACUUM|allowed"),
        ("BEGIN", "only reading is allowed, not TRANSACTION"),
        ("SELECT * FROM sqlite_master", "reading sqlite_master is not allowed"),
        ("SELECT * FROM pragma_database_list", "only the datasets' tables can be read"),
        ("SELECT load_extension('x') FROM People", "load_extension is not allowed"),
        ("SELECT 'a\0b'", "null character"),
    ],
)
def test_anything_else_is_refused_with_a_reason(query, words, tables):
    with pytest.raises(QueryError, match=words):
        run(query, tables, LIMITS)


def test_a_query_has_so_much_time(tables):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        run(endless, tables, Limits(seconds=0.2, values=10))


def test_a_result_has_so_many_values(tables):
    query = "SELECT a.* FROM People a, People b, People c, People d, People e, People f, People g, People h"
    with pytest.raises(QueryError, match="more than 1,000 values"):
        run(query, tables, Limits(seconds=5, values=1000))


def test_memory_has_an_end(tables):
    with pytest.raises(QueryError, match=r"too big|MiB of memory"):
        run("SELECT length(zeroblob(2000000000) || zeroblob(2000000000))", tables, LIMITS)


def test_columns_have_the_types_that_pandas_would_give(tables):
    result = run("SELECT id, name, score, note, NULL AS none, id AS error FROM People", tables, LIMITS)
    data, types = result.to_protobuf()
    assert {name: list(column) for name, column in data.items()} == {
        "id": ["1", "2", "3"],
        "name": ["Ann", "Bob", "Čeněk"],
        "score": ["1.5", "nan", "-2.0"],
        "note": ["None", "x", "1_000"],
        "none": ["None", "None", "None"],
        "error": ["1", "2", "3"],
    }
    assert types.pop("dataframe_schema")
    assert types == {"id": "int64", "name": "object", "score": "float64", "note": "object", "none": "object"}


def test_a_service_in_python_reads_the_table_as_it_was_selected(tables):
    query = """SELECT name, id, score, CASE id WHEN 1 THEN NULL ELSE note END AS a, iif(id = 1, NULL, 'None') AS b
               FROM People ORDER BY id"""
    frame = protobuf_to_dataframe(*run(query, tables, LIMITS).to_protobuf())
    assert list(frame.columns) == ["name", "id", "score", "a", "b"]
    assert frame["name"].tolist() == ["Ann", "Bob", "Čeněk"]
    assert frame["score"].isna().tolist() == [False, True, False]
    assert frame["a"].tolist() == [None, "x", "1_000"]
    assert frame["b"].tolist() == [None, "None", "None"]


def test_a_join_keeps_both_columns_of_one_name(tables):
    result = run("SELECT * FROM People p JOIN Jobs j ON p.id = j.id", tables, LIMITS)
    assert result.names == ["id", "name", "score", "note", "id.1", "title", "since"]
    assert result.columns[0] == result.columns[4]


def test_no_rows_are_columns_without_values(tables):
    data, types = run("SELECT id, name FROM People WHERE 0", tables, LIMITS).to_protobuf()
    assert {name: list(column) for name, column in data.items()} == {"id": [], "name": []}
    assert set(types) == {"id", "name"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_any_line_end_is_read(tmp_path, end):
    (tmp_path / "T_UVA.csv").write_bytes(end.join(["a;b", "1;x", "2;y", ""]).encode())
    assert rows("SELECT * FROM T", Tables(tmp_path, "UVA")) == [(1, "x"), (2, "y")]


def test_quoted_values_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "T_UVA.csv").write_bytes('\ufeffa;b\n"1;2";"say ""hi"""\n'.encode())
    assert rows("SELECT a, b FROM T", Tables(tmp_path, "UVA")) == [("1;2", 'say "hi"')]


def test_a_whole_number_too_large_for_sqlite_is_a_decimal(tmp_path):
    (tmp_path / "T_UVA.csv").write_text(f"a\n{2**63}\n1\n")
    assert rows("SELECT a FROM T", Tables(tmp_path, "UVA")) == [(float(2**63),), (1.0,)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a;b\n1;2\n3\n", r"T_UVA\.csv:3: 1 values in a row, 2 in the header"),
        (b"", r"T_UVA\.csv:1: no header line"),
        (b"a\n\xff\n", r"T_UVA\.csv: .*utf-8"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, content, words):
    (tmp_path / "T_UVA.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        run("SELECT * FROM T", Tables(tmp_path, "UVA"), LIMITS)


def test_without_a_steward_there_are_no_tables(tmp_path):
    (tmp_path / "T_.csv").write_text("a\n1\n")
    assert Tables(tmp_path, "").names == []
