"""One run from export to summary: plan, gates, deliver, record."""

import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from backfill.account.account import Account, wire_of
from backfill.account.metrics import metric_statuses
from backfill.account.reader import Reader
from backfill.account.verify import Verified, verify
from backfill.delivery.delivery import Delivery, DeliveryOptions
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.errors import BackfillError, GateError, RetryRunError, StoppedByUserError
from backfill.ledger.ledger import Ledger, Run
from backfill.lint.finding import lines as found_lines
from backfill.lint.lint import Lint
from backfill.mapping.times import DAY_FOR_MONTH
from backfill.planning.judgement import Known
from backfill.planning.make import make_plan
from backfill.planning.plan import Plan
from backfill.report.account import metric_lines
from backfill.report.html import whole_page
from backfill.report.summary import Metric, Month, Summary, iso
from backfill.report.summary import State as SummaryState
from backfill.running.folder import RunFolder, State, disk_of
from backfill.running.lock import hold
from backfill.running.rejects_csv import write_rejects
from backfill.running.settings import (
    Ended,
    Exports,
    Hooks,
    Options,
    bounds_of,
    chosen,
    prepare,
)
from backfill.schema.id_rule import id_rules
from backfill.schema.load import LoadedSchema
from backfill.transport.pace import windows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Ended):
    verified: Verified


