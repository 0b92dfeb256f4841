"""SQL over many events at once: what writes their parts as JSON, and the engine that runs it."""

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
    """What ``columns`` come to for each event; ``$name`` in them is one of ``parameters``."""
    table = pa.Table.from_batches([events]) if isinstance(events, pa.RecordBatch) else events
    with _engine().cursor() as connection:
        connection.register("events", table)
        named = "".join(f", ${name} AS {name}" for name in parameters or ())
        query = f"SELECT {columns} FROM (SELECT *{named} FROM events)"
        return connection.sql(query, params=parameters or None).to_arrow_table()


def encoded(
    sql: str, events: pa.RecordBatch | pa.Table, parameters: dict[str, str] | None = None
) -> list[bytes]:
    column = select(f"{sql} AS encoded", events, parameters)["encoded"]
    found: list[bytes] = column.cast(pa.binary()).to_pylist()
    return found


def texts(sql: str, events: pa.Table, parameters: dict[str, str] | None = None) -> list[str]:
    found: list[str] = select(f"{sql} AS text", events, parameters)["text"].to_pylist()
    return found


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """One for the process: to connect costs 12 ms, a cursor of its own for a thread 3 µs."""
    return connect()


def member(name: str, value: str) -> str:
    """``"name":value``, NULL if the value is."""
    return f"""'"{name}":' || {value}"""


def json_of(column: str) -> str:
    return f'to_json("{column}")::VARCHAR'


def members_of(column: str) -> str:
    """What stands between the braces of a JSON object, NULL if that is nothing."""
    return f"""nullif("{column}"[2:-2], '')"""
