"""The command line: words for people on stderr, results on stdout, exit codes by what to do next.

0  all that could be sent is delivered          3  stopped: run the same command to go on
1  finished, with rejects or refusals           4  a gate said no; nothing was sent
2  usage, schema or export; nothing was sent    5  Klaviyo refuses the key or the endpoint
"""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from backfill import limits
from backfill.errors import BackfillError, DeniedError, GateError, StoppedError, UsageError

if TYPE_CHECKING:
    from backfill.options import Account, Ended, Options, Share
    from backfill.report.summary import Summary
    from backfill.run import Backfill

app = typer.Typer(
    name="backfill",
    help="Order history into Klaviyo: mapped by a YAML schema, seen before it is sent, "
    "delivered once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

FINISHED_WITH_LOSSES: Final = 1
LOCAL_KEY: Final = "LOCAL1"
"""Stands for a public key where a sandbox on this machine needs none."""


class Api(StrEnum):
    track = "track"


class ProfilesChoice(StrEnum):
    newest = "newest"
    none = "none"
    every = "every"


SchemaFile = Annotated[str, typer.Argument(metavar="SCHEMA", help="The YAML file.")]
ExportFiles = Annotated[
    list[str],
    typer.Argument(metavar="EXPORT…", help="CSV or Parquet files, or globs; read as one export."),
]
ApiOption = Annotated[
    Api, typer.Option("--api", help="The API to post to; Track is the only one so far.")
]
UrlOption = Annotated[str, typer.Option("--url", help="Where Klaviyo is; a sandbox's URL.")]
ProfilesOption = Annotated[
    ProfilesChoice | None,
    typer.Option(
        "--profiles",
        help="Whose attributes old orders may write: newest (a new account), none (an account in "
        "use), every. Overrides the schema.",
    ),
]
StateOption = Annotated[
    Path,
    typer.Option(
        "--state", envvar="BACKFILL_STATE", help="The folder of the ledger and of all runs."
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="DATE", help="Only events before DATE, in the schema's zone."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="The last line of stdout is one JSON object.")
]
STATE: Final = Path(".backfill")


def main() -> None:
    """The entry point: every error of ours is one clear line and its own exit code."""
    # Exits behind the except blocks: an exception that is still known at the interpreter's end
    # keeps DuckDB's connections alive, and nanobind then prints pages about leaks.
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        app()
    except BackfillError as error:
        return _told(error)
    except KeyboardInterrupt:
        return _told(StoppedError("stopped; nothing more is sent; run the same command to go on"))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _told(error: BackfillError) -> int:
    for line in str(error).splitlines():
        _say(f"backfill: {line}")
    return error.exit_code


def _say(line: str = "") -> None:
    typer.echo(line, err=True)


@app.command()
def check(
    schema: SchemaFile,
    exports: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPORT…]", help="Exports whose headers should fit."),
    ] = None,
) -> None:
    """Check a schema, and whether the exports' headers fit it; all problems at once."""
    from backfill.mapping.constants import check_constants
    from backfill.options import prepare
    from backfill.schema.load import load_schema

    loaded = load_schema(schema)
    check_constants(loaded)
    if exports:
        export, bound = prepare(loaded, exports)
        for note in (*export.notes, *bound.notes):
            _say(f"note: {note}")
    if loaded.schema.profiles is None and loaded.schema.maps_attributes:
        _say("note: the schema leaves profiles open; say --profiles when you run it")
    typer.echo(f"{schema}: fits" if exports else f"{schema}: no problems")


@app.command()
def preview(
    schema: SchemaFile,
    exports: ExportFiles,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many orders.")] = 3,
    profiles: ProfilesOption = None,
    until: UntilOption = None,
) -> None:
    """Show the first orders, whole, as they would go over the wire, rejects beside them."""
    from datetime import UTC, datetime

    from backfill.options import bounds_of, chosen_profiles, prepare
    from backfill.preview import preview_orders
    from backfill.schema.load import load_schema

    loaded = load_schema(schema)
    chosen = chosen_profiles(loaded.schema, profiles.value if profiles else None)
    export, bound = prepare(loaded, exports)
    bounds = bounds_of(loaded.schema, until, datetime.now(UTC))
    _say("note: clashing ids and each person's newest event show over the whole export: see plan")
    for order in preview_orders(bound, export, profiles=chosen, bounds=bounds, limit=limit):
        _show_order(order)


