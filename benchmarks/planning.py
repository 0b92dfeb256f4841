"""One export into one plan: what the planning process itself tells of it, as JSON.

python -m benchmarks.planning SCHEMA EXPORT FOLDER
"""

import json
import sys
import time
from pathlib import Path

from backfill import limits
from backfill.mapping.program import Bounds
from backfill.planning.judgement import Known
from backfill.planning.make_plan import make_plan
from backfill.planning.plan import Plan
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import open_export
from backfill.wire.track import Track

LATEST_S = 1_900_000_000
"""Later than any generated order, and no matter of today's date."""


def planned(schema: Path, export: Path, folder: Path) -> Plan:
    loaded = load_schema(schema)
    source = open_export([export])
    return make_plan(
        bind(loaded, source.columns),
        source,
        folder,
        profiles=loaded.schema.profiles or "none",
        bounds=Bounds(limits.TRACK_MIN_TIME_S, LATEST_S),
        limits=Track(),
        known=Known(),
    )


def main(schema: str, export: str, folder: str) -> None:
    began = time.perf_counter()
    plan = planned(Path(schema), Path(export), Path(folder))
    seconds = time.perf_counter() - began
    found = {
        "seconds": seconds,
        "rows": plan.counts.rows,
        "orders": plan.counts.orders_accepted,
        "rejected": plan.counts.orders_rejected,
        "events": plan.judgement.events,
        "digest": plan.judgement.digest,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
