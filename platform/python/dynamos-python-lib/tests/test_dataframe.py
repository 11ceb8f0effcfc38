"""Tables as messages carry them, what other writers and readers make of them, and the metadata that goes with them."""

import json
import math

import pandas as pd
import pytest
from google.protobuf.struct_pb2 import Struct

from dynamos import errors
from dynamos.dataframe import dataframe_to_protobuf, protobuf_to_dataframe, unique_names
from dynamos.errors import ChainError, MessageTooLarge
from dynamos.frame_inference import infer_type
from dynamos.service_metadata import register_service_on_metadata

FRAME = pd.DataFrame(
    {
        "id": [1, -2, 2**62],
        "part": [0.1, math.nan, -math.inf],
        "yes": [True, False, True],
        "name": pd.Series(["a", "é", "None"], dtype=object),
        "when": pd.to_datetime(["2024-01-31 10:00", "2024-02-01 00:00", None]).as_unit("us"),
    }
)
TEXTS = {
    "id": ["1", "-2", "4611686018427387904"],
    "part": ["0.1", "nan", "-inf"],
    "yes": ["True", "False", "True"],
    "name": ["a", "é", "None"],
    "when": ["2024-01-31 10:00:00", "2024-02-01 00:00:00", "NaT"],
}
TYPES = {"id": "int64", "part": "float64", "yes": "bool", "name": "object", "when": "datetime64[us]"}


def struct(**columns: list[object]) -> Struct:
    data = Struct()
    for name, values in columns.items():
        data[name] = values
    return data


def texts(data: Struct) -> dict[str, list[object]]:
    return {name: list(column) for name, column in data.items()}


def read_as_upstream(data: Struct, types: dict[str, str]) -> dict[str, list[object]]:
    """What upstream's services read: text, unless the type begins with int or float, or is bool."""
    readers = {"int": int, "float": float, "bool": lambda text: text.lower() in ("true", "1")}
    out = {}
    for name, column in data.fields.items():
        kind = types.get(name, "object")
        read = next((r for k, r in readers.items() if (kind == k if k == "bool" else kind.startswith(k))), str)
        out[name] = [read(value.string_value) for value in column.list_value.values]
    return out


def test_a_column_is_a_list_of_strings_and_a_type():
    data, metadata = dataframe_to_protobuf(FRAME)
    assert texts(data) == TEXTS
    assert all(v.WhichOneof("kind") == "string_value" for c in data.fields.values() for v in c.list_value.values)
    assert {name: metadata[name] for name in TYPES} == TYPES
    assert json.loads(metadata["dataframe_schema"]) == {"columns": list(TYPES)}
    assert set(metadata) == {*TYPES, "dataframe_schema"}


def test_the_bytes_are_those_that_any_service_writes():
    data, metadata = dataframe_to_protobuf(pd.DataFrame({"a": [7, 42]}))
    # Field 1 of the Struct: key "a", value: list_value (6) of values (1) with a string_value (3).
    assert data.SerializeToString().hex(" ") == "0a 12 0a 01 61 12 0d 32 0b 0a 03 1a 01 37 0a 04 1a 02 34 32"
    assert metadata == {"a": "int64"}


@pytest.mark.parametrize(
    "metadata",
    [
        TYPES,
        {"dataframe_metadata": json.dumps(TYPES), "services": '["ml-merge-datasets"]'},
        {"dataframe_metadata": json.dumps(TYPES), "id": "object", "gone": "int64"},  # an older service wrote the rest
    ],
)
def test_what_an_upstream_service_wrote_is_read(metadata):
    back = protobuf_to_dataframe(struct(**TEXTS), metadata)
    pd.testing.assert_frame_equal(back[list(FRAME)], FRAME)
    assert list(back.columns) == (list(TYPES) if "dataframe_metadata" in metadata else sorted(TYPES))


