"""A typed column as text, so that a typed export and one in text map to the same bytes."""

from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill.sources.json_text import json_text

_TEXT: Final = pa.string()


def as_text(column: pa.Array) -> "pa.StringArray":
    """The cells in the words of a schema's grammar; what is empty or NaN is NULL.

    No number has an exponent, a whole double keeps its ``.0``, a time with a zone is in UTC with
    a ``Z``, a fraction of a second stands only where it is not zero, lists and structs are JSON.

    Raises:
        pa.ArrowInvalid: bytes that are no UTF-8.
    """
    texts = _written(column)
    empty = pc.equal(pc.binary_length(texts), 0)
    if pc.any(empty).as_py():
        return pc.if_else(empty, pa.scalar(None, _TEXT), texts)
    return texts


def as_text_or_hex(column: pa.Array) -> "pa.StringArray":
    """As ``as_text``; bytes that are no text come as hexadecimal digits."""
    try:
        return as_text(column)
    except pa.ArrowInvalid:
        return pa.array([_or_hex(cell) for cell in column.cast(pa.binary()).to_pylist()], _TEXT)


def _or_hex(cell: bytes | None) -> str | None:
    try:
        return cell.decode() if cell else None
    except UnicodeDecodeError:
        return cell.hex() if cell else None


def _written(column: pa.Array) -> "pa.StringArray":
    kind = column.type
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _extension(column)
    if types.is_dictionary(kind):
        return _written(column.cast(kind.value_type))
    if types.is_run_end_encoded(kind):
        return _written(pc.run_end_decode(column))
    if types.is_floating(kind):
        return _floats(column)
    if types.is_decimal(kind):
        return _positional(column.cast(_TEXT))
    if types.is_date(kind):
        return column.cast(pa.date32()).cast(_TEXT)
    if types.is_timestamp(kind):
        return _timestamps(column)
    if types.is_time(kind):
        return _short_fraction(column.cast(_TEXT))
    if types.is_nested(kind):
        return json_text(column, _written)
    return _plain(column)


def _plain(column: pa.Array) -> "pa.StringArray":
    texts = column.cast(_TEXT)
    texts.validate(full=True)  # a Parquet string may hold bytes that are no UTF-8
    return texts


def _extension(column: pa.Array) -> "pa.StringArray":
    if column.type.extension_name == "arrow.uuid":
        return pa.array([None if cell is None else str(cell) for cell in column.to_pylist()], _TEXT)
    return _written(column.storage)


def _floats(column: pa.Array) -> "pa.StringArray":
    texts = _positional(column.cast(_TEXT))
    # Ids that a missing cell turned into doubles are whole: 1.0 is written as the integer it was.
    texts = pc.replace_substring_regex(texts, r"[.]0$", "")
    return pc.if_else(pc.equal(texts, "nan"), pa.scalar(None, _TEXT), texts)


def _positional(texts: "pa.StringArray") -> "pa.StringArray":
    """Numbers without an exponent; the few that have one are rewritten, each distinct one once."""
    long = pc.match_substring_regex(texts, "[0-9][eE]")
    if not pc.any(long).as_py():
        return texts
    coded = pc.if_else(long, texts, pa.scalar(None, _TEXT)).dictionary_encode()
    plain = pa.array([format(Decimal(text), "f") for text in coded.dictionary.to_pylist()], _TEXT)
    return pc.coalesce(plain.take(coded.indices), texts)


def _timestamps(column: pa.Array) -> "pa.StringArray":
    kind = column.type
    texts = _short_fraction(column.view(pa.timestamp(kind.unit)).cast(_TEXT))
    if kind.tz is None:
        return texts
    return pc.binary_join_element_wise(texts, "Z", "")


def _short_fraction(texts: "pa.StringArray") -> "pa.StringArray":
    """Times without the zeros that only tell how fine the column's unit is."""
    fine = pc.match_substring(texts, ".")
    return pc.if_else(fine, pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), "."), texts)
