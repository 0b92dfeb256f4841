"""One run from export to summary: plan, gates, deliver, record."""

import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from backfill.account.account import Account, wire_of
from backfill.account.metrics import metric_statuses
from backfill.account.reader import Reader
from backfill.account.verify import Verified, verify
from backfill.account.visibility import Visibility
from backfill.delivery.delivery import Delivery, DeliveryOptions
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.errors import BackfillError, GateError, RetryRunError, StoppedByUserError
from backfill.ledger import refund_sums
from backfill.ledger.ledger import Ledger
from backfill.ledger.runs import Run
from backfill.lint.finding import lines as finding_lines
from backfill.lint.lint import Lint
from backfill.planning.judgement import Known
from backfill.planning.plan import Plan
from backfill.report.account import metric_lines
from backfill.report.html import report_page
from backfill.report.summary import InAccount, State, Summary, summarise
from backfill.report.verify import run_notes
from backfill.running.crash import unexpected
from backfill.running.folder import RunFolder, StateFolder, disk_errors
from backfill.running.gates import check_gates, planned_rules
from backfill.running.known_accounts import remember_account
from backfill.running.lock import hold
from backfill.running.notes import delivery_notes, plan_notes, wait_line
from backfill.running.own_file import check_ledger
from backfill.running.prepare import Exports, prepare
from backfill.running.rejects_csv import write_rejects
from backfill.running.settings import Hooks, Options, RunResult
from backfill.running.verification import verify_run, wants_verification
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
        self._verifies = False
        self._counts: dict[str, Any] = {}
        """Of the last summary that was recorded."""

    def plan(self) -> RunResult:
        """Read all, send nothing; leaves summary and rejects in a run's folder."""
        return self._recorded(self._plan_only)

    def run(self) -> RunResult:
        """Plan, check the gates, deliver, verify. Raises whatever prevents a plan."""
        self._verifies = wants_verification(self.account, self.options.verify)
        return self._recorded(self._plan_and_deliver)

    def verify(self, *, resend: bool = False, wait: bool = False) -> Verification:
        """Plan, send nothing, and ask the account whether what was delivered is there.

        Args:
            resend: strike what is missing from the ledger.
            wait: wait for what is not visible yet.
        """

        def work(folder: RunFolder, ledger: Ledger) -> Verification:
            planned = self._plan_only(folder, ledger)
            with self._reader(folder) as reader:
                verified = verify(
                    planned.plan,
                    reader,
                    ledger,
                    files=self.export.files,
                    visibility=self._visibility(folder, waits=wait),
                    resend=resend,
                )
            _log_verified(folder, verified)
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
                self._record_end(folder, ledger, "stopped" if again else "failed")
                if isinstance(error, BackfillError) or not isinstance(error, Exception):
                    raise
                raise unexpected(error, folder.path, self.account.keys) from error
            return self._ended(folder, ledger, result)

    def _ended(self, folder: RunFolder, ledger: Ledger, result: AnyResult) -> AnyResult:
        """Leave the result in the run's folder. What cannot be written there is a note."""
        self._record_summary(folder, ledger, result.summary)
        if folder.unwritten:
            notes = (*result.summary.notes, *folder.unwritten.values())
            result = replace(result, summary=replace(result.summary, notes=notes))
        if self.options.hold_plan:
            with disk_errors(folder.path):
                result = replace(result, release_plan=folder.hold_plan())
        return result

    def _begin(self, stack: ExitStack) -> tuple[RunFolder, Ledger]:
        stack.enter_context(hold(self.state.path))
        self.state.drop_abandoned_plans()
        check_ledger(self.state.ledger)
        ledger = stack.enter_context(Ledger.open(self.state.ledger, self.account.target))
        folder = self.state.begin(datetime.now(UTC))
        run = Run(id=folder.id, command=self.command, schema_name=self.schema.name, started=_now())
        ledger.begin_run(run)
        if self.account.is_confirmed:
            account = self.account
            remember_account(self.state.path, account.url, account.key, account.id)
        stack.callback(self._clean_up, folder)
        folder.log("begun", schema=self.schema.name, files=len(self.export.files))
        return folder, ledger

    def _clean_up(self, folder: RunFolder) -> None:
        if self.options.keep_plan and folder.plan.is_dir():
            (folder.plan / "keep").touch(mode=0o600)
        folder.drop_abandoned_plan()

    def _record_summary(self, folder: RunFolder, ledger: Ledger, summary: Summary) -> None:
        self._counts = summary.as_dict()
        self._record_end(folder, ledger, summary.state)
        folder.write_report(lambda: report_page(summary))
        folder.write_summary(self._counts)

    def _record_end(self, folder: RunFolder, ledger: Ledger, state: State) -> None:
        folder.log(state)
        counts = json.dumps(self._counts)
        try:
            ledger.end_run(folder.id, state=state, ended=_now(), summary=counts)
        except Exception as error:  # noqa: BLE001 - what was delivered is in the ledger all the same
            why = error.__cause__ or type(error).__name__
            folder.unwritten["ledger"] = (
                f"the end of the run is not in the ledger ({why}), so status will call it killed"
            )

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
            self._ask(folder, plan, planned)
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
        ended = delivery.ended
        if ended is None:
            summary = self._verified(folder, plan, ledger, summary)
            if stopped:
                ended = StoppedByUserError(f"--limit {self.options.limit} is reached")
        return RunResult(summary, plan, ended)

    def _verified(self, folder: RunFolder, plan: Plan, ledger: Ledger, summary: Summary) -> Summary:
        """Add what the account shows of what was delivered."""
        if not self._verifies or not summary.delivered:
            return summary
        self._record_summary(folder, ledger, summary)  # it stands, whatever comes of the waiting
        with self._reader(folder) as reader:
            answer = verify_run(
                plan,
                reader,
                ledger,
                files=self.export.files,
                run_id=folder.id,
                visibility=self._visibility(folder, waits=True),
            )
        if answer.verified is None:
            folder.log("not verified", why=answer.why_not)
            note = f"whether the account shows what was delivered is not known: {answer.why_not}"
            return replace(summary, notes=(*summary.notes, note))
        found = answer.verified
        _log_verified(folder, found)
        there = InAccount(
            found=found.found,
            not_visible=found.not_visible,
            missing=found.missing,
            unexpected=found.unexpected,
        )
        notes = (*summary.notes, *run_notes(found))
        return replace(summary, in_account=there, notes=notes)

    def _make_plan(self, folder: RunFolder, ledger: Ledger) -> Plan:
        if (note := folder.space_note(self.export.text_bytes)) is not None:
            self.hooks.tell(f"note: {note}")
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

    def _ask(self, folder: RunFolder, plan: Plan, planned: Summary) -> None:
        """The last gate is a person."""
        if plan.to_send and not self.hooks.confirm(planned, lambda: self._remarks(folder, planned)):
            raise GateError("not confirmed; nothing was sent")

    def _remarks(self, folder: RunFolder, planned: Summary) -> tuple[str, ...]:
        """What the account says of the plan's metrics: twins, and the flows that they start."""
        if self.account.api.has_public_key:
            return ()
        with self._reader(folder) as reader:
            metrics = [metric.metric for metric in planned.metrics]
            return tuple(metric_lines(metric_statuses(metrics, reader)))

    def _visibility(self, folder: RunFolder, *, waits: bool) -> Visibility:
        delay_s, stop = self.options.visibility_delay_s, self.hooks.stop
        return Visibility(delay_s=delay_s, waits=waits, stop=stop, tell=partial(self._tell, folder))

    def _tell(self, folder: RunFolder, line: str) -> None:
        folder.log("waiting", why=line)
        self.hooks.tell(line)

    def _reader(self, folder: RunFolder) -> Reader:
        return Reader(
            self.account.url,
            self.account.key,
            quota=self.options.quota,
            stop=self.hooks.stop,
            on_wait=lambda why, left_s: self._tell(folder, wait_line(why, left_s)),
        )

    def _deliver(self, folder: RunFolder, plan: Plan, ledger: Ledger) -> Delivery:
        options, account = self.options, self.account
        windows = windows_of(account.api.rates) if options.windows is None else options.windows
        how = DeliveryOptions(concurrency=options.concurrency, windows=options.quota.of(windows))
        fallback = None
        if (single := account.api.fallback) is not None:
            fallback = wire_of(replace(account, api=single), backfill=options.backfill)
            how = replace(how, fallback_windows=options.quota.of(windows_of(single.rates)))

        def on_wait(why: str, left_s: float, done: Delivery) -> None:
            left = plan.to_send - done.delivered - done.refused
            self._tell(folder, wait_line(why, left_s, left))

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
                on_wait=on_wait,
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
            notes=(
                *plan_notes(self._prepared, self.account, self.options),
                *self._findings,
                *delivery_notes(delivery),
            ),
            next_command=self.command if state == "stopped" else "",
        )


def _lines_end(summaries: Iterable[dict[str, Any]]) -> bool:
    """Does one of the summaries say that each CSV file ended its last line?"""
    return any(summary.get("last_lines_end") for summary in summaries)


def _log_verified(folder: RunFolder, verified: Verified) -> None:
    names = ("delivered", "found", "not_visible", "missing", "unexpected", "struck")
    folder.log("verified", **{name: getattr(verified, name) for name in names})


def _now() -> int:
    return int(time.time())