@pytest.mark.parametrize(
    ("column", "read"),
    [
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series([1.5, math.inf]), [1.5, math.inf]),
        (pd.Series([True, False]), [True, False]),
        (pd.Series([2**63, 1], dtype="uint64"), ["9223372036854775808", "1"]),
        (pd.Series([1, None], dtype="Int64"), ["1", "<NA>"]),
        (pd.Series(["a", None], dtype=object), ["a", "None"]),
        (pd.Series(["a", math.nan], dtype="str"), ["a", "nan"]),
        (pd.Series(["None", None], dtype=object), ["None", ""]),  # the one case in which a null is sent
        (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
        (pd.Series(pd.interval_range(0, 2)), ["(0, 1]", "(1, 2]"]),  # "interval" begins like an int
        (pd.Series(pd.to_datetime(["2024-01-31"], utc=True)), ["2024-01-31 00:00:00+00:00"]),
        (pd.Series([1, 0], dtype="Sparse[int]"), [1, 0]),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_what_is_written_an_upstream_service_reads(column, read, apart):
    data, metadata = dataframe_to_protobuf(pd.DataFrame({"x": column, 7: [1] * len(column)}))
    types = json.loads(json.dumps(metadata)) if apart else metadata
    assert read_as_upstream(data, types) == {"x": read, "7": [1] * len(column)}


def test_a_service_in_between_may_rewrite_columns_and_types_and_leave_the_schema():
    frame = pd.DataFrame({"b": pd.Series(["x", None], dtype="category"), "a": [1, 2], "old": [0, 0]})
    data, metadata = dataframe_to_protobuf(frame)
    data["b"], data["c"] = ["1", "nan"], ["p", "q"]
    del data["old"]
    metadata.update(b="float64", c="object")
    back = protobuf_to_dataframe(data, metadata)
    assert list(back.columns) == ["b", "a", "c"]
    assert back["b"].tolist()[:1] == [1.0]
    assert back["b"].dtype == "float64"


def test_rows_of_another_provider_may_follow():
    frame = pd.DataFrame({"size": pd.Series(["S", None], dtype="category"), "n": pd.Series([1, None], dtype=object)})
    data, metadata = dataframe_to_protobuf(frame)
    for name, more in (("size", "XL"), ("n", "3")):
        data.fields[name].list_value.values.add(string_value=more)
    back = protobuf_to_dataframe(data, metadata)
    assert back["n"].tolist() == [1, None, 3]
    assert back["size"].tolist()[::2] == ["S", "XL"]
    assert list(back["size"].cat.categories) == ["S", "XL"]


def test_a_category_that_an_order_does_not_have_is_refused():
    data, metadata = dataframe_to_protobuf(pd.DataFrame({"s": pd.Categorical(["S"], ["S", "L"], ordered=True)}))
    data["s"] = ["S", "M"]
    with pytest.raises(ValueError, match=r"column 's'.*'M' is none of its ordered categories"):
        protobuf_to_dataframe(data, metadata)


def test_mixed_objects_come_back_as_text_and_keep_what_is_missing():
    frame = pd.DataFrame({"x": pd.Series([1, "1", None, [2]], dtype=object)})
    assert protobuf_to_dataframe(*dataframe_to_protobuf(frame))["x"].tolist() == ["1", "1", None, "[2]"]


@pytest.mark.parametrize(
    ("column", "inferred"),
    [
        (["1", "-2", "0"], "int64"),
        ([str(2**63 - 1), str(-(2**63))], "int64"),
        ([str(2**63)], None),
        (["0.1", "1e-07", "nan", "inf", "-0.0"], "float64"),
        (["1", "2.5"], "float64"),
        ([str(2**53 + 1), "2.5"], None),
        (["True", "False"], "bool"),
        (["true"], None),
        (["True", "1"], None),
        (["007"], None),
        (["+1"], None),
        (["1_000"], None),
        (["1 "], None),
        (["\u0661"], None),
        (["1.50"], None),
        (["1", "None"], None),
        (["1", ""], None),
        (["1", None], None),
        (["2024-01-31"], None),
        (["9" * 5000], None),
        ([], None),
    ],
)
def test_without_types_only_what_loses_nothing_is_inferred(column, inferred):
    assert infer_type(column) == inferred
    read = protobuf_to_dataframe(struct(x=column))["x"]
    text = pd.Series(["a"]).dtype if column else "object"  # depends on the version of pandas
    assert read.dtype == (inferred or text)
    if inferred is None:
        assert [None if pd.isna(value) else value for value in read] == column


def test_a_column_without_a_type_is_inferred_beside_one_that_has_one():
    back = protobuf_to_dataframe(struct(a=["1"], b=["1"], services=["1"]), {"a": "object", "services": '["s"]'})
    assert back.iloc[0].tolist() == ["1", 1, 1]


@pytest.mark.parametrize(
    ("kind", "bad"),
    [("int64", "None"), ("int8", "300"), ("float64", ""), ("Int64", "x"), ("datetime64[ns]", "soon"), ("UInt8", "-1"),
     ("datetime64[ns, UTC]", "soon"), ("timedelta64[ns]", "soon"), ("period[M]", "soon"), ("datetime64[ns, Mars]", "")],
)  # fmt: skip
def test_a_text_that_its_type_cannot_be_is_refused_with_the_columns_name(kind, bad):
    with pytest.raises(ValueError, match=r"column 'a' of type"):
        protobuf_to_dataframe(struct(a=["1", bad]), {"a": kind})


def test_a_row_that_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"row 1 \(from 0\) is 'x'"):
        protobuf_to_dataframe(struct(a=["1", "x"]), {"a": "int64"})


def test_a_type_that_is_unknown_is_text():
    assert protobuf_to_dataframe(struct(a=["(0, 1]"]), {"a": "interval"})["a"].tolist() == ["(0, 1]"]


def test_numbers_and_booleans_of_another_writer_are_read():
    data = struct(a=[1, 2.5, "3"], b=[True, False, True], c=["x", None, ""])
    back = protobuf_to_dataframe(data)
    assert back["a"].tolist() == [1, 2.5, 3]
    assert back["b"].tolist() == [True, False, True]
    assert [None if pd.isna(value) else value for value in back["c"]] == ["x", None, ""]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct(a=["1"], b=["1", "2"]), "'b' has 2 rows, column 'a' has 1"),
        (struct(a="1"), "'a' is no list"),
        (struct(a=[["1"]]), "'a' holds a list_value"),
    ],
)
def test_data_that_is_no_table_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        protobuf_to_dataframe(data)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"dataframe_metadata": "{"}, "dataframe_metadata.* is not JSON"),
        ({"dataframe_metadata": '{"a": 1}'}, "a type that is no text"),
        ({"dataframe_schema": "{"}, "dataframe_schema.* is not JSON"),
        ({"dataframe_schema": '{"columns": [1]}'}, "dataframe_schema.* can't be read"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(metadata, words):
    with pytest.raises(ValueError, match=words):
        protobuf_to_dataframe(struct(a=["1"]), metadata)


@pytest.mark.parametrize("style", ["message", "column"])
def test_columns_called_like_keys_of_the_metadata_are_columns(style):
    names = ["error", "services", "dataframe_metadata", "dataframe_schema"]
    data, metadata = dataframe_to_protobuf(pd.DataFrame({name: [1] for name in names}))
    assert set(metadata) == {"dataframe_schema"}  # a table with a column error didn't fail
    if style == "message":
        metadata = {"services": '["a"]', **metadata}
    back = protobuf_to_dataframe(data, metadata)
    assert list(back.columns) == names
    assert set(back.dtypes) == {back["error"].dtype} == {pd.Series([1]).dtype}


def test_a_column_called_like_the_metadata_of_others_has_their_type():
    types = {"dataframe_metadata": "object", "a": "int64"}  # upstream's of one table, loaded from JSON
    assert protobuf_to_dataframe(struct(dataframe_metadata=["x"], a=["1"]), types).iloc[0].tolist() == [1, "x"]


@pytest.mark.parametrize("dtype", ["object", "category"])
def test_a_lone_surrogate_is_named_with_its_place(dtype):
    column = pd.Series(["ok", "a\ud800"], dtype=object)
    if dtype == "category":
        column = pd.Series(pd.Categorical.from_codes([0, 1], pd.Index(column)))
    with pytest.raises(ValueError, match=r"column 'x', row 1 \(from 0\): 'a\\ud800' has a lone surrogate"):
        dataframe_to_protobuf(pd.DataFrame({"x": column}))
    with pytest.raises(ValueError, match="its name has a lone surrogate"):
        dataframe_to_protobuf(pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)))


