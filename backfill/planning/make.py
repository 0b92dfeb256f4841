"""Makes a plan of an export: maps all of it, judges the whole, and checks that it adds up."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Counts
from backfill.mapping.program import Bounds
from backfill.planning.judge import judge
from backfill.planning.judgement import Known, Profiles
from backfill.planning.map_export import ExportMapper, Look
from backfill.planning.oversized import reject_accepted
from backfill.planning.plan import Plan, files_of_events, rows_of_orders
from backfill.schema.bind import BoundSchema
from backfill.sources.export import Export
from backfill.wire.interface import Limits


def make_plan(
    bound: BoundSchema,
    export: Export,
    folder: Path,
    *,
    profiles: Profiles,
    bounds: Bounds,
    limits: Limits,
    known: Known,
    on_rows: Callable[[int], None] = lambda _: None,
    look: Look | None = None,
) -> Plan:
    """Read all of an export, map it, judge it.

    Args:
        bound: the schema, bound to the export's columns.
        export: is read to its end.
        folder: is made, and left with the plan's files.
        profiles: which events carry their person's attributes.
        bounds: which event times are right, in Unix seconds.
        limits: what a request of the API may hold.
        known: what the ledger knows.
        on_rows: is told how many rows were read, 0 between slices; what it raises stops the plan.
        look: sees all cells of each batch, also those that the schema does not use; None for none.

    Raises:
        ExportError: the export cannot be read to its end.
        SchemaError: the schema's SQL takes too much memory or time.
    """
    folder.mkdir(mode=0o700, parents=True)
    carries = profiles != "none"
    outcomes = ExportMapper(
        program=compile_schema(bound, export.temporal, bounds, attributes=carries),
        export=export,
        folder=folder,
        limits=limits,
        across_files=bound.schema.source.across_files,
        carries=carries,
        on_rows=on_rows,
        look=look,
    ).map_all()
    counts = sum((outcome.counts for outcome in outcomes), Counts())
    reasons = sum((outcome.reasons for outcome in outcomes), Counter[str]())
    on_rows(0)
    judgement = judge(
        files_of_events(folder),
        [outcome.events for outcome in outcomes],
        folder / "spill",
        profiles,
        known,
        shared_limit=bound.schema.source.shared_identity_limit,
    )
    for lost in judgement.rejected:
        rows = len(rows_of_orders(folder, lost.orders))
        counts = reject_accepted(counts, len(lost.orders), rows)
        reasons[lost.reason] += len(lost.orders)
    _assert_adds_up(counts, reasons)
    return Plan(
        folder=folder, counts=counts, judgement=judgement, profiles=profiles, reasons=reasons
    )


def _assert_adds_up(counts: Counts, reasons: Counter[str]) -> None:
    """Nothing may vanish between the export and the plan."""
    parts = counts.rows_accepted + counts.rows_rejected + counts.rows_left_out
    if counts.rows != parts or sum(reasons.values()) != counts.orders_rejected:
        raise AssertionError(f"rows do not add up: {counts}, {dict(reasons)}")
