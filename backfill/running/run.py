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
from typing import Any, TypeVar

import pyarrow as pa

from backfill.account.account import Account, wire_of
from backfill.account.metrics import metric_statuses
from backfill.account.reader import Reader
from backfill.account.verify import Verified, verify
from backfill.delivery.delivery import Delivery, DeliveryOptions
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.errors import BackfillError, GateError, RetryRunError, StoppedByUserError
from backfill.ledger import refund_sums
from backfill.ledger.ledger import Ledger, Run
from backfill.lint.finding import lines as finding_lines
from backfill.lint.lint import Lint
from backfill.planning.judgement import Known
from backfill.planning.plan import Plan
from backfill.report.account import metric_lines
from backfill.report.html import report_page
from backfill.report.summary import State, Summary, summarise
from backfill.running.folder import RunFolder, StateFolder, disk_errors
from backfill.running.gates import check_gates, planned_rules
from backfill.running.lock import hold
from backfill.running.prepare import Exports, prepare
from backfill.running.rejects_csv import write_rejects
from backfill.running.settings import Hooks, Options, RunResult
from backfill.schema.load import LoadedSchema
from backfill.transport.pace import windows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(RunResult):
    """A run's result, and what the account has of what was delivered."""

    verified: Verified


AnyResult = TypeVar("AnyResult", bound=RunResult)


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
        """Open the export and bind the schema to it.

        Args:
            loaded: the schema.
            exports: names of files or patterns, or one frame.
            state: the folder of the ledger and of all runs.
            account: where events go.
            options: what a person asked for.
            hooks: called while the run works.
            command: the command line, for whoever continues the run.

        Raises:
            UsageError, ExportError, SchemaError
        """
        self._prepared = prepare(loaded, exports, options, account.api)
        self.schema = self._prepared.schema
        self.export = self._prepared.export
        self.options = options
        self.hooks = hooks
        self.account = account
        self.state = StateFolder(state)
        # The system gives a name that is no UTF-8 text as surrogates.
        self.command = os.fsencode(shlex.join(command)).decode("utf-8", "backslashreplace")
        self._began = time.monotonic()
        self._findings: tuple[str, ...] = ()

    def plan(self) -> RunResult:
        """Read all, send nothing; leaves summary and rejects in a run's folder."""
        return self._recorded(self._plan_only)

    def run(self) -> RunResult:
        """Plan, check the gates, deliver. Raises whatever prevents a plan."""
        return self._recorded(self._plan_and_deliver)

    def verify(self, *, resend: bool = False) -> Verification:
        """Plan, send nothing, and ask the account whether what was delivered is there."""

        def work(folder: RunFolder, ledger: Ledger) -> Verification:
            planned = self._plan_only(folder, ledger)
            with self._reader() as reader:
                files, now_s = self.export.files, _now()
                verified = verify(
                    planned.plan, reader, ledger, files=files, now_s=now_s, resend=resend
                )
            folder.log("verified", missing=verified.missing, struck=verified.struck)
            return Verification(planned.summary, planned.plan, verified=verified)

        return self._recorded(work)

    def _recorded(self, work: Callable[[RunFolder, Ledger], AnyResult]) -> AnyResult:
        """Do ``work`` as a run of the state folder: locked, recorded, its plan removed."""
        with ExitStack() as stack:
            folder, ledger = self._begin(stack)
            try:
                with disk_errors(folder.path):
                    result = work(folder, ledger)
            except BaseException as error:
                again = isinstance(error, RetryRunError | KeyboardInterrupt)
                folder.drop_plan()  # makes room on a full disk for what follows
                with suppress(OSError, BackfillError):
                    self._record_end(folder, ledger, "stopped" if again else "failed", {})
                raise
            with disk_errors(folder.path):
                folder.write_summary(result.summary.as_dict())
                folder.write_report(report_page(result.summary))
                self._record_end(folder, ledger, result.summary.state, result.summary.as_dict())
                if self.options.hold_plan:
                    result = replace(result, release_plan=folder.hold_plan())
            return result

    def _begin(self, stack: ExitStack) -> tuple[RunFolder, Ledger]:
        stack.enter_context(hold(self.state.path))
        self.state.drop_abandoned_plans()
        ledger = stack.enter_context(Ledger.open(self.state.ledger, self.account.target))
        folder = self.state.begin(datetime.now(UTC))
        run = Run(id=folder.id, command=self.command, schema_name=self.schema.name, started=_now())
        ledger.begin_run(run)
        stack.callback(self._clean_up, folder)
        folder.log("begun", schema=self.schema.name, files=len(self.export.files))
        return folder, ledger

    def _clean_up(self, folder: RunFolder) -> None:
        if self.options.keep_plan and folder.plan.is_dir():
            (folder.plan / "keep").touch(mode=0o600)
        folder.drop_abandoned_plan()

    def _record_end(
        self, folder: RunFolder, ledger: Ledger, state: State, summary: dict[str, object]
    ) -> None:
        folder.log(state)
        ledger.end_run(folder.id, state=state, ended=_now(), summary=json.dumps(summary))

    # steps ---------------------------------------------------------------------------------------

    def _plan_only(self, folder: RunFolder, ledger: Ledger) -> RunResult:
        plan = self._make_plan(folder, ledger)
        return RunResult(self._planned(folder, plan), plan)

    def _plan_and_deliver(self, folder: RunFolder, ledger: Ledger) -> RunResult:
        plan = self._make_plan(folder, ledger)
        planned = self._planned(folder, plan)
        self.hooks.on_plan(planned)
        rules = planned_rules(self.schema, plan)
        try:
            check_gates(plan, rules, ledger, self.options)
            self._ask(plan, planned)
        except GateError as error:
            folder.log("gated", why=str(error))
            return RunResult(replace(planned, state="gated", requests=0, bytes=0), plan, error)
        self.export.assert_unchanged()
        for metric, rule in rules.items():
            ledger.add_rule(metric, rule)
        sums = self._sums_to_send(plan)
        if sums:
            ledger.refund_sums.note(sums)
        delivery = self._deliver(folder, plan, ledger)
        if delivery.ended is None:
            ledger.refund_sums.settle(sums, ledger.delivered(folder.id))
        left = plan.to_send - delivery.delivered - delivery.refused
        # A run with nothing left may have stopped too: what the ledger lacks is sent again.
        stopped = left > 0 or delivery.ended is not None
        summary = self._summary(folder, plan, delivery, "stopped" if stopped else "finished")
        folder.log("ended", delivered=delivery.delivered, refused=delivery.refused, left=left)
        if stopped and delivery.ended is None:
            reached = StoppedByUserError(f"--limit {self.options.limit} is reached")
            return RunResult(summary, plan, reached)
        return RunResult(summary, plan, delivery.ended)

    def _make_plan(self, folder: RunFolder, ledger: Ledger) -> Plan:
        if (note := folder.space_note(self.export.text_bytes)) is not None:
            self.hooks.on_note(note)
        lint = None
        if self.options.lint:
            lint = Lint(self._prepared.bound, self.export.columns, folder.plan)
        plan = self._prepared.make_plan(
            folder.plan,
            limits=wire_of(self.account, self.options.method),
            known=self._known(ledger),
            lines_end=_lines_end(ledger.summaries(self.schema.name)),
            hooks=self.hooks,
            on_cells=None if lint is None else lint.add,
        )
        if lint is not None:
            self._findings = tuple(finding_lines(lint.findings(plan, _now())))
        if plan.counts.orders_rejected:
            write_rejects(folder.rejects, self.export, plan.rejected_rows())
        if plan.counts.rows_undecided:
            write_rejects(folder.undecided, self.export, plan.undecided_rows())
        folder.log("planned", events=plan.judgement.events, rejected=plan.counts.orders_rejected)
        return plan

    def _known(self, ledger: Ledger) -> Known:
        if not self.account.key:
            return Known()
        delivered, carried = ledger.delivered, ledger.carried
        if not self.schema.has_refund_sums:
            return Known(delivered(), carried())
        return Known(delivered(), carried(), ledger.refund_sums.read(delivered()))

    def _sums_to_send(self, plan: Plan) -> list[pa.RecordBatch]:
        """The events whose values are differences of sums of refunds."""
        if not self.schema.has_refund_sums:
            return []
        batches = plan.events(columns=refund_sums.PLANNED)
        return [batch.filter(batch["sum_key"].is_valid()) for batch in batches]

    def _ask(self, plan: Plan, planned: Summary) -> None:
        """The last gate is a person."""
        if plan.to_send and not self.hooks.confirm(planned, lambda: self._remarks(planned)):
            raise GateError("not confirmed; nothing was sent")

    def _remarks(self, planned: Summary) -> tuple[str, ...]:
        """What the account says of the plan's metrics: twins, and the flows that they start."""
        if self.account.api.has_public_key:
            return ()
        with self._reader() as reader:
            return tuple(
                metric_lines(metric_statuses([metric.metric for metric in planned.metrics], reader))
            )

    def _reader(self) -> Reader:
        account, stop = self.account, self.hooks.stop
        return Reader(account.url, account.key, quota=self.options.quota, stop=stop)

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

    # summaries -----------------------------------------------------------------------------------

    def _planned(self, folder: RunFolder, plan: Plan) -> Summary:
        requests = self.account.api.least_requests(plan.to_send, plan.judgement.size)
        sending = Delivery(requests=requests, body_bytes=plan.judgement.size)
        return self._summary(folder, plan, sending, "planned")

    def _summary(self, folder: RunFolder, plan: Plan, delivery: Delivery, state: State) -> Summary:
        return summarise(
            plan,
            delivery,
            run=folder.id,
            state=state,
            schema=self.schema.name,
            api=self.account.api.name,
            seconds=time.monotonic() - self._began,
            notes=(*self._notes(), *_delivery_notes(delivery)),
            next_command=self.command if state == "stopped" else "",
        )

    def _notes(self) -> Iterator[str]:
        yield from self.export.notes
        yield from self._prepared.bound.notes
        if self.schema.source.last_line is None:
            yield from self.export.cut_notes()
        if any("{line}" in str(event.event_id) for event in self.schema.events):
            yield (
                "an $event_id counts {line}: the rows of an order must keep their places in later "
                "exports, or its events get other ids; a column that names the line is safer"
            )
        if self._prepared.profiles == "every" and self.schema.maps_attributes:
            yield "profiles every: of a person's events, the one that arrives last stays"
        if not self.account.key:
            yield "no key: what was delivered before is not looked at"
        if not self.options.backfill and self.account.api.takes_backfill:
            yield "--trigger-flows: old orders may start the account's live flows"
        yield from self._findings


def _lines_end(summaries: Iterable[dict[str, Any]]) -> bool:
    """Does one of the summaries say that each CSV file ended its last line?"""
    return any(summary.get("last_lines_end") for summary in summaries)


def _delivery_notes(delivery: Delivery) -> Iterator[str]:
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
