"""A pandas column as texts, ``str(value)`` of each, and a description that brings back what it was."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from dynamos.frame_schema import SAME, Column

_KINDS: dict[type, str] = {
    **dict.fromkeys((int, np.int64), "int"),
    **dict.fromkeys((float, np.float64), "float"),
    **dict.fromkeys((bool, np.bool_), "bool"),
}
"""What the values of an object column may all be to come back as that, and not as text."""


def write_column(series: "pd.Series[Any]", field: str, label: Any = SAME) -> tuple[Iterable[str | None], Column]:
    """The texts of the column, None where a null has to be, and its description.

    A missing value is the text that pandas shows for it, unless some value of the column has that very text.
    """
    dtype = series.dtype
    column = Column(field, _plain_type(dtype), label=label)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(series, column)
    if isinstance(dtype, pd.SparseDtype):
        return write_column(series.sparse.to_dense(), field, label)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _repeated(_with_whole_minutes(series)), column
    if isinstance(dtype, pd.StringDtype):
        return _with_missing(series.tolist(), column)
    if dtype.kind == "O" and isinstance(dtype, np.dtype):
        return _objects(series.tolist(), column)
    if dtype.kind in "biufc" and isinstance(dtype, np.dtype):
        return map(str, series.tolist()), column
    if column.type != dtype.name:
        column = dataclasses.replace(column, dtype=dtype.name)
    if dtype.kind in "mM":
        return _repeated(series), column
    return map(str, series), column


def _repeated(series: "pd.Series[Any]") -> Iterable[str]:
    """The texts of times, which are slow to write (2 µs each) and often the same."""
    codes, times = pd.factorize(series)
    return map([*map(str, times), "NaT"].__getitem__, codes.tolist())  # -1, the last, is a missing one


def _plain_type(dtype: Any) -> str:
    """The type's name for other readers. They take whatever begins with int or float for numbers, always there."""
    if not isinstance(dtype, np.dtype) and dtype.name.startswith(("int", "float")):
        return "object"
    return str(dtype.name)


def _with_whole_minutes(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """The times as they are, or in UTC if a zone's offset had seconds then, which ISO 8601 can't write."""
    local = series.dt.tz_localize(None).astype("datetime64[s]")
    utc = series.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[s]")
    whole = ((local - utc).dropna().dt.seconds % 60 == 0).all()
    return series if whole else series.dt.tz_convert("UTC")


def _categorical(series: "pd.Series[Any]", column: Column) -> tuple[Iterable[str | None], Column]:
    categories = series.cat.categories
    texts, described = write_column(pd.Series(categories), column.field)
    known = [str(text) for text in texts]
    if len(set(known)) < len(known):  # 1 and "1": what the texts can't tell apart is text
        return _objects(list(series), dataclasses.replace(column, type="object"))
    column = dataclasses.replace(
        column,
        categories=tuple(known),
        categories_type=described.values or described.pandas,
        ordered=bool(series.cat.ordered),
    )
    codes = series.cat.codes.to_numpy()
    if not (codes < 0).any():
        return map(known.__getitem__, codes.tolist()), column
    if "nan" in known:
        return map([*known, None].__getitem__, codes.tolist()), dataclasses.replace(column, null="nan")
    return map([*known, "nan"].__getitem__, codes.tolist()), dataclasses.replace(column, missing=("nan",))


def _objects(values: list[Any], column: Column) -> tuple[Iterable[str | None], Column]:
    kinds = {_KINDS.get(kind) for kind in set(map(type, values))}
    if kinds == {"float"}:  # NaN is one of the values
        return map(str, values), dataclasses.replace(column, values="float")
    if len(kinds) > 1:
        kinds = {_KINDS.get(kind) for kind in {type(value) for value in values if _missing(value) is None}}
    if len(kinds) == 1:
        column = dataclasses.replace(column, values=kinds.pop())
    return _with_missing(values, column)


def _with_missing(values: list[Any], column: Column) -> tuple[Iterable[str | None], Column]:
    """The texts of values of which some may be missing."""
    if set(map(type, values)) <= {str}:
        return values, column
    missing = [_missing(value) for value in values]
    names = [name for name in ("None", "nan", "<NA>", "NaT") if name in set(missing)]
    if not names:
        return map(str, values), column
    literal = {str(value) for value, name in zip(values, missing, strict=True) if name is None}
    # At most one missing value can be a null; a second one whose text is taken becomes the same.
    taken = [name for name in names if name in literal]
    column = dataclasses.replace(
        column,
        missing=tuple(name for name in names if name not in taken),
        null=taken[0] if taken else None,
    )
    texts = (None if name in taken else str(value) for value, name in zip(values, missing, strict=True))
    return texts, column


def _missing(value: Any) -> str | None:
    """The text of a missing value, None for a value that is there."""
    if value is None:
        return "None"
    if value is pd.NA:
        return "<NA>"
    if value is pd.NaT:
        return "NaT"
    return "nan" if isinstance(value, float) and value != value else None