AnyEnded = TypeVar("AnyEnded", bound=Ended)


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
        loaded, self.profiles = chosen(loaded, timezone=options.timezone, profiles=options.profiles)
        self.schema = loaded.schema
        self.options = options
        self.hooks = hooks
        self.account = account
        self.state = State(state)
        # a name that is no UTF-8 text comes from the system in surrogates
        self.command = os.fsencode(shlex.join(command)).decode("utf-8", "backslashreplace")
        earliest_s = account.api.min_time_s
        self.bounds = bounds_of(
            loaded.schema, options.until, datetime.now(UTC), min_time_s=earliest_s
        )
        self.export, self.bound = prepare(loaded, exports, account.api)
        self._began = time.monotonic()
        self._findings: tuple[str, ...] = ()

    def plan(self) -> Ended:
        """Reads all, sends nothing; leaves summary and rejects in a run's folder."""
        return self._noted(self._plan_only)

    def run(self) -> Ended:
        """Plans, asks the gates, delivers. Raises what stops it before its plan is made."""
        return self._noted(self._run)

    def verify(self, *, resend: bool = False) -> Verification:
        """Plans, sends nothing, and asks the account whether what was delivered is there."""

        def work(folder: RunFolder, ledger: Ledger) -> Verification:
            ended = self._plan_only(folder, ledger)
            with self._reader() as reader:
                files, now_s = self.export.files, _now()
                answer = verify(ended.plan, reader, ledger, files=files, now_s=now_s, resend=resend)
            folder.log("verified", missing=answer.missing, struck=answer.struck)
            return Verification(ended.summary, ended.plan, verified=answer)

        return self._noted(work)

    def _noted(self, work: Callable[[RunFolder, Ledger], AnyEnded]) -> AnyEnded:
        """Do it as a run of the state folder: locked, written down, its plan taken away."""
        with ExitStack() as stack:
            folder, ledger = self._enter(stack)
            try:
                with disk_of(folder.path):
                    ended = work(folder, ledger)
            except BaseException as error:
                again = isinstance(error, RetryRunError | KeyboardInterrupt)
                folder.drop_plan()  # so that a full disk has room for what follows
                with suppress(OSError, BackfillError):
                    self._note_end(folder, ledger, "stopped" if again else "failed", {})
                raise
            with disk_of(folder.path):
                folder.write_summary(ended.summary.as_dict())
                folder.write_report(whole_page(ended.summary))
                self._note_end(folder, ledger, ended.summary.state, ended.summary.as_dict())
                if self.options.hold_plan:
                    ended = replace(ended, let_go=folder.hold_plan())
            return ended

    # steps ---------------------------------------------------------------------------------------

    def _enter(self, stack: ExitStack) -> tuple[RunFolder, Ledger]:
        stack.enter_context(hold(self.state.path))
        self.state.drop_dead_plans()
        ledger = stack.enter_context(Ledger.open(self.state.ledger, self.account.target))
        folder = self.state.begin(datetime.now(UTC))
        ledger.begin_run(
            Run(
                id=folder.id,
                command=self.command,
                schema_name=self.schema.name,
                started=_now(),
            )
        )
        stack.callback(self._leave, folder)
        folder.log("begun", schema=self.schema.name, files=len(self.export.files))
        return folder, ledger

    def _leave(self, folder: RunFolder) -> None:
        if self.options.keep_plan and folder.plan.is_dir():
            (folder.plan / "keep").touch(mode=0o600)
        folder.drop_dead_plan()

    def _plan(self, folder: RunFolder, ledger: Ledger) -> Plan:
        lint = None
        if self.options.lint:
            lint = Lint(self.bound, self.export.columns, folder.plan)
        plan = make_plan(
            self.bound,
            self.export,
            folder.plan,
            profiles=self.profiles,
            bounds=self.bounds,
            limits=wire_of(self.account, self.options.method),
            known=Known(ledger.delivered(), ledger.carried()) if self.account.key else Known(),
            on_rows=self._on_rows,
            on_cells=None if lint is None else lint.look,
        )
        if lint is not None:
            self._findings = tuple(found_lines(lint.findings(plan, _now())))
        if plan.counts.orders_rejected:
            write_rejects(folder.rejects, self.export, plan.rejected_rows())
        folder.log("planned", events=plan.judgement.events, rejected=plan.counts.orders_rejected)
        return plan

    def _on_rows(self, rows: int) -> None:
        if self.hooks.stop.is_set():
            raise StoppedByUserError(
                "stopped while planning; nothing was sent; run the same command"
            )
        self.hooks.on_rows(rows)

    def _plan_only(self, folder: RunFolder, ledger: Ledger) -> Ended:
        plan = self._plan(folder, ledger)
        return Ended(self._planned(folder, plan), plan)

    def _run(self, folder: RunFolder, ledger: Ledger) -> Ended:
        plan = self._plan(folder, ledger)
        planned = self._planned(folder, plan)
        self.hooks.on_plan(planned)
        try:
            rules = self._gates(plan, planned, ledger)
        except GateError as error:
            folder.log("gated", why=str(error))
            return Ended(replace(planned, state="gated", requests=0, bytes=0), plan, error)
        self.export.assert_unchanged()
        for metric, rule in rules.items():
            ledger.add_rule(metric, rule)
        delivery = self._deliver(folder, plan, ledger)
        left = plan.to_send - delivery.delivered - delivery.refused
        # With nothing left it may have stopped too: what the ledger lacks is sent again.
        stopped = left > 0 or delivery.ended is not None
        summary = self._summary(folder, plan, delivery, "stopped" if stopped else "finished")
        folder.log("ended", delivered=delivery.delivered, refused=delivery.refused, left=left)
        if delivery.ended is None and stopped:
            return Ended(
                summary, plan, StoppedByUserError(f"--limit {self.options.limit} is reached")
            )
        return Ended(summary, plan, delivery.ended)

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
        if options.max_rejects is None and (turned := plan.reasons.get(DAY_FOR_MONTH, 0)):
            raise GateError(
                f"{turned:,} orders have a time that fits only with day and month the other way "
                "round, so others may be read wrong in silence; correct the format in the schema, "
                "or say --max-rejects N if just these cells are wrong; nothing was sent"
            )
        rules = self._rules(plan, ledger)
        if plan.to_send and not self.hooks.confirm(planned, lambda: self._remarks(planned)):
            raise GateError("not confirmed; nothing was sent")
        return rules

    def _remarks(self, planned: Summary) -> tuple[str, ...]:
        """What the account says of the plan's metrics: twins, and flows that hang on them."""
        if self.account.api.has_public_key:
            return ()
        with self._reader() as reader:
            return tuple(
                metric_lines(metric_statuses([metric.metric for metric in planned.metrics], reader))
            )

    def _reader(self) -> Reader:
        account, stop = self.account, self.hooks.stop
        return Reader(account.url, account.key, quota=self.options.quota, stop=stop)

    def _rules(self, plan: Plan, ledger: Ledger) -> dict[str, str]:
        planned = {metric.metric for metric in plan.judgement.metrics}
        rules = {name: rule for name, rule in id_rules(self.schema).items() if name in planned}
        known = ledger.metrics()
        for metric, rule in rules.items():
            if metric in known and rule not in ledger.rules(metric) and not self.options.new_ids:
                raise GateError(
                    f'the schema makes other ids for "{metric}" than those already delivered, so '
                    "orders that are there would come a second time; undo the edit of $event_id "
                    "(or of what it is made of), or say --new-ids if it is meant, as where another "
                    "schema brings other orders; nothing was sent"
                )
        return rules

    def _deliver(self, folder: RunFolder, plan: Plan, ledger: Ledger) -> Delivery:
        options, account = self.options, self.account
        windows = windows_of(account.api.rates) if options.windows is None else options.windows
        how = DeliveryOptions(concurrency=options.concurrency, windows=options.quota.of(windows))
        fallback = None
        if (single := account.api.fallback) is not None:
            fallback = wire_of(replace(account, api=single), backfill=options.backfill)
            how = replace(how, fallback_windows=options.quota.of(windows_of(single.rates)))
        with refusals_file(folder.refusals) as write_refusal:
            return deliver(
                plan.pending(self.options.limit),
                wire=wire_of(account, options.method, backfill=options.backfill),
                fallback=fallback,
                url=self.account.url,
                ledger=ledger,
                run_id=folder.id,
                on_refusal=write_refusal,
                on_progress=self.hooks.on_progress,
                stop=self.hooks.stop,
                options=how,
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
            yield "no key: what was delivered before is not looked at"
        if not self.options.backfill and self.account.api.takes_backfill:
            yield "--trigger-flows: old orders may start the account's live flows"
        yield from self._findings

    def _planned(self, folder: RunFolder, plan: Plan) -> Summary:
        requests = self.account.api.least_requests(plan.to_send, plan.judgement.size)
        sending = Delivery(requests=requests, body_bytes=plan.judgement.size)
        return self._summary(folder, plan, sending, "planned")

    def _summary(
        self, folder: RunFolder, plan: Plan, delivery: Delivery, state: SummaryState
    ) -> Summary:
        counts, judgement = plan.counts, plan.judgement
        return Summary(
            run=folder.id,
            state=state,
            schema=self.schema.name,
            api=self.account.api.name,
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
            phones_dropped=delivery.phones_dropped,
            left=plan.to_send - delivery.delivered - delivery.refused,
            changed_orders=judgement.changed_orders,
            people=judgement.people,
            metrics=tuple(
                Metric(
                    found.metric, found.events, iso(found.first_s), iso(found.last_s), found.value
                )
                for found in judgement.metrics
            ),
            months=tuple(
                Month(found.metric, found.month, found.events) for found in judgement.months
            ),
            requests=delivery.requests,
            bytes=delivery.body_bytes,
            seconds=round(time.monotonic() - self._began, 3),
            digest=judgement.digest,
            clock_skipped=counts.clock_skipped,
            clock_doubled=counts.clock_doubled,
            disagreements=dict(counts.disagreements),
            left_out_cells=_by_column(counts.left_out_cells.items()),
            notes=(*self._notes(), *_told_of(delivery)),
            next=self.command if state == "stopped" else "",
        )


def _by_column(cells: Iterable[tuple[tuple[str, str], int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (column, reason), orders in cells:
        found.setdefault(column, {})[reason] = orders
    return found


def _told_of(delivery: Delivery) -> Iterator[str]:
    if delivery.by_fallback:
        yield (
            f"{delivery.by_fallback:,} events went one by one, by Create Event: the bulk endpoint "
            "did not take them together"
        )
    if delivery.rate_limit is not None:
        left = delivery.rate_limit
        yield (
            f"Klaviyo's last answer leaves {left.remaining:,} of {left.limit:,} requests for the "
            f"next {left.reset_s:,} s"
        )


def _now() -> int:
    return int(time.time())
