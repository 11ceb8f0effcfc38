"""XGBoost's trees for the consumption, cross-validated."""

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, cross_val_score
from xgboost import XGBRegressor

TARGET = "consumption"
FOLDS = 5
UNUSED = "building_id"
CATEGORY = "primary_use"


def train(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean squared error of each fold, and beside it the mean of all and its root. Raises ValueError."""
    if TARGET not in frame:
        raise ValueError(f"no column {TARGET} to learn")
    if not pd.api.types.is_numeric_dtype(frame[TARGET]) or frame[TARGET].isna().any():
        raise ValueError(f"not every {TARGET} is a number")
    if len(frame) < 2 * FOLDS:
        raise ValueError(f"{len(frame)} rows are too few for {FOLDS} folds")
    features = frame.drop(columns=[TARGET, UNUSED], errors="ignore")
    if CATEGORY in features:
        features = pd.get_dummies(features, columns=[CATEGORY])
    other = [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
    if other:
        raise ValueError(f"column {other[0]} is neither a number nor {CATEGORY}")
    # One thread: a Job shares its cores, and waiting for each other's threads took ten times as long.
    model = XGBRegressor(n_jobs=1, random_state=0)
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    values = features.to_numpy(dtype=float, na_value=np.nan)  # without names, in which XGBoost takes no [, ] and <
    scores = -cross_val_score(model, values, frame[TARGET].astype(float), cv=folds, scoring="neg_mean_squared_error")
    return pd.DataFrame({"mse_scores": scores, "avg_mse": scores.mean(), "avg_rmse": np.sqrt(scores.mean())})
