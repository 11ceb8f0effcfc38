"""A pandas DataFrame as a message's data, and back.

Data is a Struct: each column a list of strings. What pandas knows beyond that, the type of each
column, goes into a dict for the message's metadata. Writing needs no pandas import; reading does,
and imports it only then (0.3 s).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from google.protobuf.struct_pb2 import Struct

from dynamos.service_metadata import RESERVED

if TYPE_CHECKING:
    import pandas as pd


def dataframe_to_protobuf(df: "pd.DataFrame") -> tuple[Struct, dict[str, str]]:
    """The columns as lists of ``str(value)``, and the name of each column's pandas type.

    A Struct has one column of each name; further ones of the same name are numbered, see
    :func:`unique_names`.
    """
    data = Struct()
    types: dict[str, str] = {}
    for position, name in enumerate(unique_names(str(column) for column in df.columns)):
        column = df.iloc[:, position]
        add_column(data, name, map(str, column))
        if name not in RESERVED:
            types[name] = str(column.dtype)
    return data, types


def protobuf_to_dataframe(data_struct: Struct, metadata: Mapping[str, str] | None = None) -> "pd.DataFrame":
    """The data as a DataFrame, with the types that the metadata names.

    ``int*`` becomes int, ``float*`` float, ``bool`` whether the text is true or 1; every other column, and
    every column without a type, stays text. Raises ValueError for a text that its type can't be.
    """
    import pandas as pd

    columns = {}
    for name, column in data_struct.fields.items():
        texts = [value.string_value for value in column.list_value.values]
        columns[name] = pd.Series(_typed(texts, (metadata or {}).get(name, "")), name=name)
    return pd.DataFrame(columns)


def _typed(texts: list[str], dtype: str) -> list[int] | list[float] | list[bool] | list[str]:
    kind = dtype.lower()
    if kind.startswith("int"):
        return [int(text) for text in texts]
    if kind.startswith("float"):
        return [float(text) for text in texts]
    if kind.startswith("bool"):
        return [text.lower() in ("true", "1") for text in texts]
    return texts


def add_column(data: Struct, name: str, texts: Iterable[str]) -> None:
    """Append the texts to the data's column ``name``."""
    column = data.fields[name].list_value
    column.SetInParent()  # a column without rows is an empty list, not a value of no kind
    add = column.values.add
    for text in texts:
        add(string_value=text)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names in order, a repeated one numbered as pandas numbers it when it reads a file.

    >>> unique_names(["id", "name", "id", "id"])
    ['id', 'name', 'id.1', 'id.2']
    """
    wanted = list(names)
    taken = set(wanted)
    seen: set[str] = set()
    out = []
    for name in wanted:
        unique, number = name, 0
        while unique in seen or (number and unique in taken):
            number += 1
            unique = f"{name}.{number}"
        seen.add(unique)
        out.append(unique)
    return out
