"""What a table's columns are, beyond the texts that a Struct holds and one type name for each.

A column's type name goes into the metadata under the column's own name, where every reader of the platform looks.
What it doesn't tell goes into one more key, ``dataframe_schema``, which other readers pass over: a JSON object

    {"columns": [...], "names": [...], "multi": true}

``columns`` are in the frame's order; a column about which there is nothing else to say is its name in the Struct, any
other an object with ``field``, that name, and of the attributes of :class:`Column` those that aren't empty. ``names``
are the names of the column axis, ``multi`` says that its labels are tuples of a MultiIndex. Nothing in it counts
rows, so that it stays true when a service drops or appends some. The key is left out if it would say nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamos.service_metadata import DATAFRAME, RESERVED, SCHEMA


@dataclass(frozen=True)
class Same:
    """A label that is the same as the column's name in the Struct."""


SAME = Same()


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    field: str
    """Its name in the Struct."""
    type: str | None = None
    """The name of its type, as every reader understands it; None if unknown."""
    dtype: str | None = None
    """The name of its pandas type where ``type`` is a simpler one, for the sake of other readers."""
    label: Any = SAME
    """Its label in the frame, if not a text or not the same as the field."""
    values: str | None = None
    """Of an object column: what all of its values are, "int", "float" or "bool"."""
    missing: tuple[str, ...] = ()
    """Texts that stand for a missing value: None, nan, <NA>, NaT."""
    null: str | None = None
    """The missing value that a null stands for, where its text is also the text of a value."""
    categories: tuple[str, ...] | None = None
    """Of a categorical column: the texts of its categories in order, also of those in no row."""
    categories_type: str | None = None
    """The type name of the categories themselves."""
    ordered: bool = False
    """Whether the categories have an order."""

    @property
    def pandas(self) -> str | None:
        """The name of its pandas type."""
        return self.dtype or self.type


@dataclass(frozen=True)
class Schema:
    """The columns of a table in order, and the names of the column axis."""

    columns: list[Column]
    names: list[Any] | None = None
    multi: bool = False

    def to_metadata(self) -> dict[str, str]:
        """Field to type name, and what that doesn't tell under ``dataframe_schema``.

        Reserved names get no type of their own, see :data:`dynamos.service_metadata.RESERVED`.
        """
        metadata = {c.field: c.type for c in self.columns if c.type is not None and c.field not in RESERVED}
        entries = [_entry(column) for column in self.columns]
        document: dict[str, Any] = {"columns": entries}
        if self.names is not None:
            document["names"] = [_label_out(name) for name in self.names]
        if self.multi:
            document["multi"] = True
        # Readers without a schema take the columns in the order of their names.
        plain = [entry for entry in entries if isinstance(entry, str)]
        if len(document) > 1 or len(plain) < len(entries) or plain != sorted(plain):
            metadata[SCHEMA] = json.dumps(document, separators=(",", ":"))
        return metadata


def from_metadata(metadata: Mapping[str, str], fields: Iterable[str]) -> Schema:
    """The schema of a table with these fields in its Struct.

    ``metadata`` is a message's, or the JSON object of its ``dataframe_metadata``. What the schema says of a column
    counts only if it agrees with the column's type: a service in between may have written other columns and types,
    and left the key as it was. Raises ValueError if ``dataframe_metadata`` or ``dataframe_schema`` can't be read.
    """
    types, order = _types(metadata)
    text = types.get(SCHEMA, "")
    document = _object(SCHEMA, types.pop(SCHEMA)) if text.startswith("{") else {}
    try:
        known = {entry.field: entry for entry in map(_column, document.get("columns", []))}
        names = [_label_in(name) for name in document["names"]] if "names" in document else None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f'metadata["{SCHEMA}"] can\'t be read: {error!r}') from error
    present = set(fields)
    columns = []
    for field in dict.fromkeys([*known, *order, *sorted(present)]):
        if field not in present:
            continue
        entry = known.get(field)
        kind = types.get(field)
        believed = entry is not None and entry.type is not None and kind in (None, entry.type)
        columns.append(entry if entry is not None and believed else Column(field, kind))
    whole = len(columns) == len(known) == len(present)
    return Schema(columns, names if whole else None, bool(document.get("multi")) and whole)


def _types(metadata: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Types by field, and the fields in order if the metadata tells it."""
    types = {name: kind for name, kind in metadata.items() if name not in RESERVED or name == SCHEMA}
    text = metadata.get(DATAFRAME, "")
    if not text.startswith("{"):  # a type's name: the column is called so
        return types, []
    own = _object(DATAFRAME, text)
    if not all(isinstance(kind, str) for kind in own.values()):
        raise ValueError(f'metadata["{DATAFRAME}"] has a type that is no text: {text[:80]}')
    return {**types, **own}, list(own)


def _object(key: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f'metadata["{key}"] is not JSON: {error}: {text[:80]}') from error
    if not isinstance(value, dict):
        raise ValueError(f'metadata["{key}"] is not a JSON object: {text[:80]}')
    return value


_DETAILS = ("dtype", "values", "missing", "null", "categories", "categories_type", "ordered")


def _entry(column: Column) -> str | dict[str, Any]:
    details = {name: value for name in _DETAILS if (value := getattr(column, name))}
    if column.categories is not None:
        details["categories"] = column.categories
    if column.label is not SAME:
        details["label"] = _label_out(column.label)
    if not details and column.field not in RESERVED:
        return column.field
    return {"field": column.field, "type": column.type, **details}


def _column(entry: Any) -> Column:
    if isinstance(entry, str):
        return Column(entry)
    known = {name: entry[name] for name in _DETAILS if name in entry}
    for name in ("missing", "categories"):
        if name in known:
            known[name] = tuple(known[name])
    label = _label_in(entry["label"]) if "label" in entry else SAME
    return Column(entry["field"], entry.get("type"), label=label, **known)


def _label_out(label: Any) -> Any:
    """A label as JSON. What JSON doesn't have is an object of one key, the name of its type."""
    if hasattr(label, "item"):  # numpy's
        label = label.item()
    if label is None or isinstance(label, str | bool | int):
        return label
    if isinstance(label, float):
        return {"float": str(label)}
    if isinstance(label, tuple):
        return [_label_out(part) for part in label]
    if type(label).__name__ in ("Timestamp", "Timedelta"):
        return {type(label).__name__: label.isoformat()}
    return str(label)


def _label_in(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_label_in(part) for part in value)
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "float":
        return float(text)
    import pandas as pd

    return pd.Timestamp(text) if kind == "Timestamp" else pd.Timedelta(text)
