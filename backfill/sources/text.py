"""Typed columns as text, so that a Parquet file, a frame and a CSV map to the same bytes."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill.errors import ExportError
from backfill.sources.source import TypedColumns, text_table

SAMPLE_ROWS: Final = 2_000
"""The rows that are read when a source is opened, to estimate how much text a row is."""

OUT_OF_RANGE: Final = "<value out of range"
"""How Arrow's text of a date or time begins that no calendar has. It is never mapped.

Source: Apache Arrow, cpp/src/arrow/util/formatting.h, ``FormatOutOfRange``, read 2026-11-28."""

_TEMPORAL: Final = (pa.types.is_date, pa.types.is_timestamp)
_NUMERIC: Final = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_CLOCK: Final = " [0-9:.]+$"
_ROWS_MAX: Final = 200_000
_TEXT: Final = pa.string()
_NULL: Final = pa.scalar(None, _TEXT)


def typed_columns(kinds: Iterable[pa.DataType]) -> TypedColumns:
    """The positions of the columns of dates or times, and of numbers."""
    values = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    temporal, numeric = (
        frozenset(at for at, kind in enumerate(values) if any(is_one(kind) for is_one in tests))
        for tests in (_TEMPORAL, _NUMERIC)
    )
    return TypedColumns(temporal, numeric)


def rows_at_once(text_bytes: int, count: int, batch_bytes: int) -> int:
    """How many of ``count`` rows, ``text_bytes`` in all, make one batch."""
    return max(1, min(_ROWS_MAX, batch_bytes * count // max(text_bytes, 1)))


def estimated_bytes(sample: pa.Table, count: int) -> int:
    """About how much text ``count`` rows like those of the sample are."""
    size: int = sample.nbytes
    rows: int = sample.num_rows
    return size * count // max(rows, 1)


def columns_as_text(
    name: str, labels: Sequence[str], columns: Sequence[pa.Array], count: int, *, strict: int
) -> pa.Table:
    """``count`` rows as text, in columns ``c0``, ``c1`` and so on.

    Args:
        name: the source's name, for messages.
        labels: the columns' names, for messages.
        columns: each of ``count`` rows.
        count: needed because ``columns`` may be empty.
        strict: in the first so many columns, bytes that are not text are an error; in the others
            they become hexadecimal digits.

    Raises:
        ExportError: a column that cannot be text.
        MemoryError: the text takes more memory than is left.
    """
    texts = []
    for at, (label, column) in enumerate(zip(labels, columns, strict=True)):
        try:
            texts.append(as_text(column) if at < strict else as_text_or_hex(column))
        except MemoryError:  # Arrow's is one of its exceptions too
            raise
        except pa.ArrowException as error:
            if "overflow" in str(error):
                why = f"has over 2 GB of text in {count:,} rows, and no export has such cells"
            else:
                why = (
                    "holds bytes that are not UTF-8 text; leave it out of the schema, or write it "
                    "as text"
                )
            raise ExportError(f'{name}: column "{label}" {why}') from None  # Arrow may quote a cell
    return text_table(texts, count)


def as_text(column: pa.Array) -> "pa.StringArray":
    """The cells in the notation that a schema's types read; empty text and NaN are NULL.

    No number has an exponent, and a whole double has no ``.0``. A time with a zone is in UTC and
    ends in ``Z``; a fraction of a second is written only if it is not zero. Lists and structs are
    JSON.

    Raises:
        pa.ArrowInvalid: bytes that are not UTF-8.
    """
    texts = _text_of(column)
    empty = pc.equal(pc.binary_length(texts), 0)
    return pc.if_else(empty, _NULL, texts) if pc.any(empty).as_py() else texts


def as_text_or_hex(column: pa.Array) -> "pa.StringArray":
    """As ``as_text``; bytes that are not text become hexadecimal digits."""
    try:
        return as_text(column)
    except pa.ArrowInvalid:
        return pa.array([_or_hex(cell) for cell in column.cast(pa.binary()).to_pylist()], _TEXT)


def _or_hex(cell: bytes | None) -> str | None:
    try:
        return cell.decode() if cell else None
    except UnicodeDecodeError:
        return cell.hex() if cell else None


def _text_of(column: pa.Array) -> "pa.StringArray":
    kind = column.type
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _extension(column)
    if types.is_dictionary(kind):
        return _text_of(column.cast(kind.value_type))
    if types.is_run_end_encoded(kind):
        return _text_of(pc.run_end_decode(column))
    if types.is_floating(kind):
        return _floats(column)
    if types.is_decimal(kind):
        return _without_exponent(column.cast(_TEXT))
    if types.is_date64(kind):
        return pc.replace_substring_regex(_timestamps(column.view(pa.timestamp("ms"))), _CLOCK, "")
    if types.is_timestamp(kind):
        return _timestamps(column)
    if types.is_time(kind):
        return _short_fraction(column.cast(_TEXT))
    if types.is_nested(kind):
        return _nested(column)
    texts = column.cast(_TEXT)
    texts.validate(full=True)  # a Parquet string may hold bytes that are not UTF-8
    return texts


def _extension(column: pa.Array) -> "pa.StringArray":
    if column.type.extension_name == "arrow.uuid":
        return pa.array([None if cell is None else str(cell) for cell in column.to_pylist()], _TEXT)
    return _text_of(column.storage)


def _floats(column: pa.Array) -> "pa.StringArray":
    texts = _without_exponent(column.cast(_TEXT))
    # A missing cell turns a column of integer ids into doubles: 1.0 was the integer 1.
    texts = pc.replace_substring_regex(texts, r"[.]0$", "")
    return pc.if_else(pc.equal(texts, "nan"), _NULL, texts)


def _without_exponent(texts: "pa.StringArray") -> "pa.StringArray":
    """Few numbers have an exponent: only those are rewritten, each distinct one once."""
    has_exponent = pc.match_substring_regex(texts, "[0-9][eE]")
    if not pc.any(has_exponent).as_py():
        return texts
    coded = pc.if_else(has_exponent, texts, _NULL).dictionary_encode()
    plain = pa.array([format(Decimal(text), "f") for text in coded.dictionary.to_pylist()], _TEXT)
    return pc.coalesce(plain.take(coded.indices), texts)


def _timestamps(column: pa.Array) -> "pa.StringArray":
    kind = column.type
    texts = _short_fraction(column.view(pa.timestamp(kind.unit)).cast(_TEXT))
    if kind.tz is None:
        return texts
    return pc.binary_join_element_wise(texts, "Z", "")


def _short_fraction(texts: "pa.StringArray") -> "pa.StringArray":
    """Times without the trailing zeros that come from the column's unit."""
    has_fraction = pc.match_substring(texts, ".")
    return pc.if_else(has_fraction, pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), "."), texts)


