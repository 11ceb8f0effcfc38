import numpy as np
import pandas as pd

from privacy import privatize

FRAME = pd.DataFrame(
    {
        "building_id": range(2000),
        "primary_use": "Office",
        "new": True,
        "floors": 5,
        "consumption": np.linspace(0, 1000, 2000),
    }
)


def test_numbers_have_laplace_noise_and_nothing_else_has():
    noise = privatize(FRAME)["consumption"] - FRAME["consumption"]
    assert (noise != 0).all()
    # Of the Laplace distribution with scale 1 / epsilon: mean 0, mean of its absolute value 1. Ten standard errors.
    assert abs(noise.mean()) < 0.32
    assert abs(noise.abs().mean() - 1) < 0.23


def test_everything_else_stays():
    made = privatize(FRAME)
    assert made.columns.tolist() == FRAME.columns.tolist()
    same = ["building_id", "primary_use", "new"]
    pd.testing.assert_frame_equal(made[same], FRAME[same])
    assert made["floors"].dtype == float
    assert made["floors"].nunique() > 1000


def test_noise_is_never_the_same():
    assert not privatize(FRAME).equals(privatize(FRAME))
