import numpy as np
import pandas as pd
import pytest

from training import train

RANDOM = np.random.default_rng(1)
AREA = RANDOM.uniform(100, 1000, 200)
USE = RANDOM.choice(["Office", "Laboratory"], 200)
FRAME = pd.DataFrame(
    {
        "building_id": [f"b{number}" for number in range(200)],
        "primary_use": USE,
        "square_meters": AREA,
        "consumption": AREA * np.where(USE == "Office", 100, 300),
    }
)


def test_each_fold_has_an_error_and_all_have_a_mean():
    result = train(FRAME)
    assert result.columns.tolist() == ["mse_scores", "avg_mse", "avg_rmse"]
    assert len(result) == 5
    assert result["avg_mse"].tolist() == pytest.approx([result["mse_scores"].mean()] * 5)
    assert result["avg_rmse"].tolist() == pytest.approx(np.sqrt(result["avg_mse"]))
    assert result["avg_rmse"][0] < FRAME["consumption"].std() / 5


def test_the_use_of_a_building_is_learned():
    assert train(FRAME)["avg_mse"][0] < train(FRAME.drop(columns="primary_use"))["avg_mse"][0] / 4


def test_uses_have_any_name_and_features_may_be_missing():
    odd = FRAME.assign(primary_use=FRAME["primary_use"] + " [<5]", floors=pd.array([1, None] * 100, dtype="Int64"))
    assert train(odd)["avg_rmse"][0] == pytest.approx(train(FRAME)["avg_rmse"][0], rel=0.2)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAME.drop(columns="consumption"), "no column consumption"),
        (FRAME.assign(consumption="much"), "not every consumption is a number"),
        (FRAME.assign(consumption=FRAME["consumption"].where(FRAME.index != 7)), "not every consumption is a number"),
        (FRAME.head(9), "9 rows are too few"),
        (FRAME.assign(place="Amsterdam"), "column place"),
    ],
)
def test_what_cannot_be_learned_is_refused(frame, words):
    with pytest.raises(ValueError, match=words):
        train(frame)
