"""Every frame comes back as it was: columns of every type, any labels, through both styles of metadata."""

import json
import math
import string

import numpy as np
import pandas as pd
import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamos.dataframe import dataframe_to_protobuf, protobuf_to_dataframe

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
TOKENS = st.sampled_from(["None", "nan", "<NA>", "NaT", "", "True", "1", "0.5", "inf", " ", "\x00", "1e5"])
TEXT = UNICODE | TOKENS


def through(frame: pd.DataFrame, style: str) -> pd.DataFrame:
    """The frame after a journey: serialised, its metadata as one of the two kinds of services send it."""
    sent, metadata = dataframe_to_protobuf(frame)
    data = Struct.FromString(sent.SerializeToString())
    if style == "apart":
        return protobuf_to_dataframe(data, {"services": "[]", "dataframe_metadata": json.dumps(metadata)})
    if style == "loaded":
        return protobuf_to_dataframe(data, json.loads(json.dumps(metadata)))
    shuffled = dict(sorted(metadata.items(), key=lambda item: hash(item)))  # a map has no order
    return protobuf_to_dataframe(data, {"services": '["a"]', **shuffled})


def numbers(dtype: str) -> st.SearchStrategy[pd.Series]:
    info = np.iinfo(dtype)
    return st.lists(st.integers(int(info.min), int(info.max)), max_size=8).map(lambda v: pd.Series(v, dtype=dtype))


def series(values: st.SearchStrategy, dtype: object) -> st.SearchStrategy[pd.Series]:
    return st.lists(values, max_size=8).map(lambda v: pd.Series(v, dtype=dtype))


def or_missing(values: st.SearchStrategy, *missing: object) -> st.SearchStrategy:
    return values | st.sampled_from(missing)


def times(unit: str, zone: str | None) -> st.SearchStrategy[pd.Series]:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    seconds = st.integers(-2_200_000_000, 7_000_000_000)  # 1900 to 2191
    ticks = st.builds(lambda s, part: s * per_second + part, seconds, st.integers(0, per_second - 1))

    def make(values: list[int | None]) -> pd.Series:
        filled = np.array(["NaT" if v is None else v for v in values], dtype=f"datetime64[{unit}]")
        made = pd.Series(filled)
        return made.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else made

    return st.lists(ticks | st.none(), max_size=8).map(make)


def categorical(categories: st.SearchStrategy, dtype: object = None) -> st.SearchStrategy[pd.Series]:
    @st.composite
    def draw_series(draw: st.DrawFn) -> pd.Series:
        known = draw(st.lists(categories, max_size=5, unique=True))
        codes = draw(st.lists(st.integers(-1, len(known) - 1), max_size=8))
        index = pd.Index(known, dtype=dtype)
        return pd.Series(pd.Categorical.from_codes(codes, index, ordered=draw(st.booleans())))

    return draw_series()


COLUMNS: dict[str, st.SearchStrategy[pd.Series]] = {
    **{dtype: numbers(dtype) for dtype in ("int8", "int32", "int64", "uint8", "uint64")},
    "float64": series(st.floats(), "float64"),
    "float32": series(st.floats(width=32), "float32"),
    "complex128": series(st.complex_numbers(allow_nan=False), "complex128"),
    "bool": series(st.booleans(), "bool"),
    "Int64": series(or_missing(st.integers(-(2**63), 2**63 - 1), pd.NA), "Int64"),
    "UInt8": series(or_missing(st.integers(0, 255), pd.NA), "UInt8"),
    "Float64": series(or_missing(st.floats(allow_nan=False), pd.NA), "Float64"),
    "boolean": series(or_missing(st.booleans(), pd.NA), "boolean"),
    "string": series(or_missing(TEXT, pd.NA), "string"),
    "str": series(or_missing(TEXT, math.nan), "str"),
    "object of text": series(or_missing(TEXT, None), object),
    "object of text and NaN": series(or_missing(TEXT, math.nan), object),
    "object of int": series(or_missing(st.integers(), None), object),
    "object of float": series(or_missing(st.floats(), None), object),
    "object of bool": series(or_missing(st.booleans(), None, pd.NA), object),
    "object of nothing": series(st.sampled_from([None, math.nan, pd.NA, pd.NaT]), object),
    **{f"datetime64[{unit}]": times(unit, None) for unit in ("s", "ms", "us", "ns")},
    **{f"{zone} {unit}": times(unit, zone) for zone in ("UTC", "Europe/Amsterdam") for unit in ("s", "us", "ns")},
    "timedelta64[ns]": series(st.integers(-(2**62), 2**62), "int64").map(lambda s: s.astype("timedelta64[ns]")),
    "period": series(st.integers(-2000, 9000).map(lambda n: pd.Period(ordinal=n, freq="M")), "period[M]"),
    "category of text": categorical(TEXT, object),
    "category of str": categorical(TEXT, "str"),
    "category of int": categorical(st.integers(-(2**63), 2**63 - 1), "int64"),
    "category of float": categorical(st.floats(allow_nan=False), "float64"),
}  # fmt: skip

