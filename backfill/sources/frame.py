"""A pandas frame or an Arrow table, read as a stream of text columns."""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from backfill.sources.part import BATCH_BYTES, Rows, whole_rows
from backfill.sources.typed import SAMPLE_ROWS, is_temporal, rows_at_once, text_bytes, texts_of

_DATES = frozenset({"date", "datetime", "datetime64"})


class Frame:
    """A ``Part`` that is in memory already; its first row is number 1, an index is ignored."""

    name = "frame"
    dialect = "in memory"

    def __init__(self, frame: pd.DataFrame | pa.Table, *, block_bytes: int = BATCH_BYTES) -> None:
        self._count = len(frame)
        if isinstance(frame, pd.DataFrame):
            names = [str(name) for name in frame.columns]
            series = [frame.iloc[:, place] for place in range(len(names))]
            temporal = [_series_is_temporal(column) for column in series]
            self._slices = [_of_series(column) for column in series]
        else:
            names = frame.column_names
            temporal = [is_temporal(kind) for kind in frame.schema.types]
            self._slices = [_of_column(column) for column in frame.columns]
        self.columns = tuple(name.strip() for name in names)
        self.temporal = frozenset(place for place, is_one in enumerate(temporal) if is_one)
        sample = self._texts(range(len(names)), 0, SAMPLE_ROWS, lenient=True)
        self.text_bytes = text_bytes(sample, self._count)
        self._rows_at_once = rows_at_once(self.text_bytes, self._count, block_bytes)

    def rows(self, columns: Sequence[int], *, lenient: bool = False) -> Iterator[Rows]:
        for start in range(0, self._count, self._rows_at_once):
            texts = self._texts(columns, start, self._rows_at_once, lenient=lenient)
            yield whole_rows(texts, start + 1)

    def assert_unchanged(self) -> None:
        """A frame is ours for the length of a run."""

    def _texts(self, columns: Sequence[int], start: int, rows: int, *, lenient: bool) -> pa.Table:
        stop = min(start + rows, self._count)
        labels = [self.columns[place] for place in columns]
        asked = [self._slices[place](start, stop) for place in columns]
        return texts_of(self.name, labels, asked, stop - start, lenient=lenient)


_Slice = Callable[[int, int], pa.Array]


def _of_column(column: pa.ChunkedArray) -> _Slice:
    def cut(start: int, stop: int) -> pa.Array:
        whole = column.slice(start, stop - start).combine_chunks()
        # One chunk or, in some versions and for some types, still a chunked array.
        return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)

    return cut


def _of_series(series: "pd.Series[Any]") -> _Slice:
    def cut(start: int, stop: int) -> pa.Array:
        piece = series.iloc[start:stop]
        if piece.dtype == object or isinstance(piece.dtype, pd.PeriodDtype | pd.IntervalDtype):
            return _of_objects(piece)
        try:
            found = pa.array(piece, from_pandas=True)
        except (pa.ArrowException, TypeError):  # complex numbers
            return _of_objects(piece.astype(object))
        return found if isinstance(found, pa.Array) else _of_column(found)(0, len(found))

    return cut


def _series_is_temporal(series: "pd.Series[Any]") -> bool:
    if series.dtype == object:
        return pd.api.types.infer_dtype(series, skipna=True) in _DATES
    return is_temporal(_of_series(series)(0, 0).type)


def _of_objects(values: "pd.Series[Any]") -> pa.Array:
    cells = [_cell(value) for value in values]
    if any(isinstance(cell, bytes) for cell in cells):
        raw = [cell.encode() if isinstance(cell, str) else cell for cell in cells]
        return pa.array(raw, pa.binary())
    return pa.array(cells, pa.string())


def _cell(value: object) -> str | bytes | None:
    """One cell of a column whose values have no common type, in the words of typed columns."""
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
            return json.dumps(_in_json(value), ensure_ascii=False, separators=(",", ":"))
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


def _in_json(value: object) -> object:
    """What ``json`` can write; a NaN would make text that is no JSON."""
    match value:
        case dict():
            return {str(name): _in_json(member) for name, member in value.items()}
        case list() | tuple() | np.ndarray():
            return [_in_json(member) for member in value]
        case np.generic():
            return _in_json(value.item())
        case float() if not np.isfinite(value):
            return _number(value)
        case str() | bool() | int() | float() | None:
            return value
    cell = _cell(value)
    return cell.decode("utf-8", "backslashreplace") if isinstance(cell, bytes) else cell
