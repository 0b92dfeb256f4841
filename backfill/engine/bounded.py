"""A bound on the memory and the time that a schema's SQL may take, so that it ends with a sentence.

Without it a schema from elsewhere, a few replace() within each other, ends in the system's killer.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb

from backfill.engine.memory import MEMORY
from backfill.errors import Problem, SchemaError

MEMORY_BYTES: Final = 3_000_000_000
"""More than what the process holds already. A slice of the export has some 8 MB of text and takes
some hundred; an order of a hundred thousand rows takes more."""

TIME_S: Final = 300.0
"""For one slice, which takes less than a second."""


@contextmanager
def bounded(
    connection: duckdb.DuckDBPyConnection,
    place: str,
    *,
    memory_bytes: int = MEMORY_BYTES,
    time_s: float = TIME_S,
) -> Iterator[None]:
    """Around the statements of one slice; ``place`` is where the schema's events begin.

    Raises SchemaError where they take too much of either, or fail in a way that try() lets pass.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(time_s, stop)
    timer.daemon = True
    timer.start()
    try:
        with MEMORY.limited(memory_bytes):
            yield
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise _too_much(place, f"over {memory_bytes // 1_000_000:,} MB of memory") from error
    except duckdb.InterruptException as error:
        if not late.is_set():
            raise
        raise _too_much(place, f"over {time_s:g} seconds") from error
    except duckdb.Error as error:
        what = f"the schema's SQL cannot be computed ({type(error).__name__}), whatever the row"
        # DuckDB's own text may quote a cell
        raise SchemaError([Problem(place, f"{what}; write it in another way")]) from None
    finally:
        timer.cancel()


def _too_much(place: str, what: str) -> SchemaError:
    text = (
        f"the schema's SQL takes {what} for one piece of the export; look for texts or lists that "
        "it makes longer (replace, string_split, ||) and for lambdas over long lists"
    )
    return SchemaError([Problem(place, text)])
