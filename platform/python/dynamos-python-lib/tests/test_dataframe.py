"""Tables as messages carry them, and the metadata that goes with them."""

import json

import pandas as pd
import pytest
from google.protobuf.struct_pb2 import Struct

from dynamos.dataframe import dataframe_to_protobuf, protobuf_to_dataframe, unique_names
from dynamos.service_metadata import register_service_on_metadata


def test_a_frame_comes_back_as_it_was():
    frame = pd.DataFrame(
        {
            "whole": [1, -2, 2**62],
            "decimal": [0.1, 1e300, -0.0],
            "yes": [True, False, True],
            "text": ["a", "é", ""],
        }
    )
    data, types = dataframe_to_protobuf(frame)
    back = protobuf_to_dataframe(data, types)
    pd.testing.assert_frame_equal(back[list(frame.columns)], frame, check_dtype=False)
    assert [back[column].dtype.kind for column in ("whole", "decimal", "yes")] == ["i", "f", "b"]


def test_a_column_is_a_list_of_strings_and_a_type():
    data, types = dataframe_to_protobuf(pd.DataFrame({"a": [1, 2], "b": [0.5, None]}))
    assert [value.string_value for value in data.fields["a"].list_value.values] == ["1", "2"]
    assert [value.string_value for value in data.fields["b"].list_value.values] == ["0.5", "nan"]
    assert types == {"a": "int64", "b": "float64"}


def test_without_types_everything_is_text():
    data, _ = dataframe_to_protobuf(pd.DataFrame({"a": [1, 2]}))
    assert list(protobuf_to_dataframe(data)["a"]) == ["1", "2"]


def test_a_text_that_its_type_cannot_be_is_refused():
    data = Struct()
    data["a"] = ["1", "None"]
    with pytest.raises(ValueError, match="None"):
        protobuf_to_dataframe(data, {"a": "int64"})


def test_a_frame_without_rows_keeps_its_columns():
    data, types = dataframe_to_protobuf(pd.DataFrame({"a": pd.Series([], dtype="int64")}))
    assert list(protobuf_to_dataframe(data, types).columns) == ["a"]


def test_columns_of_one_name_are_all_kept():
    data, types = dataframe_to_protobuf(pd.DataFrame([[1, "x", 2]], columns=["id", "name", "id"]))
    assert {name: list(column) for name, column in data.items()} == {"id": ["1"], "name": ["x"], "id.1": ["2"]}
    assert set(types) == {"id", "name", "id.1"}


def test_a_column_called_error_does_not_look_like_a_failure():
    data, types = dataframe_to_protobuf(pd.DataFrame({"error": ["none"], "a": [1]}))
    assert "error" not in types
    assert list(protobuf_to_dataframe(data, types)["error"]) == ["none"]


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


def test_services_are_listed_in_their_order():
    metadata = register_service_on_metadata({"a": "int64"}, "first")
    metadata = register_service_on_metadata(metadata, "second")
    assert json.loads(metadata["services"]) == ["first", "second"]
    assert metadata["a"] == "int64"


@pytest.mark.parametrize("broken", ["{", '"text"', "{}"])
def test_a_list_of_services_that_is_none_is_refused(broken):
    with pytest.raises(ValueError, match="services"):
        register_service_on_metadata({"services": broken}, "a")
