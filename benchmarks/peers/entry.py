"""The entry of Bulk Create Events that flat.yaml makes of a row; what a peer tells of itself."""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Final

KEY: Final = "pk_LOCAL1_bench"
BATCH_EVENTS: Final = 1_000


def entry(row: dict[str, Any]) -> dict[str, Any]:
    """One item of ``events-bulk-create.data``: a person, with one event."""
    event = {
        "type": "event",
        "attributes": {
            "metric": {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}},
            "properties": {
                "OrderId": row["order_id"],
                "Currency": row["currency"],
                "Item": row["item"],
            },
            "time": row["ordered_at"],
            "value": float(row["total"]),
            "unique_id": row["order_id"],
            "backfill": True,
        },
    }
    person = {
        "email": row["email"],
        "first_name": row["first_name"],
        "last_name": row["last_name"],
    }
    return {
        "type": "event-bulk-create",
        "attributes": {
            "backfill": True,
            "profile": {"data": {"type": "profile", "attributes": person}},
            "events": {"data": [event]},
        },
    }


def job(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of one request."""
    return {
        "data": {
            "type": "event-bulk-create-job",
            "attributes": {"events-bulk-create": {"data": [entry(row) for row in rows]}},
        }
    }


def tell(send: Callable[[str, str], object]) -> None:
    """Run a peer on the arguments of this process, and say what it took."""
    began, before = time.perf_counter(), _cpu_s()
    send(*sys.argv[1:])
    seconds, cpu_s = time.perf_counter() - began, _cpu_s() - before
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s}), flush=True)


def _cpu_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
