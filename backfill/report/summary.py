"""What a run did, in counts that add up."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from backfill.delivery.delivery import Delivery
from backfill.planning.judgement import MetricCount, MonthCount
from backfill.planning.plan import Plan

State = Literal["planned", "finished", "stopped", "failed", "gated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    metric: str
    events: int
    first: str
    last: str
    """The times of its first and its last event."""
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InAccount:
    """What the account showed of the events that the run delivered, when the run had ended.

    ``delivered`` of the run = ``found`` + ``not_visible`` + ``missing``.
    """

    found: int
    not_visible: int
    """Not found, and delivered too recently to be called missing."""
    missing: int
    unexpected: int
    """What it has besides, on the days of these events, and the ledger does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The counts of a run.

    ``events`` = ``already`` + ``delivered`` + ``refused`` + ``left``, or it raises AssertionError.

    Rows, orders and events are those of the export and its plan; ``rejected`` and ``reasons``
    count orders; ``bytes`` and ``requests`` are those of request bodies, planned or sent.
    """

    run: str
    state: State
    schema: str
    api: str
    rows: int
    rows_left_out: int
    rows_blank: int
    rows_undecided: int
    orders: int
    rejected: int
    reasons: Mapping[str, int]
    events: int
    repeats: int
    already: int
    delivered: int
    refused: int
    left: int
    phones_dropped: int
    """Delivered events that went without the phone number, because Klaviyo refused it."""
    changed_orders: int
    equal_rows: int
    """Orders with rows that are equal in every column, if they are too many for a chance."""
    people: int
    metrics: tuple[Metric, ...]
    months: tuple[MonthCount, ...]
    requests: int
    bytes: int
    seconds: float
    digest: str
    clock_skipped: int
    clock_doubled: int
    disagreements: Mapping[str, int]
    left_out_cells: Mapping[str, Mapping[str, int]]
    """Orders by column and reason, where the schema leaves out a cell that does not fit."""
    rounded: Mapping[str, int]
    """Orders with an amount of more places than its currency, by the column."""
    undecided: Mapping[str, Mapping[str, int]]
    """Orders that are left out because empty columns leave a ``where`` unknown, by metric and
    columns; ``rows_undecided`` are their rows."""
    undecided_events: Mapping[str, Mapping[str, int]]
    """Accepted orders that lack an event for the same reason."""
    last_lines_end: bool | None
    """Does every CSV file end its last line? None where the export has no CSV file with rows."""
    notes: tuple[str, ...]
    in_account: InAccount | None = None
    """None where the account was not asked, or gave no answer."""
    next: str = ""
    """The command that continues, if anything is left."""

    def __post_init__(self) -> None:
        if self.events != self.already + self.delivered + self.refused + self.left:
            raise AssertionError(f"events do not add up: {self}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarise(
    plan: Plan,
    delivery: Delivery,
    *,
    run: str,
    state: State,
    schema: str,
    api: str,
    seconds: float,
    notes: tuple[str, ...],
    next_command: str,
) -> Summary:
    """The counts of a plan and of what was delivered of it; the rest is the run's own."""
    counts, judgement = plan.counts, plan.judgement
    return Summary(
        run=run,
        state=state,
        schema=schema,
        api=api,
        rows=counts.rows,
        rows_left_out=counts.rows_left_out,
        rows_blank=counts.rows_blank,
        rows_undecided=counts.rows_undecided,
        orders=counts.orders_accepted + counts.orders_rejected,
        rejected=counts.orders_rejected,
        reasons=dict(plan.reasons),
        events=judgement.events,
        repeats=judgement.repeats,
        already=judgement.already,
        delivered=delivery.delivered,
        refused=delivery.refused,
        phones_dropped=delivery.phones_dropped,
        left=plan.to_send - delivery.delivered - delivery.refused,
        changed_orders=judgement.changed_orders,
        equal_rows=plan.equal_rows,
        people=judgement.people,
        metrics=tuple(map(_metric, judgement.metrics)),
        months=judgement.months,
        requests=delivery.requests,
        bytes=delivery.body_bytes,
        seconds=round(seconds, 3),
        digest=judgement.digest,
        clock_skipped=counts.clock_skipped,
        clock_doubled=counts.clock_doubled,
        disagreements=dict(counts.disagreements),
        left_out_cells=_nested(counts.left_out_cells),
        undecided=_nested(counts.undecided),
        undecided_events=_nested(counts.undecided_events),
        rounded=dict(counts.rounded),
        last_lines_end=plan.last_lines_end,
        notes=notes,
        next=next_command,
    )


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (outer, inner), count in counts.items():
        found.setdefault(outer, {})[inner] = count
    return found


def _metric(count: MetricCount) -> Metric:
    return Metric(
        metric=count.metric,
        events=count.events,
        first=iso(count.first_s),
        last=iso(count.last_s),
        value=count.value,
    )


def iso(time_s: int) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a clock past 9999
        return f"{time_s} s"