def _show_order(order: Any) -> None:
    from backfill.mapping.reasons import REASONS

    place = f"{order.file} row {order.row}"
    if order.reason is not None:
        column = f' ("{order.column}")' if order.column else ""
        typer.echo(f"# {place}: reject {order.reason}{column}: {REASONS[order.reason]}")
        return
    count = len(order.payloads)
    typer.echo(f"# {place}: {count} event{'' if count == 1 else 's'}")
    for payload in order.payloads:
        typer.echo(json.dumps(json.loads(payload), indent=2, ensure_ascii=False))


@app.command()
def plan(
    schema: SchemaFile,
    exports: ExportFiles,
    api: ApiOption = Api.track,
    url: UrlOption = limits.TRACK_URL,
    profiles: ProfilesOption = None,
    state: StateOption = STATE,
    until: UntilOption = None,
    max_rejects: Annotated[
        str | None, typer.Option("--max-rejects", metavar="N|N%", help="As in run.")
    ] = None,
    keep_plan: Annotated[
        bool, typer.Option("--keep-plan", help="Keep the plan's Parquet files.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Read all, send nothing: what a run would do, in counts, with its digest."""
    from backfill.options import Options

    options = Options(
        profiles=profiles.value if profiles else None,
        until=until,
        max_rejects=_share(max_rejects),
        keep_plan=keep_plan,
    )
    account = _account(api, url, needed=False)
    with _at_work(schema, exports, state, account, options) as work:
        ended = work.plan()
    _report(ended, state, json_=json_)
    raise typer.Exit(_losses(ended, options))


@app.command()
def run(
    schema: SchemaFile,
    exports: ExportFiles,
    api: ApiOption = Api.track,
    url: UrlOption = limits.TRACK_URL,
    profiles: ProfilesOption = None,
    state: StateOption = STATE,
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help="Send at most N events now.")
    ] = None,
    until: UntilOption = None,
    max_rejects: Annotated[
        str | None,
        typer.Option("--max-rejects", metavar="N|N%", help="Send nothing if more orders are."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=256, help="Requests at the same time.")
    ] = 16,
    rate: Annotated[
        str | None,
        typer.Option("--rate", metavar="N/s,N/min|none", help="Requests a second and a minute."),
    ] = None,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="DIGEST", help="Send only this plan.")
    ] = None,
    new_ids: Annotated[
        bool, typer.Option("--new-ids", help="The edited $event_id rule is meant.")
    ] = False,
    keep_plan: Annotated[
        bool, typer.Option("--keep-plan", help="Keep the plan's Parquet files.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a live account.")] = False,
    json_: JsonOption = False,
) -> None:
    """Plan, then deliver what is not delivered yet. Run it again to go on."""
    from backfill.delivery.pace import parse_rate
    from backfill.options import Options

    options = Options(
        profiles=profiles.value if profiles else None,
        limit=limit,
        until=until,
        max_rejects=_share(max_rejects),
        expect=expect,
        new_ids=new_ids,
        keep_plan=keep_plan,
        concurrency=concurrency,
        windows=parse_rate(rate) if rate is not None else None,
    )
    account = _account(api, url, needed=True)
    with _at_work(schema, exports, state, account, options, yes=yes) as work:
        ended = work.run()
    asked = ended.summary.state == "gated" and not account.is_local  # it showed the plan
    _report(ended, state, json_=json_, silent=asked)
    if ended.error is not None:
        _say_next(ended)
        raise typer.Exit(ended.error.exit_code)
    raise typer.Exit(_losses(ended, options))


def _say_next(ended: "Ended") -> None:
    _say(f"backfill: {ended.error}")
    if ended.summary.next and not isinstance(ended.error, DeniedError):
        _say(f"go on with: {ended.summary.next}")


def _losses(ended: "Ended", options: "Options") -> int:
    summary = ended.summary
    rejects = summary.rejected > 0
    if options.max_rejects is not None:
        rejects = options.max_rejects.exceeded(summary.rejected, summary.orders)
    return FINISHED_WITH_LOSSES if rejects or summary.refused else 0


