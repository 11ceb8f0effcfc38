"""How long a frame takes to become a message and a frame again, and how much memory: `make bench`.

Each step's peak is what the process had at most up to its end, the libraries (some 150 MiB) and the frame included.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd
from google.protobuf.struct_pb2 import Struct

from dynamos.dataframe import dataframe_to_protobuf, protobuf_to_dataframe

T = TypeVar("T")


def frame(rows: int) -> pd.DataFrame:
    """Ten columns as datasets have them: numbers, words of a small set, names, dates, a column with gaps."""
    random = np.random.default_rng(1)
    days = pd.date_range("1950-01-01", periods=20_000).to_numpy()
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "scale": random.integers(1, 18, rows),
            "code": random.integers(0, 1_000_000, rows),
            "ratio": random.random(rows),
            "gap": np.where(random.random(rows) < 0.1, np.nan, random.integers(0, 100, rows)),
            "active": random.random(rows) < 0.5,
            "gender": random.choice(["M", "V"], rows),
            "name": np.char.add("person ", random.integers(0, rows, rows).astype(str)),
            "unit": pd.Categorical(random.choice(["law", "arts", "science"], rows)),
            "since": random.choice(days, rows),
        }
    )


def measured(step: str, action: Callable[[], T]) -> T:
    """What the action gives; a line says how long it took."""
    begin, used = time.perf_counter(), time.process_time()
    result = action()
    wall, cpu = time.perf_counter() - begin, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
    print(f"{step:<28} {wall:6.2f} s  ({cpu:5.2f} s of CPU)  peak {peak:7,.0f} MiB")
    return result


def main() -> None:
    """Convert one frame there and back."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    rows = arguments.parse_args().rows
    df = measured(f"make {rows:,} rows x 10", lambda: frame(rows))
    data, metadata = measured("dataframe_to_protobuf", lambda: dataframe_to_protobuf(df))
    wire = measured("serialise", data.SerializeToString)
    print(f"{'message':<28} {len(wire) / (1 << 20):6.1f} MiB")
    del data
    received = measured("parse", lambda: Struct.FromString(wire))
    back = measured("protobuf_to_dataframe", lambda: protobuf_to_dataframe(received, metadata))
    pd.testing.assert_frame_equal(back, df)


if __name__ == "__main__":
    main()
