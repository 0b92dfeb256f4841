"""A pandas frame or an Arrow table, read as a stream of text columns."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from backfill.sources.source import BATCH_BYTES, Rows, rows_from
from backfill.sources.text import (
    OUT_OF_RANGE,
    SAMPLE_ROWS,
    columns_as_text,
    estimated_bytes,
    rows_at_once,
    typed_columns,
)

_OBJECTS: Final = {
    **dict.fromkeys(("date", "datetime", "datetime64"), pa.timestamp("us")),
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), pa.float64()),
}
"""The types of columns of Python's objects, by the words of pandas."""


class Frame:
    """A ``Source`` in memory. Its first row is number 1; an index is ignored."""

    name = "frame"
    dialect = "in memory"
    ending = None
    skipped_lines = 0

    def __init__(self, frame: pd.DataFrame | pa.Table, *, batch_bytes: int = BATCH_BYTES) -> None:
        self._frame = frame
        if isinstance(frame, pd.DataFrame):
            names = [str(name) for name in frame.columns]
            self.typed = typed_columns(_type_of(frame.iloc[:, at]) for at in range(len(names)))
        else:
            names = frame.column_names
            self.typed = typed_columns(frame.schema.types)
        self.columns = tuple(name.strip() for name in names)
        sample = self._texts((), range(len(names)), 0, SAMPLE_ROWS)
        self.text_bytes = estimated_bytes(sample, len(frame))
        self._rows_at_once = rows_at_once(self.text_bytes, len(frame), batch_bytes)

    def rows(self, columns: Sequence[int], inspected: Sequence[int] = ()) -> Iterator[Rows]:
        for start in range(0, len(self._frame), self._rows_at_once):
            texts = self._texts(columns, inspected, start, self._rows_at_once)
            yield rows_from(start + 1, texts)

    def assert_unchanged(self) -> None:
        """Nobody else changes a frame during a run."""

    def _texts(
        self, columns: Sequence[int], inspected: Sequence[int], start: int, rows: int
    ) -> pa.Table:
        stop = min(start + rows, len(self._frame))
        positions = [*columns, *inspected]
        labels = [self.columns[at] for at in positions]
        cells = [self._cells(at, start, stop) for at in positions]
        return columns_as_text(self.name, labels, cells, stop - start, strict=len(columns))

    def _cells(self, column: int, start: int, stop: int) -> pa.Array:
        if isinstance(self._frame, pd.DataFrame):
            return _of_series(self._frame.iloc[start:stop, column])
        return _of_chunks(self._frame.column(column).slice(start, stop - start))


def _of_chunks(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    # An array or, in some versions of pyarrow and for some types, a chunked array again.
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def _of_series(series: "pd.Series[Any]") -> pa.Array:
    if series.dtype == object or isinstance(series.dtype, pd.PeriodDtype | pd.IntervalDtype):
        return _objects(series)
    try:
        found = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError):  # complex numbers
        return _objects(series.astype(object))
    return found if isinstance(found, pa.Array) else _of_chunks(found)


def _type_of(series: "pd.Series[Any]") -> pa.DataType:
    if series.dtype == object:
        return _OBJECTS.get(pd.api.types.infer_dtype(series, skipna=True), pa.null())
    return _of_series(series.iloc[:0]).type


def _objects(values: "pd.Series[Any]") -> pa.Array:
    cells = [_cell(value) for value in values]
    if any(isinstance(cell, bytes) for cell in cells):
        raw = [cell.encode() if isinstance(cell, str) else cell for cell in cells]
        return pa.array(raw, pa.binary())
    return pa.array(cells, pa.string())


def _cell(value: object) -> str | bytes | None:
    """One cell of a column whose values have no common type, written as ``as_text`` writes it."""
    match value:
        case str() | bytes():
            return value
        case bool() | np.bool_():
            return "true" if value else "false"
        case float() | np.floating():
            return _number(value)
        case Decimal():
            return None if value.is_nan() else format(value, "f")
        case list() | tuple() | dict() | np.ndarray():
            return json.dumps(_json_value(value), ensure_ascii=False, separators=(",", ":"))
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    match value:
        case dt.datetime() | np.datetime64():
            return _time(value)
    return str(value)


def _number(value: "float | np.floating[np.typing.NBitBase]") -> str | None:
    if np.isnan(value):
        return None
    return np.format_float_positional(value, trim="-") if np.isfinite(value) else str(value)


def _time(value: dt.datetime | np.datetime64) -> str:
    try:
        time = pd.Timestamp(value)
    except pd.errors.OutOfBoundsDatetime:
        return f"{OUT_OF_RANGE}>"
    zone = "" if time.tzinfo is None else "Z"
    plain = time if time.tzinfo is None else time.tz_convert("UTC").tz_localize(None)
    whole, _, fraction = plain.isoformat(sep=" ").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}{zone}" if fraction else f"{whole}{zone}"


def _json_value(value: object) -> object:
    """A value that ``json`` can write: a NaN would make text that is not JSON."""
    match value:
        case dict():
            return {str(name): _json_value(member) for name, member in value.items()}
        case list() | tuple() | np.ndarray():
            return [_json_value(member) for member in value]
        case np.generic():
            return _json_value(value.item())
        case float() if not np.isfinite(value):
            return _number(value)
        case str() | bool() | int() | float() | None:
            return value
    cell = _cell(value)
    return cell.decode("utf-8", "backslashreplace") if isinstance(cell, bytes) else cell
