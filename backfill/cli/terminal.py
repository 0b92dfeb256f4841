"""A run at a terminal: its bars, its question, its summary in words."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

from backfill.account.account import Account
from backfill.cli.console import echo
from backfill.errors import DeniedError, GateError
from backfill.planning.difference import Comparison
from backfill.report.summary import Summary
from backfill.report.summary_text import lines
from backfill.running.diff import compare
from backfill.running.progress import Bars
from backfill.running.run import Backfill
from backfill.running.settings import Ended, Options
from backfill.running.signals import asking_to_stop
from backfill.schema.load import load_schema

FINISHED_WITH_LOSSES: Final = 1


@contextmanager
def at_work(
    schema: str,
    exports: list[str],
    state: Path,
    account: Account,
    options: Options,
    *,
    yes: bool = False,
) -> Iterator[Backfill]:
    """A run with bars on stderr; Ctrl-C, SIGTERM and a closed terminal stop it cleanly."""
    stop = threading.Event()
    command = ["backfill", *sys.argv[1:]]
    with asking_to_stop(stop, echo), Bars() as bars:
        hooks = bars.hooks(
            stop, lambda summary, remarks: _confirmed(summary, remarks, account, yes=yes)
        )
        loaded = load_schema(schema)
        yield Backfill(loaded, exports, state, account, options, hooks, command)


def compare_at_work(
    old: str, new: str, exports: list[str], state: Path, account: Account, options: Options
) -> Comparison:
    """Two schemas over one export, with a bar on stderr."""
    stop = threading.Event()
    with asking_to_stop(stop, echo), Bars() as bars:
        hooks = bars.hooks(stop, lambda *_: False)
        loaded = (load_schema(old), load_schema(new))
        return compare(*loaded, exports, state, account, options, hooks)


def _confirmed(
    summary: Summary, remarks: Callable[[], Sequence[str]], account: Account, *, yes: bool
) -> bool:
    """Loopback needs no yes; beyond it a person, or --yes, has to say it."""
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
            f"{account.url} is a live account and nobody is here to say yes: say --yes; nothing "
            "was sent"
        )
    return _says_yes(f"Send {summary.left:,} events to {account.url}?")


def _says_yes(question: str) -> bool:
    """Ctrl-C and the end of input are a no here, not a wish to stop what is in flight."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return typer.confirm(question, err=True)
    except (typer.Abort, KeyboardInterrupt):
        return False
    finally:
        signal.signal(signal.SIGINT, before)


def say_next(ended: Ended) -> None:
    echo(f"backfill: {ended.error}")
    if ended.summary.next and not isinstance(ended.error, DeniedError):
        echo(f"go on with: {ended.summary.next}")


def losses(ended: Ended, options: Options) -> int:
    summary = ended.summary
    rejects = summary.rejected > 0
    if options.max_rejects is not None:
        rejects = options.max_rejects.exceeded(summary.rejected, summary.orders)
    return FINISHED_WITH_LOSSES if rejects or summary.refused else 0


def report(ended: Ended, state: Path, *, json_: bool, silent: bool = False) -> None:

    for line in () if silent else lines(ended.summary):
        echo(line)
    folder = state / "runs" / ended.summary.run
    if ended.summary.rejected:
        echo(f"rejects: {folder / 'rejects.csv'} (mend the cells, then feed just this file in)")
    if ended.summary.refused:
        echo(f"refusals: {folder / 'refusals.jsonl'}")
    if json_:
        typer.echo(json.dumps(ended.summary.as_dict(), ensure_ascii=False))
