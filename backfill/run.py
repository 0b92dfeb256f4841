"""One run from export to summary: plan, gates, deliver, record."""

import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import httpx
import pandas as pd
import pyarrow as pa

from backfill import limits
from backfill.delivery.endpoint import base_url, is_loopback
from backfill.delivery.ledger import Ledger, Run, Target
from backfill.delivery.lock import hold
from backfill.delivery.pace import Window
from backfill.delivery.refusals import Refusals
from backfill.delivery.run import Delivery, How, deliver
from backfill.errors import (
    AgainError,
    BackfillError,
    GateError,
    StoppedError,
    UsageError,
)
from backfill.judge import Known, Profiles
from backfill.mapping.compile import Bounds
from backfill.plan import Limits, Plan, make_plan
from backfill.report.rejects import write_rejects
from backfill.report.summary import Metric, Summary, iso
from backfill.report.summary import State as SummaryState
from backfill.schema.bind import BoundSchema, bind
from backfill.schema.id_rule import id_rule
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.sources.export import Export, open_export
from backfill.sources.part import Reading
from backfill.state import RunFolder, State
from backfill.wire import track

Exports: TypeAlias = Sequence[str | Path] | pd.DataFrame | pa.Table

TRACK_LIMITS: Final = Limits(track.sizes, limits.TRACK_MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True)
class Share:
    """How many rejects are too many: a number of orders, or a share of them."""

    orders: int | None = None
    percent: float | None = None

    def exceeded(self, rejected: int, orders: int) -> bool:
        if self.orders is not None:
            return rejected > self.orders
        return self.percent is not None and rejected * 100 > self.percent * orders

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.orders)


@dataclass(frozen=True, slots=True)
class Account:
    """Where events go, and with which key; a key is shown nowhere."""

    url: str
    key: str = field(repr=False)

    @property
    def target(self) -> Target:
        return Target(self.url, self.key)

    @property
    def is_local(self) -> bool:
        return is_loopback(httpx.URL(base_url(self.url)).host)


