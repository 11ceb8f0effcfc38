"""Columns of texts in a Struct: each field of it is a list of strings, a null among them is a value of no text."""

from collections.abc import Iterable

from google.protobuf.struct_pb2 import Struct, Value


def add_column(data: Struct, name: str, texts: Iterable[str | None]) -> None:
    """Append the texts to the data's column ``name``; None becomes a null.

    Raises ValueError for a text, or a name, that isn't valid Unicode.
    """
    try:
        column = data.fields[name].list_value
    except UnicodeEncodeError:
        raise ValueError(f"column {name!r}: its name has a lone surrogate, which UTF-8 can't hold") from None
    column.SetInParent()  # a column without rows is an empty list, not a value of no kind
    add = column.values.add
    text: str | None = None
    try:
        for text in texts:
            if text is None:
                add(null_value=0)  # NULL_VALUE
            else:
                add(string_value=text)
    except UnicodeEncodeError:
        row = len(column.values)
        raise ValueError(
            f"column {name!r}, row {row} (from 0): {_short(text)} has a lone surrogate, which UTF-8 can't hold"
        ) from None


def column_texts(data: Struct, name: str) -> list[str | None]:
    """The texts of a column, None where a null is. A number or boolean of another writer becomes its text.

    Raises ValueError if the column is no list, or holds lists or structs.
    """
    value = data.fields[name]
    if value.WhichOneof("kind") != "list_value":
        raise ValueError(f"column {name!r} is no list of values")
    values = value.list_value.values
    texts: list[str | None] = [value.string_value for value in values]
    if "" in texts:  # seldom; what isn't a string reads as ""
        texts = [text or _text(value, name) for text, value in zip(texts, values, strict=True)]
    return texts


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


def _text(value: Value, name: str) -> str | None:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return str(int(number)) if number.is_integer() else str(number)
        case "bool_value":
            return str(value.bool_value)
        case "null_value" | None:
            return None
        case kind:
            raise ValueError(f"column {name!r} holds a {kind}, not texts")


def _short(text: str | None) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else shown[:79] + "…"
