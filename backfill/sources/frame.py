"""A pandas frame or an Arrow table, read as a stream of text columns."""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from backfill.sources.source import BATCH_BYTES, Rows, rows_from
from backfill.sources.text import (
    SAMPLE_ROWS,
    columns_as_text,
    estimated_bytes,
    is_temporal,
    rows_at_once,
)

_DATES = frozenset({"date", "datetime", "datetime64"})


class Frame:
    """A ``Source`` in memory. Its first row is number 1; an index is ignored."""

    name = "frame"
    dialect = "in memory"

    def __init__(self, frame: pd.DataFrame | pa.Table, *, batch_bytes: int = BATCH_BYTES) -> None:
        self._count = len(frame)
        if isinstance(frame, pd.DataFrame):
            names = [str(name) for name in frame.columns]
            series = [frame.iloc[:, at] for at in range(len(names))]
            temporal = [_series_is_temporal(column) for column in series]
            self._slices = [_series_slice(column) for column in series]
        else:
            names = frame.column_names
            temporal = [is_temporal(kind) for kind in frame.schema.types]
            self._slices = [_column_slice(column) for column in frame.columns]
        self.columns = tuple(name.strip() for name in names)
        self.temporal = frozenset(at for at, is_temporal in enumerate(temporal) if is_temporal)
        sample = self._texts((), range(len(names)), 0, SAMPLE_ROWS)
        self.text_bytes = estimated_bytes(sample, self._count)
        self._rows_at_once = rows_at_once(self.text_bytes, self._count, batch_bytes)

    def rows(self, columns: Sequence[int], inspected: Sequence[int] = ()) -> Iterator[Rows]:
        for start in range(0, self._count, self._rows_at_once):
            texts = self._texts(columns, inspected, start, self._rows_at_once)
            yield rows_from(start + 1, texts)

    def assert_unchanged(self) -> None:
        """Nobody else changes a frame during a run."""

    def _texts(
        self, columns: Sequence[int], inspected: Sequence[int], start: int, rows: int
    ) -> pa.Table:
        stop = min(start + rows, self._count)
        positions = [*columns, *inspected]
        slices = [self._slices[at](start, stop) for at in positions]
        labels = [self.columns[at] for at in positions]
        return columns_as_text(self.name, labels, slices, stop - start, strict=len(columns))


_Slice = Callable[[int, int], pa.Array]
"""Takes the first row and the row behind the last one."""


def _column_slice(column: pa.ChunkedArray) -> _Slice:
    def cut(start: int, stop: int) -> pa.Array:
        whole = column.slice(start, stop - start).combine_chunks()
        # One chunk or, in some versions and for some types, still a chunked array.
        return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)

    return cut


def _series_slice(series: "pd.Series[Any]") -> _Slice:
    def cut(start: int, stop: int) -> pa.Array:
        piece = series.iloc[start:stop]
        if piece.dtype == object or isinstance(piece.dtype, pd.PeriodDtype | pd.IntervalDtype):
            return _objects(piece)
        try:
            found = pa.array(piece, from_pandas=True)
        except (pa.ArrowException, TypeError):  # complex numbers
            return _objects(piece.astype(object))
        return found if isinstance(found, pa.Array) else _column_slice(found)(0, len(found))

    return cut


def _series_is_temporal(series: "pd.Series[Any]") -> bool:
    if series.dtype == object:
        return pd.api.types.infer_dtype(series, skipna=True) in _DATES
    return is_temporal(_series_slice(series)(0, 0).type)


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
            return _time(pd.Timestamp(value))
    return str(value)


def _number(value: "float | np.floating[np.typing.NBitBase]") -> str | None:
    if np.isnan(value):
        return None
    return np.format_float_positional(value, trim="-") if np.isfinite(value) else str(value)


def _time(time: pd.Timestamp) -> str:
    zone = "" if time.tzinfo is None else "Z"
    plain = time if time.tzinfo is None else time.tz_convert("UTC").tz_localize(None)
    whole, _, fraction = plain.isoformat(sep=" ").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}{zone}" if fraction else f"{whole}{zone}"


def _json_value(value: object) -> object:
    """A value that ``json`` can write: a NaN would make text that is no JSON."""
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