def test_a_table_too_large_for_a_message_names_its_size_and_the_limit(monkeypatch):
    monkeypatch.setattr(errors, "MESSAGE_LIMIT", 1 << 20)
    frame = pd.DataFrame({name: ["x" * 1000] * 700 for name in "abc"})
    with pytest.raises(MessageTooLarge) as refused:
        dataframe_to_protobuf(frame)
    assert isinstance(refused.value, ChainError)
    assert str(refused.value) == (
        "the table of 700 rows, after 2 of 3 columns, is too large: 1.3 MiB, and at most 1 MiB can be sent; "
        "select fewer rows or columns"
    )


@pytest.mark.parametrize("dtype", ["int64", "float64", "bool", "object", "str", "datetime64[us]", "category", "Int64"])
def test_a_frame_without_rows_keeps_its_columns_and_types(dtype):
    frame = pd.DataFrame({"b": pd.Series([], dtype=dtype), "a": pd.Series([], dtype="int64")})
    pd.testing.assert_frame_equal(protobuf_to_dataframe(*dataframe_to_protobuf(frame)), frame)


def test_a_frame_without_columns():
    data, metadata = dataframe_to_protobuf(pd.DataFrame())
    assert metadata == {}
    assert protobuf_to_dataframe(data, metadata).shape == (0, 0)


def test_columns_of_one_name_are_all_kept():
    frame = pd.DataFrame([[1, "x", 2]], columns=["id", "name", "id"])
    data, metadata = dataframe_to_protobuf(frame)
    assert texts(data) == {"id": ["1"], "name": ["x"], "id.1": ["2"]}
    assert metadata["id.1"] == "int64"
    pd.testing.assert_frame_equal(protobuf_to_dataframe(data, metadata), frame)


def test_the_index_is_not_sent():
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=[5, 6, 7])
    assert protobuf_to_dataframe(*dataframe_to_protobuf(frame[frame["a"] > 1])).index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a.1", "a.2"]),
        (["a", "a", "a.1"], ["a", "a.2", "a.1"]),
        (["a.1", "a", "a"], ["a.1", "a", "a.2"]),
        (["", ""], ["", ".1"]),
    ],
)
def test_names_are_made_unique_without_taking_another_columns_name(names, unique):
    assert unique_names(names) == unique


def test_services_are_listed_in_their_order_in_the_same_metadata():
    metadata = {"a": "int64"}
    assert register_service_on_metadata(metadata, "first") is metadata
    register_service_on_metadata(metadata, "second")
    assert json.loads(metadata["services"]) == ["first", "second"]
    assert metadata["a"] == "int64"


@pytest.mark.parametrize("broken", ["{", '"text"', "{}", ""])
def test_a_list_of_services_that_is_none_is_refused(broken):
    with pytest.raises(ValueError, match="services"):
        register_service_on_metadata({"services": broken}, "a")
