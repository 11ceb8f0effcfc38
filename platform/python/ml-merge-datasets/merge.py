"""Read the two tables and join them."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dynamos.datasets import Dataset
from dynamos.sensitive import Sensitive

TABLES = ("yearly_building", "yearly_weather")
KEY = "building_id"


def read(folder: Path, steward: str, datasets: Iterable[Dataset]) -> dict[str, pd.DataFrame]:
    """The tables by name, from ``<table>_<steward>.csv``, as their data set separates values. Raises ValueError."""
    delimiters = {table: dataset.delimiter for dataset in datasets for table in dataset.tables}
    frames = {}
    for table in TABLES:
        file = folder / f"{table}_{steward}.csv"
        if not file.exists():
            raise ValueError(f"{steward or 'nobody'} has no table {table}")
        frames[table] = pd.read_csv(file, sep=delimiters.get(table, ","))
        if KEY not in frames[table]:
            raise ValueError(f"{file.name}: no column {KEY}")
    return frames


def merge(frames: dict[str, pd.DataFrame], sensitive: Sensitive) -> pd.DataFrame:
    """Buildings that have weather, with it. Raises SensitiveError for a column that nobody anonymises after this."""
    for table, frame in frames.items():
        sensitive.among(table, map(str, frame.columns))
    building, weather = (frames[table] for table in TABLES)
    return building.merge(weather, on=KEY, how="inner", suffixes=("", "_weather"))