LABELS = (
    TEXT
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.tuples(st.text(string.ascii_letters, max_size=2), st.integers(0, 3))
    | st.sampled_from(["error", "services", "dataframe_metadata", "dataframe_schema"])
)


def same(value: object, other: object) -> bool:
    """Equal, of the same type, and missing in the same way."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(same, value, other))
    missing = value is None or value is pd.NA or value is pd.NaT
    return value is other if missing else type(value) is type(other) and (value == other or value != value)


@pytest.mark.parametrize("kind", COLUMNS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_column_of_every_type_comes_back(kind: str, data: st.DataObject) -> None:
    column = data.draw(COLUMNS[kind])
    frame = pd.DataFrame({"x": column})
    for style in ("flat", "apart", "loaded"):
        back = through(frame, style)
        pd.testing.assert_frame_equal(back, frame, check_exact=True)
        assert all(map(same, back["x"].tolist(), column.tolist())), (back["x"].tolist(), column.tolist())


@given(st.lists(LABELS, min_size=1, max_size=6), st.sampled_from(["flat", "apart", "loaded"]))
@settings(max_examples=100, deadline=None)
def test_any_labels_come_back_in_their_order(labels: list[object], style: str) -> None:
    frame = pd.DataFrame([range(len(labels))] * 2)
    frame.columns = pd.Index(labels, dtype=object, tupleize_cols=False)
    back = through(frame, style)
    assert back.shape == frame.shape
    assert all(map(same, back.columns, pd.Index(labels, tupleize_cols=False))), (list(back.columns), labels)
    assert back.to_numpy().tolist() == frame.to_numpy().tolist()


@given(st.lists(st.sampled_from(sorted(COLUMNS)), max_size=5), st.integers(0, 4), st.data())
@settings(max_examples=40, deadline=None)
def test_columns_of_different_types_side_by_side(kinds: list[str], rows: int, data: st.DataObject) -> None:
    columns = [data.draw(COLUMNS[kind].filter(lambda s: len(s) >= rows)).iloc[:rows] for kind in kinds]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    frame.columns = [f"{len(kinds) - i}{kind}" for i, kind in enumerate(kinds)]
    pd.testing.assert_frame_equal(through(frame, "flat"), frame, check_exact=True, check_column_type=False)
    pd.testing.assert_frame_equal(through(frame, "apart"), frame, check_exact=True, check_column_type=False)


@pytest.mark.parametrize("style", ["flat", "apart", "loaded"])
def test_several_levels_of_labels_and_their_names(style: str) -> None:
    frame = pd.DataFrame([[1, 2, 3]])
    frame.columns = pd.MultiIndex.from_tuples([("b", 1), ("a", 1), ("b", 2)], names=["kind", None])
    pd.testing.assert_frame_equal(through(frame, style), frame)
    table = pd.DataFrame({"k": ["x", "y"], "v": [1, 2]}).assign(i=0).pivot_table(index="i", columns="k", values="v")
    pd.testing.assert_frame_equal(through(table, style), table.reset_index(drop=True))


@given(st.lists(st.sampled_from([None, math.nan, pd.NA, "None", "nan", "a"]), max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_value_becomes_missing_and_no_missing_a_value(values: list[object]) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    back = through(frame, "flat")["x"].tolist()
    assert [pd.isna(value) for value in back] == [pd.isna(value) for value in values]
    assert [v for v in back if isinstance(v, str)] == [v for v in values if isinstance(v, str)]


@given(series(TEXT, object) | series(st.floats(), "float64") | numbers("int64") | series(st.booleans(), bool))
@settings(max_examples=100, deadline=None)
def test_what_is_inferred_loses_nothing(column: pd.Series) -> None:
    data, _ = dataframe_to_protobuf(pd.DataFrame({"x": column}))
    again, _ = dataframe_to_protobuf(protobuf_to_dataframe(data))
    texts = [value.string_value for value in data.fields["x"].list_value.values]
    back = [value.string_value for value in again.fields["x"].list_value.values]
    assert [float(t) if t != b else t for t, b in zip(texts, back, strict=True)] == [
        float(b) if t != b else b for t, b in zip(texts, back, strict=True)
    ]
