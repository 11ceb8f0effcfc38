"""Join a data steward's buildings with their weather: the first service of an mlRequest's chain."""

import os
from pathlib import Path

import pandas as pd

from dynamos.datasets import declared
from dynamos.frame_service import run
from dynamos.sensitive import Sensitive
from merge import merge, read

FOLDER = Path("/app/datasets") if os.getenv("ENV") == "PROD" else Path(__file__).resolve().parent


def work(_: pd.DataFrame) -> pd.DataFrame:
    return merge(read(FOLDER, os.getenv("DATA_STEWARD_NAME", ""), declared()), Sensitive.from_environment())


if __name__ == "__main__":
    run("ml-merge-datasets", work)
