"""Typed columns on their way to text: what Parquet files and frames have in common."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from backfill.errors import ExportError
from backfill.sources.part import positional
from backfill.sources.text import as_text, as_text_or_hex

SAMPLE_ROWS: Final = 2_000
"""Read at the opening, to know about how much text a row is."""

_ROWS_MAX: Final = 200_000


def is_temporal(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return is_temporal(kind.value_type)
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def texts_of(
    name: str, labels: Sequence[str], columns: Sequence[pa.Array], count: int, *, lenient: bool
) -> pa.Table:
    """``count`` rows as text, ``c0``, ``c1`` …; ``labels`` are the columns' names for messages.

    Raises:
        ExportError: a column with bytes that are no text, unless ``lenient``.
    """
    texts = []
    for label, column in zip(labels, columns, strict=True):
        try:
            texts.append(as_text_or_hex(column) if lenient else as_text(column))
        except pa.ArrowException as error:
            if "overflow" in str(error):
                raise ExportError(
                    f'{name}: column "{label}" has over 2 GB of text in {count:,} rows, and no '
                    "export has such cells"
                ) from None
            raise ExportError(
                f'{name}: column "{label}" holds bytes that are no UTF-8 text; '
                "leave it out of the schema, or write it as text"
            ) from None  # Arrow may quote a cell
    return positional(texts, count)


def text_bytes(sample: pa.Table, count: int) -> int:
    """About how much text ``count`` rows like those of the sample are."""
    size: int = sample.nbytes
    rows: int = sample.num_rows
    return size * count // max(rows, 1)


def rows_at_once(size: int, count: int, block_bytes: int) -> int:
    """How many of ``count`` rows, ``size`` bytes of text in all, make one block."""
    return max(1, min(_ROWS_MAX, block_bytes * count // max(size, 1)))
