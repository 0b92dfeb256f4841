"""Bounds on the memory and the time that a schema's SQL may take.

Without them, a schema with a few nested calls of replace could use up the machine's memory, and the
system would kill the process without a message.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb

from backfill.engine.memory import MEMORY, others_allow
from backfill.errors import Problem, SchemaError

MEMORY_BYTES: Final = 3_000_000_000
"""Memory beyond what the process holds already. A slice of the export has some 8 MB of text and
takes some hundred MB; an order of a hundred thousand rows takes more."""

TIME_S: Final = 300.0
"""Time for one slice, which usually takes less than a second."""


@contextmanager
def bounded(
    connection: duckdb.DuckDBPyConnection,
    place: str,
    *,
    memory_bytes: int = MEMORY_BYTES,
    time_s: float = TIME_S,
) -> Iterator[None]:
    """Bound the statements that run inside, those of one slice.

    Args:
        connection: where they run; it is interrupted when the time is over.
        place: ``file:line`` of the schema's events, for messages.
        memory_bytes: the memory that they may take, beyond what the process holds now.
        time_s: the time that they may take, in seconds.

    Raises:
        SchemaError: they take too much of either, or fail in a way that try() does not catch.
    """
    timed_out = threading.Event()

    def stop() -> None:
        timed_out.set()
        connection.interrupt()

    timer = threading.Timer(time_s, stop)
    timer.daemon = True
    timer.start()
    try:
        with MEMORY.limited(memory_bytes):
            yield
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        if not others_allow(memory_bytes):
            raise  # this is no fault of the schema
        raise _too_much(place, f"over {memory_bytes // 1_000_000:,} MB of memory") from error
    except duckdb.InterruptException as error:
        if not timed_out.is_set():
            raise
        raise _too_much(place, f"over {time_s:g} seconds") from error
    except duckdb.Error:
        # DuckDB's own text may quote a cell.
        text = "the schema's SQL cannot be computed over these rows; write it in another way"
        raise SchemaError([Problem(place, text)]) from None
    finally:
        timer.cancel()
        timer.join()  # a thread that still holds the connection at the end aborts the process


def _too_much(place: str, amount: str) -> SchemaError:
    text = (
        f"the schema's SQL takes {amount} for one slice of the export; look for functions that "
        "make long texts or lists (replace, string_split, ||), and for lambdas over long lists"
    )
    return SchemaError([Problem(place, text)])
