"""What can be asked of a party's tables, and what can't."""

from pathlib import Path

import pytest

from dynamos.dataframe import protobuf_to_dataframe
from dynamos.datasets import Dataset
from dynamos.sensitive import Sensitive
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
        ("SELECT name, title FROM People JOIN Jobs USING (id) WHERE since < 20200101", [("Čeněk", "smith")]),
        ("SELECT count(*) FROM People NATURAL JOIN Jobs", [(3,)]),
    ],
)
def test_sqlites_dialect_is_understood(query, expected, tables):
    assert rows(query, tables) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC * FROM People", r'^near "SELEC": syntax error \(line 1, column 1\)$'),
        ("SELECT name,\n  FROM People", r'^near "FROM": syntax error \(line 2, column 3\)$'),
        ("SELECT id FROM People WHERE WHERE id = 1", r'^near "WHERE": syntax error \(line 1, column 29\)$'),
        ("SELECT 'FROM' x y FROM People", r'^near "y": syntax error \(line 1, column 17\)$'),
        ("SELECT wages FROM People", r"^no such column: wages \(line 1, column 8\)$"),
        ("SELECT wages FROM People WHERE wages > 1", "^no such column: wages$"),
        ("SELECT name\nFROM People p, Jobs j\nWHERE id = 1", r"^ambiguous column name: id \(line 3, column 7\)$"),
        ("SELECT avarage(id) FROM People", r"^no such function: avarage \(line 1, column 8\)$"),
        ("SELECT 'x FROM People", r"^unrecognized token: \"'x FROM People\" \(line 1, column 8\)$"),
        ("SELECT * FROM Pets", r"^no such table: Pets \(line 1, column 15\) \(tables here: Jobs, People\)$"),
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
        ("VACUUM INTO '/tmp/copy'", "^(VACUUM|only reading is allowed)"),
        ("CREATE TEMP VIEW v AS SELECT 1", "only reading is allowed, not (INSERT|CREATE)"),
        ("WITH x AS (SELECT 1) DELETE FROM People", "only reading is allowed, not DELETE"),
        ("EXPLAIN SELECT * FROM People", "syntax error"),
        ("SELECT * FROM json_each('[1]')", "only the datasets' tables can be read"),
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


@pytest.mark.parametrize(
    "query",
    [
        "SELECT length(zeroblob(2000000000) || zeroblob(2000000000))",
        "WITH RECURSIVE n(t) AS (SELECT 'x' UNION ALL SELECT t || t FROM n) SELECT max(length(t)) FROM n",
        # each table twice the one before, compiled before the first instruction runs
        "WITH t0 AS (SELECT random() a)"
        + "".join(f", t{i} AS (SELECT a FROM t{i - 1} UNION ALL SELECT a FROM t{i - 1})" for i in range(1, 24))
        + " SELECT count(*) FROM t23",
    ],
)
def test_memory_has_an_end(query, tables):
    with pytest.raises(QueryError, match=r"too big|MiB of memory"):
        run(query, tables, LIMITS)


def test_a_result_has_so_many_bytes(tables):
    query = "SELECT hex(zeroblob(1000000)) FROM People a, People b, People c"
    with pytest.raises(QueryError, match="more than 8 MiB"):
        run(query, tables, Limits(seconds=5, values=1000, bytes=8 << 20))


def test_columns_of_using_are_loaded_and_no_others(tables):
    loaded = []
    tables.fill = lambda _connection, table, wanted: loaded.append((table, set(wanted)))
    run("SELECT title FROM People JOIN Jobs USING (id)", tables, LIMITS)
    assert loaded == [("People", {"id"}), ("Jobs", {"id", "title"})]


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


SCORES = {"People": ["score"]}
NEXT_TO_NOBODY = Sensitive(SCORES)
BEFORE_AN_ANONYMISER = Sensitive(SCORES, ["score"])


def test_what_is_not_sensitive_is_read_as_ever(tables):
    for query in ("SELECT name, note FROM People", "SELECT count(*) FROM People NATURAL JOIN Jobs"):
        assert run(query, tables, LIMITS, NEXT_TO_NOBODY).columns == run(query, tables, LIMITS).columns


