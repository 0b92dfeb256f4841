"""SQL that writes the parts of many events as JSON, and the DuckDB that runs it."""

from collections.abc import Mapping
from functools import cache
from typing import Final

import duckdb
import pyarrow as pa

from backfill.engine.duck import connect

VALUE: Final = "rtrim(rtrim(\"value\"::VARCHAR, '0'), '.')"
"""The amount in its shortest exact form: a decimal's text has all six places, "32.600000"."""


def select(
    columns: str, events: pa.RecordBatch | pa.Table, parameters: dict[str, str] | None = None
) -> pa.Table:
    """Compute ``columns`` for each event.

    Args:
        columns: SQL expressions over the columns of ``events``, as they are written after SELECT.
        events: rows of ``event.EVENTS``.
        parameters: texts that ``columns`` name like columns.
    """
    table = pa.Table.from_batches([events]) if isinstance(events, pa.RecordBatch) else events
    with _engine().cursor() as connection:
        connection.register("events", table)
        named = "".join(f", ${name} AS {name}" for name in parameters or ())
        query = f"SELECT {columns} FROM (SELECT *{named} FROM events)"
        return connection.sql(query, params=parameters or None).to_arrow_table()


def encoded(
    sql: str, events: pa.RecordBatch | pa.Table, parameters: dict[str, str] | None = None
) -> list[bytes]:
    """Compute one text for each event, in UTF-8."""
    return as_bytes(select(f"{sql} AS encoded", events, parameters)["encoded"])


def texts(sql: str, events: pa.Table, parameters: dict[str, str] | None = None) -> list[str]:
    """Compute one text for each event."""
    found: list[str] = select(f"{sql} AS text", events, parameters)["text"].to_pylist()
    return found


def as_bytes(column: pa.Array | pa.ChunkedArray) -> list[bytes]:
    found: list[bytes] = column.cast(pa.binary()).to_pylist()
    return found


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """Connect once for the process: that costs 12 ms, a cursor for a thread 3 µs."""
    return connect()


def member(name: str, value: str) -> str:
    """SQL for ``"name":value``, NULL if the value is NULL."""
    return f"""'"{name}":' || {value}"""


def identifier(names: Mapping[str, str]) -> str:
    """SQL for the one member that identifies the person: the first column that is not empty.

    Args:
        names: of the members, by column, in order.
    """
    cases = (
        f'WHEN "{column}" IS NOT NULL THEN {member(name, json_of(column))}'
        for column, name in names.items()
    )
    return f"CASE {' '.join((*cases, 'WHEN false THEN NULL'))} END"


def other_identifiers(names: Mapping[str, str]) -> list[str]:
    """SQL for each further member that names the person."""
    columns = list(names)
    return [
        f"CASE WHEN coalesce({', '.join(columns[:place])}) IS NOT NULL"
        f" THEN {member(names[column], json_of(column))} END"
        for place, column in enumerate(columns)
        if place
    ]


def json_of(column: str) -> str:
    return f'to_json("{column}")::VARCHAR'


def members_of(column: str) -> str:
    """SQL for the text between the braces of a JSON object, NULL if that is empty."""
    return f"""nullif("{column}"[2:-2], '')"""