@dataclass(frozen=True, slots=True)
class Options:
    """What a person can ask of a run beside schema and export."""

    profiles: Profiles | None = None
    limit: int | None = None
    until: str | None = None
    max_rejects: Share | None = None
    expect: str | None = None
    new_ids: bool = False
    keep_plan: bool = False
    concurrency: int = 16
    windows: tuple[Window, ...] | None = None
    """None is what the API documents."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a run tells while it works, and what it asks."""

    on_rows: Callable[[int], None] = lambda _: None
    on_plan: Callable[[Summary], None] = lambda _: None
    on_progress: Callable[[Delivery], None] = lambda _: None
    confirm: Callable[[Summary], bool] = lambda _: True
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that came as far as its summary; ``error`` says why it did not come further."""

    summary: Summary
    error: BackfillError | None = None


def prepare(loaded: LoadedSchema, exports: Exports) -> tuple[Export, BoundSchema]:
    """Raises ExportError, SchemaError."""
    source = loaded.schema.source
    reading = Reading(
        delimiter=source.delimiter,
        encoding=source.encoding,
        skip=source.skip_lines,
        pad_ragged=source.ragged == "pad",
    )
    export = open_export(exports, reading)
    more = f" and {len(export.files) - 1} more" if len(export.files) > 1 else ""
    dialect = export.notes[0].rpartition(": ")[2] if export.notes else "an export"
    where = f"{export.files[0]}{more} ({dialect})"
    return export, bind(loaded, export.columns, export.lacking, where)


def chosen_profiles(schema: Schema, asked: Profiles | None) -> Profiles:
    """Raises UsageError where nobody chose and it matters."""
    profiles = asked or schema.profiles
    if profiles is not None:
        return profiles
    if not schema.maps_attributes:
        return "none"
    raise UsageError(
        f"the schema {schema.name} maps more of a person than one identifier, and Klaviyo lets old "
        "orders overwrite what it knows: say --profiles newest (a new account), none (an account "
        "in use) or every"
    )


def bounds_of(schema: Schema, until: str | None, now: datetime) -> Bounds:
    latest = int(now.timestamp()) + limits.MAX_FUTURE_S
    until_s = None if until is None else _until_s(schema, until)
    return Bounds(limits.TRACK_MIN_TIME_S, latest, until_s)


def _until_s(schema: Schema, until: str) -> int:
    try:
        time = datetime.fromisoformat(until)
    except ValueError as error:
        raise UsageError(
            f'--until "{until}" is no date; write 2026-11-01 or 2026-11-01T12:00:00+01:00'
        ) from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=ZoneInfo(schema.source.timezone or "UTC"))
    return int(time.timestamp())


class Backfill:
    """One schema, one export, one account, one state folder."""

    def __init__(
        self,
        loaded: LoadedSchema,
        exports: Exports,
        state: Path,
        account: Account,
        options: Options,
        hooks: Hooks,
        command: Sequence[str] = (),
    ) -> None:
        self.schema = loaded.schema
        self.options = options
        self.hooks = hooks
        self.account = account
        self.state = State(state)
        # a name that is no UTF-8 text comes from the system in surrogates
        self.command = os.fsencode(shlex.join(command)).decode("utf-8", "backslashreplace")
        self.profiles = chosen_profiles(loaded.schema, options.profiles)
        self.bounds = bounds_of(loaded.schema, options.until, datetime.now(UTC))
        self.export, self.bound = prepare(loaded, exports)
        self._began = time.monotonic()

    def plan(self) -> Ended:
        """Reads all, sends nothing; leaves summary and rejects in a run's folder."""
        return self._noted(
            lambda folder, ledger: Ended(self._planned(folder, self._plan(folder, ledger)))
        )

    def run(self) -> Ended:
        """Plans, asks the gates, delivers. Raises what stops it before its plan is made."""
        return self._noted(self._run)

    def _noted(self, work: Callable[[RunFolder, Ledger], Ended]) -> Ended:
        """Do it as a run of the state folder: locked, written down, its plan taken away."""
        with ExitStack() as stack:
            folder, ledger = self._enter(stack)
            try:
                with _disk_of(folder.path):
                    ended = work(folder, ledger)
            except BaseException as error:
                again = isinstance(error, AgainError | KeyboardInterrupt)
                self._note_end(folder, ledger, "stopped" if again else "failed", {})
                raise
            with _disk_of(folder.path):
                folder.write_summary(ended.summary.as_dict())
                self._note_end(folder, ledger, ended.summary.state, ended.summary.as_dict())
            return ended

    # steps ---------------------------------------------------------------------------------------

    def _enter(self, stack: ExitStack) -> tuple[RunFolder, Ledger]:
        stack.enter_context(hold(self.state.path))
        self.state.drop_dead_plans()
        ledger = stack.enter_context(Ledger.open(self.state.ledger, self.account.target))
        folder = self.state.begin(datetime.now(UTC))
        ledger.begin_run(Run(folder.id, self.command, self.schema.name, _now()))
        stack.callback(self._leave, folder)
        folder.log("begun", schema=self.schema.name, files=len(self.export.files))
        return folder, ledger

    def _leave(self, folder: RunFolder) -> None:
        if self.options.keep_plan:
            (folder.plan / "keep").touch()
        else:
            folder.drop_plan()

    def _plan(self, folder: RunFolder, ledger: Ledger) -> Plan:
        plan = make_plan(
            self.bound,
            self.export,
            folder.plan,
            profiles=self.profiles,
            bounds=self.bounds,
            limits=TRACK_LIMITS,
            known=Known(ledger.delivered(), ledger.carried()) if self.account.key else Known(),
            on_rows=self._on_rows,
        )
        if plan.counts.orders_rejected:
            write_rejects(folder.rejects, self.export, plan.rejected_rows())
        folder.log("planned", events=plan.judgement.events, rejected=plan.counts.orders_rejected)
        return plan

    def _on_rows(self, rows: int) -> None:
        if self.hooks.stop.is_set():
            raise StoppedError("stopped while planning; nothing was sent; run the same command")
        self.hooks.on_rows(rows)

    def _run(self, folder: RunFolder, ledger: Ledger) -> Ended:
        plan = self._plan(folder, ledger)
        planned = self._planned(folder, plan)
        self.hooks.on_plan(planned)
        try:
            rules = self._gates(plan, planned, ledger)
        except GateError as error:
            folder.log("gated", why=str(error))
            return Ended(replace(planned, state="gated", requests=0, bytes=0), error)
        self.export.assert_unchanged()
        for metric, rule in rules.items():
            ledger.add_rule(metric, rule)
        delivery = self._deliver(folder, plan, ledger)
        left = plan.to_send - delivery.delivered - delivery.refused
        stopped = left > 0
        summary = self._summary(folder, plan, delivery, "stopped" if stopped else "finished")
        folder.log("ended", delivered=delivery.delivered, refused=delivery.refused, left=left)
        if delivery.ended is None and stopped:
            return Ended(summary, StoppedError(f"--limit {self.options.limit} is reached"))
        return Ended(summary, delivery.ended)

    def _gates(self, plan: Plan, planned: Summary, ledger: Ledger) -> dict[str, str]:
        """The id rules to note, once every gate said yes. Raises GateError."""
        options, digest = self.options, plan.judgement.digest
        if options.expect is not None and options.expect != digest:
            raise GateError(
                f"this plan's digest is {digest} and not {options.expect}: export, schema or "
                "--profiles are not those that were looked at; nothing was sent"
            )
        rejected = plan.counts.orders_rejected
        orders = rejected + plan.counts.orders_accepted
        if options.max_rejects is not None and options.max_rejects.exceeded(rejected, orders):
            raise GateError(
                f"{rejected:,} of {orders:,} orders are rejects, more than --max-rejects "
                f"{options.max_rejects}; nothing was sent"
            )
        rules = self._rules(plan, ledger)
        if plan.to_send and not self.hooks.confirm(planned):
            raise GateError("not confirmed; nothing was sent")
        return rules

    def _rules(self, plan: Plan, ledger: Ledger) -> dict[str, str]:
        planned = {metric.metric for metric in plan.judgement.metrics}
        made: dict[str, set[str]] = {metric: set() for metric in planned}
        for event in self.schema.events:
            if event.event in planned:
                made[event.event].add(id_rule(self.schema, event))
        rules = {metric: "\n".join(sorted(found)) for metric, found in made.items()}
        known = ledger.metrics()
        for metric, rule in rules.items():
            if metric in known and rule not in ledger.rules(metric) and not self.options.new_ids:
                raise GateError(
                    f'the schema makes other ids for "{metric}" than those already delivered, so '
                    "orders that are there would come a second time; undo the edit of $event_id "
                    "(or of what it is made of), or say --new-ids if it is meant; nothing was sent"
                )
        return rules

    def _deliver(self, folder: RunFolder, plan: Plan, ledger: Ledger) -> Delivery:
        how = How(concurrency=self.options.concurrency)
        if self.options.windows is not None:
            how = replace(how, windows=self.options.windows)
        with Refusals.open(folder.refusals) as refusals:
            return deliver(
                plan.pending(self.options.limit),
                wire=track.Track(self.account.key),
                url=self.account.url,
                ledger=ledger,
                run_id=folder.id,
                refuse=refusals.write,
                on_progress=self.hooks.on_progress,
                stop=self.hooks.stop,
                how=how,
            )

    def _note_end(
        self, folder: RunFolder, ledger: Ledger, state: SummaryState, summary: dict[str, object]
    ) -> None:
        folder.log(state)
        ledger.end_run(folder.id, state=state, ended=_now(), summary=json.dumps(summary))

    # summaries -----------------------------------------------------------------------------------

    def _notes(self) -> Iterator[str]:
        yield from self.export.notes
        yield from self.bound.notes
        if any("{line}" in str(event.event_id) for event in self.schema.events):
            yield (
                "an $event_id counts {line}: the rows of an order must keep their places in later "
                "exports, or its events get other ids; a column that names the line is safer"
            )
        if self.profiles == "every" and self.schema.maps_attributes:
            yield "profiles every: of a person's events, the one that arrives last stays"
        if not self.account.key:
            yield "KLAVIYO_PUBLIC_KEY is not set: what was delivered before is not looked at"

    def _planned(self, folder: RunFolder, plan: Plan) -> Summary:
        sending = Delivery(requests=plan.to_send, body_bytes=plan.judgement.size)
        return self._summary(folder, plan, sending, "planned")

    def _summary(
        self, folder: RunFolder, plan: Plan, delivery: Delivery, state: SummaryState
    ) -> Summary:
        counts, judgement = plan.counts, plan.judgement
        return Summary(
            run=folder.id,
            state=state,
            schema=self.schema.name,
            api="track",
            rows=counts.rows,
            rows_left_out=counts.rows_left_out,
            orders=counts.orders_accepted + counts.orders_rejected,
            rejected=counts.orders_rejected,
            reasons=dict(plan.reasons),
            events=judgement.events,
            repeats=judgement.repeats,
            already=judgement.already,
            delivered=delivery.delivered,
            refused=delivery.refused,
            left=plan.to_send - delivery.delivered - delivery.refused,
            changed_orders=judgement.changed_orders,
            people=judgement.people,
            metrics=tuple(
                Metric(
                    found.metric, found.events, iso(found.first_s), iso(found.last_s), found.value
                )
                for found in judgement.metrics
            ),
            requests=delivery.requests,
            bytes=delivery.body_bytes,
            seconds=round(time.monotonic() - self._began, 3),
            digest=judgement.digest,
            clock_skipped=counts.clock_skipped,
            clock_doubled=counts.clock_doubled,
            disagreements=dict(counts.disagreements),
            notes=tuple(self._notes()),
            next=self.command if state == "stopped" else "",
        )


@contextmanager
def _disk_of(path: Path) -> Iterator[None]:
    """A disk that is full or fails, as one sentence; what Klaviyo took is in the ledger."""
    try:
        yield
    except OSError as error:
        raise StoppedError(
            f"{path}: {error.strerror or error}; make room or mend the folder, then run the same "
            "command to go on"
        ) from error


def _now() -> int:
    return int(time.time())
