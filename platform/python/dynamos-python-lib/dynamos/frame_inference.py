"""The type of a column about which the metadata says nothing.

The rule: a column gets a type only if nothing is lost by it, which is when the texts are what Python writes for the
values of that type.

- ``bool``: every text is ``True`` or ``False``.
- ``int64``: every text is a whole number of 64 bits as Python writes it: no sign but ``-``, no zeros in front.
- ``float64``: every text is a decimal number as Python writes it (``0.5``, ``1e-07``, ``nan``, ``inf``), or a whole one
  of at most 2**53 among them.
- Everything else is text, and so is a column without rows; ``None`` is text too.

So a postcode ``0123``, a date, or a column in which a number is missing as ``None`` stays text.
"""

from collections.abc import Sequence

_LARGEST_INT = 2**63 - 1
_LARGEST_EXACT_FLOAT = 2**53


def infer_type(texts: Sequence[str | None]) -> str | None:
    """The name of the type, None for text.

    >>> infer_type(["1", "-2"]), infer_type(["1", "0.5", "nan"]), infer_type(["True"]), infer_type(["007"])
    ('int64', 'float64', 'bool', None)
    """
    if not texts or None in texts:
        return None
    if set(texts) <= {"True", "False"}:
        return "bool"
    if all(map(_is_int, texts)):
        return "int64"
    if all(map(_is_float, texts)):
        return "float64"
    return None


def _is_int(text: str | None) -> bool:
    try:
        number = int(text or "")
    except ValueError:
        return False
    return str(number) == text and -_LARGEST_INT - 1 <= number <= _LARGEST_INT


def _is_float(text: str | None) -> bool:
    try:
        number = float(text or "")
    except ValueError:
        return False
    return str(number) == text or (abs(number) <= _LARGEST_EXACT_FLOAT and str(int(number)) == text)
