import numpy as np
import pandas as pd
import pytest

from synthesize import synthesize

SIZE = np.arange(10.0, 210.0)
FRAME = pd.DataFrame(
    {
        "building_id": [f"b{number}" for number in range(200)],
        "primary_use": ["Office"] * 150 + ["Education"] * 50,
        "square_meters": SIZE.astype(int),
        "consumption": SIZE * 100 + np.tile([0.0, 50.0], 100),
    }
)


def test_rows_are_new_and_like_the_others():
    made = synthesize(FRAME, rows=100, seed=1)
    assert made.columns.tolist() == FRAME.columns.tolist()
    assert made.dtypes.tolist() == FRAME.dtypes.tolist()
    assert len(made) == 100
    assert not set(made["building_id"]) & set(FRAME["building_id"])
    assert made["square_meters"].between(10, 209).all()
    assert made["square_meters"].corr(made["consumption"]) > 0.8
    assert 55 <= (made["primary_use"] == "Office").sum() <= 90
    assert set(made["primary_use"]) == {"Office", "Education"}


def test_a_seed_makes_it_repeatable():
    pd.testing.assert_frame_equal(synthesize(FRAME, seed=7), synthesize(FRAME, seed=7))
    assert not synthesize(FRAME, seed=7).equals(synthesize(FRAME, seed=8))


def test_a_column_with_one_value_keeps_it():
    made = synthesize(FRAME.assign(year=2020, place="Amsterdam"), rows=10, seed=1)
    assert set(made["year"]) == {2020}
    assert set(made["place"]) == {"Amsterdam"}


def test_one_row_says_nothing():
    with pytest.raises(ValueError, match="1 rows"):
        synthesize(FRAME.head(1))
