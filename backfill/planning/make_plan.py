"""Makes a plan of an export: maps all of it, judges the whole, and checks that it adds up."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Counts
from backfill.mapping.program import Bounds
from backfill.planning.equal_rows import orders_with_equal_rows
from backfill.planning.judge import judge
from backfill.planning.judgement import Judgement, Known, Profiles, order_code
from backfill.planning.map_export import CellsListener, ExportMapper, Outcome
from backfill.planning.oversized import reject_accepted
from backfill.planning.plan import Plan, files_of_events, rows_of_orders
from backfill.planning.unfinished_line import unfinished_orders
from backfill.schema.bind import BoundSchema
from backfill.schema.model import Source
from backfill.sources.ending import Ending
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
    lines_end: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
    on_cells: CellsListener | None = None,
) -> Plan:
    """Read all of an export, map it, and judge it.

    Args:
        bound: the schema, bound to the export's columns.
        export: it is read to its end.
        folder: a new folder for the plan's files; it stays.
        profiles: which events carry their person's attributes: each person's newest one, none, or
            every one.
        bounds: the times that events may have.
        limits: what a request of the API may hold.
        known: what the ledger knows.
        lines_end: have earlier files of this schema ended their last line? Then the order on a last
            line without a line end is a reject, unless the schema says that it is whole.
        on_rows: called with the rows of each batch that is read, and with 0 between slices. An
            error that it raises stops the plan.
        on_cells: called with all cells of each batch, also of columns that the schema does not use.

    Returns:
        The plan in ``folder``.

    Raises:
        ExportError: the export cannot be read to its end.
        SchemaError: a constant of the schema does not fit its type, or the schema's SQL takes too
            much memory or time.
    """
    folder.mkdir(mode=0o700, parents=True)
    attributes = profiles != "none"
    mapper = ExportMapper(
        program=compile_schema(bound, export.typed, bounds, attributes=attributes),
        export=export,
        folder=folder,
        limits=limits,
        across_files=bound.schema.source.across_files,
        attributes=attributes,
        on_rows=on_rows,
        on_cells=on_cells,
        sums=known.sums,
    )
    outcomes = mapper.map_all()
    on_rows(0)
    counts = sum((outcome.counts for outcome in outcomes), Counts())
    equal_rows = orders_with_equal_rows(counts, export, folder, lambda: on_rows(0))
    waiting = export.endings if lines_end and bound.schema.source.last_line is None else {}
    plan = _judged(bound.schema.source, folder, outcomes, counts, waiting, profiles, known)
    ends = [ending.has_line_end for ending in export.endings.values()]
    return replace(plan, equal_rows=equal_rows, last_lines_end=all(ends) if ends else None)


def _judged(
    source: Source,
    folder: Path,
    outcomes: Sequence[Outcome],
    counts: Counts,
    waiting: Mapping[int, Ending],
    profiles: Profiles,
    known: Known,
) -> Plan:
    """Judge the events of all slices, and add up what the slices and the judgement counted."""
    judgement = judge(
        files_of_events(folder),
        [outcome.events for outcome in outcomes],
        folder / "spill",
        profiles,
        known,
        shared_limit=source.shared_identity_limit,
        unclear={column: order_code(*places) for column, places in counts.marks.unclear().items()},
        unfinished=unfinished_orders(waiting, folder),
    )
    reasons = sum((outcome.reasons for outcome in outcomes), Counter[str]())
    counts = _added_up(counts, reasons, judgement, folder)
    return Plan(
        folder=folder, counts=counts, judgement=judgement, profiles=profiles, reasons=reasons
    )


def _added_up(counts: Counts, reasons: Counter[str], judgement: Judgement, folder: Path) -> Counts:
    """The counts of all slices, with those of the judgement, which are added to ``reasons`` too."""
    for rejected in judgement.rejected:
        orders, rows = len(rejected.orders), len(rows_of_orders(folder, rejected.orders))
        counts = reject_accepted(counts, orders, rows)
        reasons[rejected.reason] += orders
    _assert_adds_up(counts, reasons)
    return counts


def _assert_adds_up(counts: Counts, reasons: Counter[str]) -> None:
    """Nothing may vanish between the export and the plan."""
    parts = counts.rows_accepted + counts.rows_rejected + counts.rows_left_out
    if counts.rows != parts or reasons.total() != counts.orders_rejected:
        raise AssertionError(f"rows do not add up: {counts}, {dict(reasons)}")
