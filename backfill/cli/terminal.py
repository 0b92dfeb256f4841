"""A run at a terminal: its bars, its question, its summary in words."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NoReturn

import typer

from backfill.account.account import Account
from backfill.account.verify import Verified
from backfill.cli.console import echo, echo_from_signal, take_failure
from backfill.errors import DeniedError, GateError, RetryRunError
from backfill.planning.difference import Comparison
from backfill.report.summary import Summary
from backfill.report.summary_text import lines
from backfill.running.diff import compare
from backfill.running.progress import Bars
from backfill.running.run import Backfill
from backfill.running.settings import Confirm, Hooks, Options, RunResult
from backfill.running.signals import stop_on_signals
from backfill.schema.load import load_schema

FINISHED_WITH_LOSSES: Final = 1


@contextmanager
def open_run(
    schema: str,
    exports: list[str],
    state: Path,
    account: Account,
    options: Options,
    *,
    yes: bool = False,
) -> Iterator[Backfill]:
    """A run with bars on stderr, which signals stop.

    Args:
        schema: the YAML file, or the name of a shipped schema.
        exports: names of files or patterns.
        state: the folder of the ledger and of all runs.
        account: where events go.
        options: what the person asked for.
        yes: a live account needs no question.
    """
    command = ["backfill", *sys.argv[1:]]
    with _hooks(lambda plan, remarks: _confirm(plan, remarks, account, yes=yes)) as hooks:
        yield Backfill(load_schema(schema), exports, state, account, options, hooks, command)


def compare_schemas(
    old: str, new: str, exports: list[str], state: Path, account: Account, options: Options
) -> Comparison:
    """Two schemas over one export, with a bar on stderr."""
    with _hooks(lambda *_: False) as hooks:
        schemas = (load_schema(old), load_schema(new))
        return compare(*schemas, exports, state, account, options, hooks)


@contextmanager
def _hooks(confirm: Confirm) -> Iterator[Hooks]:
    stop = threading.Event()
    with stop_on_signals(stop, echo_from_signal), closing(Bars()) as bars:
        yield bars.hooks(stop, confirm, echo)


def _confirm(
    summary: Summary, remarks: Callable[[], Sequence[str]], account: Account, *, yes: bool
) -> bool:
    """A sandbox on this machine needs no yes; a live account needs that of a person or --yes."""
    if account.is_local:
        return True
    for line in (*lines(summary), *remarks()):
        echo(line)
    if account.api.warning:
        echo(f"note: {account.api.warning}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise GateError(
            f"{account.url} is a live account and nobody is here to say yes: pass --yes; nothing "
            "was sent"
        )
    return _ask(f"Send {summary.left:,} events to {account.url}?")


def _ask(question: str) -> bool:
    """Ctrl-C and the end of input mean no here; they do not stop a run that sends."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return typer.confirm(question, err=True)
    except (typer.Abort, KeyboardInterrupt):
        return False
    finally:
        signal.signal(signal.SIGINT, before)


def end_run(
    result: RunResult, state: Path, options: Options, *, json_: bool, silent: bool = False
) -> NoReturn:
    """Print the summary, the files that a person needs, and the error with what to do next.

    Args:
        result: the run's.
        state: the state folder.
        options: the run's.
        json_: print the summary as JSON on stdout too.
        silent: the summary's lines have been printed already.

    Raises:
        typer.Exit: with the run's exit code.
    """
    summary = result.summary
    for line in () if silent else lines(summary):
        echo(line)
    folder = state / "runs" / summary.run
    if summary.rejected:
        echo(f"rejects: {folder / 'rejects.csv'} (correct the cells, then run this file alone)")
    if summary.rows_undecided:
        echo(f"undecided: {folder / 'undecided.csv'} (fill the cells, then run this file alone)")
    if summary.refused:
        echo(f"refusals: {folder / 'refusals.jsonl'}")
    if json_:
        typer.echo(json.dumps(summary.as_dict(), ensure_ascii=False))
        # Of a run, the exit code tells what was sent. A plan is nothing but what it says.
        if summary.state != "planned" and (failure := take_failure()):
            why = failure.strerror
            echo(f"note: stdout cannot be written ({why}); see {folder / 'summary.json'}")
    if result.error is not None:
        echo(f"backfill: {result.error}")
        if summary.next and not isinstance(result.error, DeniedError):
            echo(f"go on with: {summary.next}", whole=True)
    raise typer.Exit(_exit_code(result, options))


def verify_exit_code(verified: Verified) -> int:
    """Whether anything is missing; else whether to run the same command again."""
    if verified.missing:
        return FINISHED_WITH_LOSSES
    return RetryRunError.exit_code if verified.not_visible else 0


def _exit_code(result: RunResult, options: Options) -> int:
    """That of the error; without one, whether anything was lost."""
    if result.error is not None:
        return result.error.exit_code
    summary = result.summary
    rejects = summary.rejected > 0
    if options.max_rejects is not None:
        rejects = options.max_rejects.is_exceeded(summary.rejected, summary.orders)
    missing = summary.in_account is not None and summary.in_account.missing > 0
    return FINISHED_WITH_LOSSES if rejects or summary.refused or missing else 0
