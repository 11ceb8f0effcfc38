"""A pandas DataFrame as a message's data, and back.

Data is a Struct: each column a list of strings, ``str(value)`` of each value, as every service of the platform reads
it. What pandas knows beyond that goes into a dict for the message's metadata: each column's type under the column's
name and, only where types don't tell all, one more key (:mod:`dynamos.frame_schema`).

What comes back as it was: numpy's and pandas's nullable numbers and booleans, text, times with and without a zone,
durations, periods, categories, objects that are all text, int, float or bool, each with its missing values (None, NaN,
NA and NaT); the columns' order and labels, also repeated ones, numbers and tuples; a table without rows. What doesn't:
the index (``df.reset_index()`` makes it a column), ``df.attrs``, and columns of other types or of mixed objects, which
come back as text.

Importing this module imports neither pandas nor gRPC (0.3 s). Its functions import pandas; a service that imports this
module has that done by NewConfiguration meanwhile, so that it is there when the message comes.
"""

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.struct_pb2 import Struct

from dynamos import errors
from dynamos.errors import MessageTooLarge
from dynamos.frame_schema import SAME, Schema, from_metadata
from dynamos.frame_struct import add_column, column_texts, unique_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add_column", "dataframe_to_protobuf", "protobuf_to_dataframe", "unique_names"]


def load() -> None:
    """Import what the other functions need, if it is installed."""
    with contextlib.suppress(ImportError):
        import dynamos.frame_read
        import dynamos.frame_write  # noqa: F401


def dataframe_to_protobuf(df: "pd.DataFrame") -> tuple[Struct, dict[str, str]]:
    """The columns as lists of ``str(value)``, and the metadata that tells their types.

    A Struct has one column of each name; further ones of the same name are numbered, see :func:`unique_names`. Send
    the metadata along, either as it is or as JSON under ``dataframe_metadata``.

    Raises ValueError for text that isn't valid Unicode (a lone surrogate), naming column and row, and MessageTooLarge
    as soon as the columns so far are more than a message may hold.
    """
    from dynamos.frame_write import write_column

    data = Struct()
    columns = []
    size = 0
    for position, field in enumerate(unique_names(str(label) for label in df.columns)):
        label = df.columns[position]
        same = isinstance(label, str) and label == field
        texts, column = write_column(df.iloc[:, position], field, SAME if same else label)
        add_column(data, field, texts)
        columns.append(column)
        size += data.fields[field].ByteSize()
        if size > errors.MESSAGE_LIMIT:
            raise MessageTooLarge(
                f"the table of {len(df):,} rows, after {position + 1} of {df.shape[1]} columns,", size
            )
    names = list(df.columns.names) if any(name is not None for name in df.columns.names) else None
    return data, Schema(columns, names, df.columns.nlevels > 1).to_metadata()


def protobuf_to_dataframe(data_struct: Struct, metadata: Mapping[str, str] | None = None) -> "pd.DataFrame":
    """The data as a DataFrame with an index from 0, with the types that the metadata tells.

    ``metadata`` is the message's, or the JSON object of its ``dataframe_metadata``; that key goes before types under
    the columns' own names. A column without a type gets one by the rule of :mod:`dynamos.frame_inference`, a column of
    a type that isn't known here is text. Columns are in the order that the metadata tells, else in that of their names.

    Raises ValueError, naming the column, for a text that its type can't be and for columns of different lengths, and
    for metadata that can't be read.
    """
    import pandas as pd

    from dynamos.frame_read import read_column

    schema = from_metadata(metadata or {}, data_struct.fields)
    arrays: dict[int, Any] = {}
    rows: int | None = None
    for position, column in enumerate(schema.columns):
        texts = column_texts(data_struct, column.field)
        if rows is not None and len(texts) != rows:
            raise ValueError(
                f"column {column.field!r} has {len(texts)} rows, column {schema.columns[0].field!r} has {rows}"
            )
        rows = len(texts)
        arrays[position] = read_column(texts, column)
    frame = pd.DataFrame(arrays)
    labels = [column.field if column.label is SAME else column.label for column in schema.columns]
    if not labels:
        return frame
    if schema.multi:
        frame.columns = pd.MultiIndex.from_tuples(labels, names=schema.names)
    else:
        frame.columns = pd.Index(labels, name=schema.names[0] if schema.names else None, tupleize_cols=False)
    return frame