@pytest.mark.parametrize(
    "query",
    [
        "SELECT score FROM People",
        "SELECT * FROM People",
        "SELECT SCORE AS id FROM people",
        "SELECT p.* FROM People p JOIN Jobs USING (id)",
        "SELECT name FROM People WHERE score > 1",
        "SELECT name FROM People ORDER BY score",
        "SELECT max(s) FROM (SELECT score AS s FROM People)",
        "SELECT title FROM Jobs WHERE EXISTS (SELECT 1 FROM People WHERE score = 1.5)",
        "SELECT name FROM People JOIN (SELECT 1.5 AS score) USING (score)",
        "SELECT name FROM People NATURAL JOIN (SELECT 1.5 AS score)",
    ],
)
def test_a_sensitive_column_is_not_read_without_an_anonymiser(query, tables):
    with pytest.raises(QueryError, match=r"^People\.score is sensitive, and no later service"):
        run(query, tables, LIMITS, NEXT_TO_NOBODY)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM People",
        "SELECT score, name FROM people ORDER BY name",
        "SELECT DISTINCT s.score FROM (SELECT * FROM People) s",
        "SELECT p.*, j.* FROM People p JOIN Jobs j ON p.id = j.id",
        "SELECT name FROM (SELECT * FROM People)",
    ],
)
def test_an_anonymiser_is_given_sensitive_columns_as_they_are(query, tables):
    assert run(query, tables, LIMITS, BEFORE_AN_ANONYMISER) == run(query, tables, LIMITS)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT score AS mark FROM People",
        "SELECT score, score FROM People",
        "SELECT -score AS score FROM People",
        "SELECT score || '' AS score FROM People",
        "SELECT name FROM People WHERE score > 1",
        "SELECT score FROM People WHERE score > 1",
        "SELECT name FROM People ORDER BY score",
        "SELECT count(score) FROM People",
        "SELECT iif(score > 1, name, '') AS name FROM People",
        "WITH t(name) AS (SELECT score FROM People) SELECT name FROM t",
        "SELECT name FROM People NATURAL JOIN (SELECT 1.5 AS score)",
        "SELECT name FROM People WHERE typeof(score) = 'real' OR score > 1000",
    ],
)
def test_an_anonymiser_is_not_passed_by(query, tables):
    with pytest.raises(QueryError, match=r"^People\.score: a sensitive column can only be selected"):
        run(query, tables, LIMITS, BEFORE_AN_ANONYMISER)


def test_an_anonymiser_of_other_columns_is_none(tables):
    with pytest.raises(QueryError, match=r"^People\.score is sensitive"):
        run("SELECT score FROM People", tables, LIMITS, Sensitive(SCORES, ["id"]))


def test_what_is_sensitive_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("DATASETS", raising=False)
    assert Sensitive.from_environment() == Sensitive({}, ())
    monkeypatch.setenv(
        "DATASETS", '[{"sensitive_columns": {"People": ["score"]}}, {"sensitive_columns": {"People": ["x"]}}]'
    )
    monkeypatch.setenv("ANONYMIZED_COLUMNS", '["score"]')
    assert Sensitive.from_environment() == Sensitive({"People": ["score", "x"]}, ("score",))
    assert Sensitive.from_environment().among("people", ["id", "SCORE"]) == ["SCORE"]
    for told in ("People.score", '{"People": 1}', "[1]"):
        monkeypatch.setenv("DATASETS", told)
        with pytest.raises(ValueError, match="DATASETS"):
            Sensitive.from_environment()


def test_a_data_set_says_what_separates_its_values(tmp_path):
    (tmp_path / "T_UVA.csv").write_text("a,b\n1,x;y\n")
    (tmp_path / "Other_UVA.csv").write_text("a;b\n1;x,y\n")
    tables = Tables(tmp_path, "UVA", [Dataset(delimiter=",", tables=["t"])])
    assert rows("SELECT * FROM T", tables) == [(1, "x;y")]
    assert rows("SELECT * FROM Other", tables) == [(1, "x,y")]
    with pytest.raises(DatasetError, match=r"T_UVA\.csv: .*delimiter"):
        run("SELECT * FROM T", Tables(tmp_path, "UVA", [Dataset(delimiter="::", tables=["T"])]), LIMITS)
