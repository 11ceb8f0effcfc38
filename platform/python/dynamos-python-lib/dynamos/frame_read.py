"""A column's texts as the pandas column that its description tells."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from dynamos.frame_inference import infer_type
from dynamos.frame_schema import Column

Texts = list[str | None]

_MISSING: dict[str | None, Any] = {"None": None, "nan": float("nan"), "<NA>": pd.NA, "NaT": pd.NaT}


def read_column(texts: Texts, column: Column) -> Any:
    """The values, as an array or list from which pandas makes the column.

    Raises ValueError for a text that the type can't be; a type that isn't known here gives text.
    """
    kind = column.pandas or infer_type(texts) or ""
    for pattern, read in _READERS.items():
        if re.fullmatch(pattern, kind):
            try:
                return read(texts, column, kind)
            except (ValueError, OverflowError, TypeError) as error:
                raise ValueError(f"column {column.field!r} of type {kind}: {error}") from error
    return _texts(texts, column)


def _integers(texts: Texts, _: Column, kind: str) -> Any:
    return np.array(_each(int, texts), dtype={"int": "int64", "uint": "uint64"}.get(kind, kind))


def _floats(texts: Texts, _: Column, kind: str) -> Any:
    if None in texts:
        texts = ["nan" if text is None else text for text in texts]
    return np.array(_each(float, texts), dtype=kind)


def _complex(texts: Texts, _: Column, kind: str) -> Any:
    return np.array(_each(complex, texts), dtype=kind)


def _booleans(texts: Texts, _: Column, kind: str) -> Any:
    return np.array([_true(text or "") for text in texts], dtype=bool)


def _nullable(texts: Texts, _: Column, kind: str) -> Any:
    convert: Callable[[str], Any] = _true if kind == "boolean" else float if kind[0] == "F" else int

    def read(text: str | None) -> Any:
        # What str() makes of a missing value, here and of other writers.
        return pd.NA if text in (None, "<NA>", "None", "nan") else convert(text)

    return pd.array(_each(read, texts), dtype=kind)


def _times(texts: Texts, _: Column, kind: str) -> Any:
    return np.array(["NaT" if text in (None, "None", "nan") else text for text in texts], dtype=kind)


def _zoned_times(texts: Texts, _: Column, kind: str) -> Any:
    unit, zone = kind.removesuffix("]").removeprefix("datetime64[").split(", ")
    utc = pd.to_datetime(pd.Index(texts, dtype=object), utc=True, format="ISO8601")
    return utc.as_unit(unit).tz_convert(zone)


def _durations(texts: Texts, _: Column, kind: str) -> Any:
    return pd.to_timedelta(pd.Index(texts, dtype=object)).astype(kind)


def _periods(texts: Texts, _: Column, kind: str) -> Any:
    return pd.PeriodIndex(pd.Index(texts, dtype=object), dtype=kind)


def _strings(texts: Texts, column: Column, kind: str) -> Any:
    return pd.array(_with_missing(texts, column), dtype=kind)


def _categories(texts: Texts, column: Column, _: str) -> Any:
    if column.categories is None:  # as another writer leaves it
        return pd.Categorical(_texts(texts, column))
    known: Texts = list(column.categories)
    codes = dict(zip(known, range(len(known)), strict=True))
    codes.update(dict.fromkeys(column.missing, -1))
    if new := sorted(text for text in set(texts) if text is not None and text not in codes):
        # Rows of another data provider may have come since.
        if column.ordered:
            raise ValueError(f"{new[0]!r} is none of its ordered categories")
        codes.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
        known += new
    own = column.categories_type or "object"
    of_objects = Column(column.field, "object", values=own) if own in _VALUES else Column(column.field, own)
    categories = pd.Index(pd.Series(read_column(known, of_objects)))
    if own == "object" or own in _VALUES:
        categories = categories.astype(object)
    return pd.Categorical.from_codes(
        [-1 if text is None else codes[text] for text in texts], categories=categories, ordered=column.ordered
    )


def _objects(texts: Texts, column: Column, _: str) -> Any:
    values = _with_missing(texts, column)
    if column.values is not None:
        convert = _VALUES[column.values]
        values = [convert(value) if isinstance(value, str) else value for value in values]
    return pd.Series(values, dtype=object)


def _texts(texts: Texts, column: Column) -> Any:
    return _with_missing(texts, column) or pd.Series(dtype=object)


def _with_missing(texts: Texts, column: Column) -> list[Any]:
    """The texts, with missing values where the description says that a text or a null stands for one."""
    if not column.missing and None not in texts:
        return list(texts)
    stands_for: dict[str | None, Any] = {text: _MISSING[text] for text in column.missing}
    stands_for[None] = _MISSING[column.null] if column.null else None
    return [stands_for.get(text, text) for text in texts]


def _each(convert: Callable[[Any], Any], texts: Texts) -> list[Any]:
    try:
        return [convert(text) for text in texts]
    except (ValueError, TypeError):
        for row, text in enumerate(texts):
            try:
                convert(text)
            except (ValueError, TypeError):
                raise ValueError(f"row {row} (from 0) is {text!r}") from None
        raise


def _true(text: str) -> bool:
    return text.lower() in ("true", "1")


_VALUES: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": _true}

_READERS: dict[str, Callable[[Texts, Column, str], Any]] = {
    r"u?int(8|16|32|64)?": _integers,
    r"float(16|32|64)?": _floats,
    r"complex(64|128)": _complex,
    r"bool": _booleans,
    r"U?Int(8|16|32|64)|Float(32|64)|boolean": _nullable,
    r"datetime64\[\w+\]": _times,
    r"datetime64\[\w+, .+\]": _zoned_times,
    r"timedelta64\[\w+\]": _durations,
    r"period\[.+\]": _periods,
    r"str|string": _strings,
    r"category": _categories,
    r"object": _objects,
}
"""Readers by the name of the types that they read."""
