"""Map a cell of every type in a process that hears of each file, socket, thread and child.

``python -m tests.audited_mapping`` prints the rejects, the number of events, and what was touched
besides files that came with Python or the package, as JSON.
"""

import json
import sys
import threading

import pyarrow as pa

import backfill
from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame
from backfill.wire.bulk import Bulk
from backfill.wire.track import Track

SCHEMA = {
    "name": "shop",
    "source": {"order": "No", "line": ["More"]},
    "columns": {
        "At": "time",
        "Total": "money",
        "Land": "country",
        "Call": {"phone": {"country": "Land"}},
        "Paid in": "currency",
        "More": "json",
        "Size": {"pairs": "|"},
    },
    "profiles": "newest",
    "customer_properties": {"$email": "Mail", "$phone_number": "Call"},
    "events": [
        {
            "event": "Placed Order",
            "time": {"column": "At", "zone": "Zone"},
            "currency": "Paid in",
            "properties": {
                "$event_id": "{No}",
                "$value": "Total",
                "Land": "Land",
                "Size": "Size",
                "More": {"each": "More"},
            },
        }
    ],
}
CELLS = {
    "No": "1",
    "Mail": "a@shop.example",
    "At": "2020-01-01T10:00",
    "Zone": "PST",
    "Total": "1.50",
    "Land": "Deutschland",
    "Call": "030 12345678",
    "Paid in": "EUR",
    "More": '{"a": 1}',
    "Size": "w:2|h:3",
}
BOUNDS = Bounds(0, 2**31)
WATCHED = ("open", "socket", "subprocess", "time")


def main() -> None:
    export = Export([Frame(pa.table({name: [cell] for name, cell in CELLS.items()}))])
    bound = bind(load_schema(json.dumps(SCHEMA) + "\n"), export.columns)
    columns = compile_schema(bound, export.typed, BOUNDS, attributes=True).columns
    rows = pa.concat_tables(export.batches(columns))
    inside = (sys.prefix, sys.base_prefix, *backfill.__path__)
    touched = []

    def hear(event, args):
        if event.split(".")[0] in WATCHED and not str(args[0] if args else "").startswith(inside):
            touched.append(f"{event} {args[:1]}")

    start = threading.Thread.start

    def hear_start(thread):
        touched.append(f"thread {thread.name}")
        start(thread)

    threading.Thread.start = hear_start
    sys.addaudithook(hear)
    mapper = Mapper(compile_schema(bound, export.typed, BOUNDS, attributes=True), None)
    found = mapper.map(rows)
    sized = found.events.append_column("carries", pa.array([True]))
    for wire in (Track(), Bulk("pk_ABC123_x", backfill=True)):
        wire.measure(found.events)
        wire.payloads(sized)
    heard = touched.copy()
    json.dump([found.rejects.to_pylist(), found.events.num_rows, heard], sys.stdout)


main()
