"""The Laplace mechanism, on each value of a table."""

import pandas as pd
from diffprivlib.mechanisms import Laplace

KEY = "building_id"
EPSILON = 1.0
SENSITIVITY = 1.0


def privatize(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with noise on all its numbers but ``building_id``; text stays.

    Values that differ by up to SENSITIVITY can't be told apart better than EPSILON says.
    """
    mechanism = Laplace(epsilon=EPSILON, sensitivity=SENSITIVITY)
    noisy = {
        name: [mechanism.randomise(float(value)) for value in column]
        for name, column in frame.items()
        if name != KEY and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    }
    return frame.assign(**noisy)