def _nested(column: pa.Array) -> "pa.StringArray":
    """Lists, structs and maps as JSON, built from whole columns of their members."""
    kind = column.type
    if pa.types.is_map(kind):
        texts = _maps(column)
    elif pa.types.is_struct(kind):
        texts = _structs(column)
    elif isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        texts = _joined(column, _json_members(pc.list_flatten(column)), "[]")
    else:  # unions and list views: rare enough for a slow way
        return pa.array([_scalar(cell) for cell in column], _TEXT)
    return pc.if_else(column.is_valid(), texts, _NULL)


def _structs(column: pa.Array) -> "pa.StringArray":
    if not column.type.num_fields:
        return pa.array(["{}"] * len(column), _TEXT)
    pieces: list[pa.Array | str] = []
    for position, member in enumerate(column.type):
        start = "," if position else "{"
        pieces += [f"{start}{_json(member.name)}:"]
        pieces += [_json_members(pc.struct_field(column, [position]))]
    return pc.binary_join_element_wise(*pieces, "}", "")


def _scalar(cell: pa.Scalar) -> str | None:
    try:
        value = cell.as_py()
    except (OverflowError, ValueError):  # Python has no such date or time
        return _json(f"{OUT_OF_RANGE}>")
    return None if value is None else _json(value)


def _maps(column: pa.Array) -> "pa.StringArray":
    kind = column.type
    entries = column.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    pairs = pc.list_flatten(entries)
    keys = _json_strings(_text_of(pc.struct_field(pairs, [0])))
    values = _json_members(pc.struct_field(pairs, [1]))
    return _joined(entries, pc.binary_join_element_wise(keys, values, ":"), "{}")


def _joined(lists: pa.Array, members: "pa.StringArray", brackets: str) -> "pa.StringArray":
    """The members of each list between ``brackets``; ``members`` are those of all lists."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    joined = pc.binary_join(pa.LargeListArray.from_arrays(offsets, members), ",")
    return pc.binary_join_element_wise(brackets[0], joined, brackets[1], "")


def _json_members(column: pa.Array) -> "pa.StringArray":
    """A column as members of JSON; a member without a value is ``null``."""
    kind = column.type
    texts = _text_of(column)
    if _is_json_string(kind):
        texts = _json_strings(texts)
    elif pa.types.is_floating(kind):
        finite = pc.match_substring_regex(texts, "[0-9]")
        texts = pc.if_else(finite, texts, pc.binary_join_element_wise('"', texts, '"', ""))
    return pc.fill_null(texts, "null")


def _is_json_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_json_string(kind.value_type)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return not (is_number or pa.types.is_boolean(kind) or pa.types.is_nested(kind))


def _json_strings(texts: "pa.StringArray") -> "pa.StringArray":
    coded = texts.dictionary_encode()
    quoted = [_json(text) for text in coded.dictionary.to_pylist()]
    return pa.array(quoted, _TEXT).take(coded.indices)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
