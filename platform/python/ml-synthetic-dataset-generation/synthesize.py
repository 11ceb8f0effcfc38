"""A table drawn from a Gaussian copula that was fitted to another."""

import warnings

import numpy as np
import pandas as pd
from copulas.multivariate import GaussianMultivariate

KEY = "building_id"
ROWS = 100


def synthesize(frame: pd.DataFrame, rows: int = ROWS, seed: int | None = None) -> pd.DataFrame:
    """New rows with the distributions of the columns, and the correlations between them, that the table has.

    Numbers stay between the least and the greatest of their column, whole numbers whole; of a text column its values
    come as often as there. ``building_id`` numbers the rows. Raises ValueError for a table of less than two rows.
    """
    if len(frame) < 2:
        raise ValueError(f"a table of {len(frame)} rows says nothing about others")
    random = np.random.default_rng(seed)
    columns = frame.drop(columns=KEY, errors="ignore")
    encoded = columns.apply(lambda column: column if _numeric(column) else _to_numbers(column, random))
    model = GaussianMultivariate(random_state=int(random.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that don't converge; another distribution is taken then
        model.fit(encoded.astype(float))
    drawn = model.sample(rows)
    made = {name: _like(columns[name], drawn[name].to_numpy()) for name in columns}
    numbers = {KEY: [f"synthetic-{number}" for number in range(1, rows + 1)]} if KEY in frame else {}
    return pd.DataFrame(numbers | made)[list(frame.columns)]


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _bounds(column: pd.Series) -> pd.Series:
    """The end of each value's part of 0 to 1, which is as long as the value is frequent."""
    return column.astype(str).value_counts(normalize=True).sort_index().cumsum()


def _to_numbers(column: pd.Series, random: np.random.Generator) -> pd.Series:
    """For each value a number in its part: a continuous distribution, as the copula needs."""
    bounds = _bounds(column)
    starts = bounds.shift(fill_value=0.0)
    values = column.astype(str)
    return values.map(starts) + values.map(bounds - starts) * random.random(len(column))


def _like(column: pd.Series, drawn: np.ndarray) -> pd.Series:
    if _numeric(column):
        values = pd.Series(drawn.clip(column.min(), column.max()))
        return values.round().astype(column.dtype) if pd.api.types.is_integer_dtype(column) else values
    bounds = _bounds(column)
    places = np.searchsorted(bounds.to_numpy(), drawn.clip(0, 1)).clip(max=len(bounds) - 1)
    return pd.Series(bounds.index.to_numpy()[places])