def _report(ended: "Ended", state: Path, *, json_: bool, silent: bool = False) -> None:
    from backfill.report.text import lines

    for line in () if silent else lines(ended.summary):
        _say(line)
    folder = state / "runs" / ended.summary.run
    if ended.summary.rejected:
        _say(f"rejects: {folder / 'rejects.csv'} (mend the cells, then feed just this file in)")
    if ended.summary.refused:
        _say(f"refusals: {folder / 'refusals.jsonl'}")
    if json_:
        typer.echo(json.dumps(ended.summary.as_dict(), ensure_ascii=False))


def _share(text: str | None) -> "Share | None":
    from backfill.options import Share

    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", text.strip())
    if found is None or (not found[2] and "." in found[1]):
        raise UsageError(f'--max-rejects "{text}" is neither a number of orders nor N%')
    return Share(percent=float(found[1])) if found[2] else Share(orders=int(found[1]))


def _account(api: Api, url: str, *, needed: bool) -> "Account":
    """The account to post to; the environment is read here alone."""
    from backfill.options import Account

    key = os.environ.get("KLAVIYO_PUBLIC_KEY", "").strip()
    if not key and Account(url, LOCAL_KEY).is_local:
        return Account(url, LOCAL_KEY)
    if not key and not needed:
        return Account(url, "")
    if not key:
        raise UsageError("KLAVIYO_PUBLIC_KEY is not set: the account's public key, six characters")
    if len(key) != limits.PUBLIC_KEY_CHARS or not (key.isascii() and key.isalnum()):
        raise UsageError(
            "KLAVIYO_PUBLIC_KEY is no public key: six letters and digits "
            f"(a private key pk_… is not for --api {api.value})"
        )
    return Account(url, key)


@contextmanager
def _at_work(
    schema: str,
    exports: list[str],
    state: Path,
    account: "Account",
    options: "Options",
    *,
    yes: bool = False,
) -> Iterator["Backfill"]:
    """A run with bars on stderr; Ctrl-C, SIGTERM and a closed terminal stop it cleanly."""
    from backfill.run import Backfill
    from backfill.schema.load import load_schema
    from backfill.terminal import Bars

    stop = threading.Event()
    command = ["backfill", *sys.argv[1:]]
    with _signals(stop), Bars() as bars:
        hooks = bars.hooks(stop, lambda summary: _confirmed(summary, account, yes=yes))
        loaded = load_schema(schema)
        yield Backfill(loaded, exports, state, account, options, hooks, command)


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """The first signal asks to stop, the second one is obeyed at once."""

    def ask(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        _say(f"\n{signal.Signals(number).name}: what is in flight ends, nothing new begins")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _confirmed(summary: "Summary", account: "Account", *, yes: bool) -> bool:
    """Loopback needs no yes; beyond it a person, or --yes, has to say it."""
    if account.is_local:
        return True
    from backfill.report.text import lines

    for line in lines(summary):
        _say(line)
    _say(
        "note: Klaviyo retired the Track API for live accounts on 2024-06-30; it never checks the "
        "key, so a wrong one looks like success"
    )
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


@app.command()
def status(state: StateOption = STATE, json_: JsonOption = False) -> None:
    """List the runs of a state folder, how they ended, and the command that goes on."""
    from backfill.report.runs import known_runs, run_lines

    runs = known_runs(state)
    for line in run_lines(runs):
        _say(line)
    if json_:
        typer.echo(json.dumps({"runs": runs}, ensure_ascii=False))


@app.command("schema-json")
def schema_json() -> None:
    """Print the JSON Schema of the schema format, for editors."""
    from backfill.schema.model import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    store: Annotated[
        Path | None, typer.Option("--store", help="An SQLite file; else all is in memory.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option("--faults", help="A YAML file of scripted faults.")
    ] = None,
    rate_limits: Annotated[
        bool, typer.Option("--rate-limits", help="Klaviyo's windows, with 429.")
    ] = False,
) -> None:
    """Run a local Klaviyo to send to; the first line of stdout is JSON with its url."""
    from backfill.sandbox import FaultsError, StoreError, serve

    def ready(url: str) -> None:
        typer.echo(json.dumps({"url": url}))
        sys.stdout.flush()
        _say(f"a local Klaviyo listens at {url} (Ctrl-C ends it)")

    try:
        serve(port, store, faults, rate_limits=rate_limits, ready=ready)
    except (FaultsError, StoreError) as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}") from error


@app.command()
def demo() -> None:
    """Backfill a sample export into a local Klaviyo, and show what landed beside the plan."""
    from backfill.demo import show

    show(typer.echo)
