import pandas as pd
import pytest

from anonymize import anonymize

FRAME = pd.DataFrame({"building_id": [7, 8, 7], "floors": [1, 2, 1]})


def test_the_same_number_has_the_same_pseudonym_and_the_rest_stays():
    first, second, third = (made := anonymize(FRAME))["building_id"]
    assert first == third != second
    assert made["floors"].tolist() == [1, 2, 1]
    assert list(made.columns) == list(FRAME.columns)


def test_pseudonyms_of_two_tables_have_nothing_in_common():
    assert not set(anonymize(FRAME)["building_id"]) & set(anonymize(FRAME)["building_id"])


def test_a_table_without_the_column_is_refused():
    with pytest.raises(ValueError, match="building_id"):
        anonymize(FRAME.drop(columns="building_id"))
