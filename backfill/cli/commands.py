"""The command line: words for people on stderr, results on stdout, exit codes by what to do next.

0  all that could be sent is delivered          3  stopped: run the same command to go on
1  finished, with rejects or refusals           4  a gate said no; nothing was sent
2  usage, schema or export; nothing was sent    5  Klaviyo refuses the key or the endpoint
"""

import json
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backfill import limits
from backfill.cli.console import echo
from backfill.cli.options import (
    STATE,
    AccountOption,
    ApiChoice,
    ApiOption,
    As,
    ExportFiles,
    JsonOption,
    MethodChoice,
    MethodOption,
    ProfilesOption,
    RepeatsChoice,
    SchemaFile,
    StateOption,
    TimezoneOption,
    UntilOption,
    UrlOption,
)
from backfill.errors import BackfillError, StoppedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backfill.account.account import Account, Keys
    from backfill.wire.apis import Api, Method

app = typer.Typer(
    name="backfill",
    help="Order history into Klaviyo: mapped by a YAML schema, seen before it is sent, "
    "delivered once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED: Final = 130
"""What typer makes of a KeyboardInterrupt."""


def main() -> None:
    """The entry point: every error of ours is one clear line and its own exit code."""
    # Exits behind the except blocks: an exception that is still known at the interpreter's end
    # keeps DuckDB's connections alive, and nanobind then prints pages about leaks.
    code = _exit_code()
    # All is said and written: a second Ctrl-C would only break into the interpreter's own end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _exit_code() -> int:
    try:
        app()
    except BackfillError as error:
        return _told(error)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            why = "stopped; nothing more is sent; run the same command to go on"
            return _told(StoppedError(why))
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _told(error: BackfillError) -> int:
    for line in str(error).splitlines():
        echo(f"backfill: {line}")
    return error.exit_code


@app.command()
def check(
    schema: SchemaFile,
    exports: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPORT…]", help="Exports whose headers should fit."),
    ] = None,
    timezone: TimezoneOption = None,
) -> None:
    """Check a schema, and whether the exports' headers fit it; all problems at once."""
    from backfill.mapping.compile import check_constants
    from backfill.running.settings import in_zone, open_choices, prepare
    from backfill.schema.load import load_schema

    loaded = in_zone(load_schema(schema), timezone)
    check_constants(loaded)
    if exports:
        export, bound = prepare(loaded, exports)
        for note in (*export.notes, *bound.notes):
            echo(f"note: {note}")
    if choices := open_choices(loaded.schema):
        echo(f"open: {', '.join(choices)}")
    typer.echo(f"{schema}: fits" if exports else f"{schema}: no problems")


@app.command()
def preview(
    schema: SchemaFile,
    exports: ExportFiles,
    form: Annotated[
        As,
        typer.Option(
            "--as",
            help="table to read, json for programs, curl to paste into a shell, js for the front "
            "end.",
        ),
    ] = As.table,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many orders.")] = 3,
    api: ApiOption = None,
    method: MethodOption = MethodChoice.post,
    url: UrlOption = limits.API_URL,
    profiles: ProfilesOption = None,
    timezone: TimezoneOption = None,
    until: UntilOption = None,
) -> None:
    """Show the first orders, whole, as they would go over the wire, rejects beside them."""
    from datetime import UTC, datetime

    from backfill.account.account import Account, api_of, wire_of
    from backfill.planning.preview import preview_orders
    from backfill.report.preview import curl_lines, js_lines, json_lines, table_lines
    from backfill.running.settings import bounds_of, chosen, prepare
    from backfill.schema.load import load_schema
    from backfill.wire.track import Track

    loaded, writes = chosen(
        load_schema(schema), timezone=timezone, profiles=profiles.value if profiles else None
    )
    account = Account(url, "", api_of(_keys(), api.value if api else None))
    export, bound = prepare(loaded, exports, account.api)
    earliest_s = account.api.min_time_s
    bounds = bounds_of(loaded.schema, until, datetime.now(UTC), min_time_s=earliest_s)
    wire = wire_of(account, _method(account.api, method))
    echo("note: clashing ids and each person's newest event show over the whole export: see plan")
    if form is As.js:
        echo(
            "note: the front-end form says neither who nor when: it is for the visitor whom "
            "Klaviyo's cookie names, and for now"
        )
    orders = preview_orders(
        bound,
        export,
        profiles=writes,
        bounds=bounds,
        limit=limit,
        wire=wire,
        shown=Track() if form in (As.table, As.js) else wire,
    )
    match form:
        case As.table:
            lines = table_lines(orders, shutil.get_terminal_size().columns)
        case As.json:
            lines = json_lines(orders)
        case As.curl:
            lines = curl_lines(orders, _pasted(account.api, method, url))
        case As.js:
            lines = js_lines(orders)
    for line in lines:
        typer.echo(line)


@app.command()
def plan(
    schema: SchemaFile,
    exports: ExportFiles,
    api: ApiOption = None,
    account: AccountOption = None,
    method: MethodOption = MethodChoice.post,
    url: UrlOption = limits.API_URL,
    profiles: ProfilesOption = None,
    timezone: TimezoneOption = None,
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
    from backfill.cli.terminal import at_work, losses, report
    from backfill.running.settings import Options, Share

    options = Options(
        profiles=profiles.value if profiles else None,
        timezone=timezone,
        until=until,
        max_rejects=Share.parse(max_rejects) if max_rejects is not None else None,
        method=_method(_api(api), method),
        lint=True,
        keep_plan=keep_plan,
    )
    found = _account(url, api, account, needed=False)
    with at_work(schema, exports, state, found, options) as work:
        ended = work.plan()
    report(ended, state, json_=json_)
    raise typer.Exit(losses(ended, options))


@app.command()
def run(
    schema: SchemaFile,
    exports: ExportFiles,
    api: ApiOption = None,
    account: AccountOption = None,
    method: MethodOption = MethodChoice.post,
    url: UrlOption = limits.API_URL,
    profiles: ProfilesOption = None,
    timezone: TimezoneOption = None,
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
    quota: Annotated[
        str,
        typer.Option(
            "--quota",
            metavar="N%",
            help="The share of the allowed requests to use; the rest is left to live integrations.",
        ),
    ] = "100%",
    trigger_flows: Annotated[
        bool,
        typer.Option(
            "--trigger-flows",
            help="Let old orders start the account's live flows: customers get mails of them.",
        ),
    ] = False,
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
    from backfill.cli.terminal import at_work, losses, report, say_next
    from backfill.running.settings import Options, Share
    from backfill.transport.pace import Quota, parse_rate

    options = Options(
        profiles=profiles.value if profiles else None,
        timezone=timezone,
        limit=limit,
        until=until,
        max_rejects=Share.parse(max_rejects) if max_rejects is not None else None,
        expect=expect,
        new_ids=new_ids,
        method=_method(_api(api), method),
        backfill=not trigger_flows,
        quota=Quota.parse(quota),
        keep_plan=keep_plan,
        concurrency=concurrency,
        windows=parse_rate(rate) if rate is not None else None,
    )
    found = _account(url, api, account, needed=True)
    with at_work(schema, exports, state, found, options, yes=yes) as work:
        ended = work.run()
    asked = ended.summary.state == "gated" and not found.is_local  # it showed the plan
    report(ended, state, json_=json_, silent=asked)
    if ended.error is not None:
        say_next(ended)
        raise typer.Exit(ended.error.exit_code)
    raise typer.Exit(losses(ended, options))


def _pasted(api: "Api", method: MethodChoice, url: str) -> "Callable[[str], str]":
    """How one payload becomes a line for a shell."""
    from backfill.account.account import endpoint_of
    from backfill.report.pasted import curl, curl_json_api

    target = endpoint_of(url, api)
    if api.is_json_api:
        return lambda payload: curl_json_api(payload, target)
    return lambda payload: curl(payload, target, method.value)


def _keys(name: str | None = None) -> "Keys":
    """The environment is read here alone."""
    from backfill.account.account import Keys

    public, private = (
        os.environ.get(f"KLAVIYO_{kind}_KEY", "").strip() for kind in ("PUBLIC", "PRIVATE")
    )
    return Keys(public, private, name)


def _api(asked: ApiChoice | None) -> "Api":
    from backfill.account.account import api_of

    return api_of(_keys(), asked.value if asked else None)


def _method(api: "Api", asked: MethodChoice) -> "Method":
    if asked.value not in api.methods:
        raise UsageError(f"--method get is for --api track; {api.name} knows POST alone")
    return asked.value


def _account(url: str, api: ApiChoice | None, name: str | None, *, needed: bool) -> "Account":
    from backfill.account.account import account_of

    return account_of(url, _keys(name), _api(api), needed=needed)


@app.command()
def verify(
    schema: SchemaFile,
    exports: ExportFiles,
    api: ApiOption = None,
    account: AccountOption = None,
    url: UrlOption = limits.API_URL,
    profiles: ProfilesOption = None,
    timezone: TimezoneOption = None,
    state: StateOption = STATE,
    until: UntilOption = None,
    resend: Annotated[
        bool,
        typer.Option(
            "--resend", help="Strike what is missing from the ledger: the next run sends it."
        ),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Plan again, send nothing: is what was delivered in the account, by metric and day?"""
    from backfill.account.account import account_to_verify
    from backfill.cli.terminal import FINISHED_WITH_LOSSES, at_work
    from backfill.report.verify import as_dict, lines
    from backfill.running.settings import Options

    options = Options(profiles=profiles.value if profiles else None, timezone=timezone, until=until)
    found = account_to_verify(url, _keys(account), _api(api))
    with at_work(schema, exports, state, found, options) as work:
        verified = work.verify(resend=resend).verified
    for line in lines(verified):
        echo(line)
    if json_:
        typer.echo(json.dumps(as_dict(verified), ensure_ascii=False))
    raise typer.Exit(FINISHED_WITH_LOSSES if verified.missing else 0)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The schema as it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The schema as it is to be.")],
    exports: ExportFiles,
    api: ApiOption = None,
    profiles: ProfilesOption = None,
    timezone: TimezoneOption = None,
    state: StateOption = STATE,
    until: UntilOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what an edit of a schema changes; exit code 1 where ids change: a second copy."""
    from backfill.account.account import Account
    from backfill.cli.terminal import compare_at_work
    from backfill.report.diff import as_dict, lines
    from backfill.running.settings import Options

    options = Options(profiles=profiles.value if profiles else None, timezone=timezone, until=until)
    account = Account(limits.API_URL, "", _api(api))
    compared = compare_at_work(old, new, exports, state, account, options)
    for line in lines(compared, shutil.get_terminal_size().columns):
        echo(line) if json_ else typer.echo(line)
    if json_:
        typer.echo(json.dumps(as_dict(compared), ensure_ascii=False))
    raise typer.Exit(int(compared.makes_copies))


@app.command()
def status(state: StateOption = STATE, json_: JsonOption = False) -> None:
    """List the runs of a state folder, how they ended, and the command that goes on."""
    from backfill.running.history import known_runs, run_lines

    runs = known_runs(state)
    for line in run_lines(runs):
        echo(line)
    if json_:
        typer.echo(json.dumps({"runs": runs}, ensure_ascii=False))


@app.command()
def schemas(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One whose YAML to print.")
    ] = None,
) -> None:
    """List the schemas that come along, or print one, to copy and edit."""
    from backfill.report.schemas import shipped_lines, shipped_text

    if name is not None:
        typer.echo(shipped_text(name), nl=False)
        return
    for line in shipped_lines(shutil.get_terminal_size().columns):
        typer.echo(line)


@app.command("init")
def init(
    exports: ExportFiles,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write it; else to stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE.")] = False,
    timezone: TimezoneOption = None,
) -> None:
    """Look at an export, and write a commented schema for it to begin from."""
    from datetime import UTC, datetime

    from backfill.draft.draft import draft_of, write_draft

    drafted = draft_of(exports, today=datetime.now(UTC).date(), timezone=timezone)
    if output is None:
        typer.echo(drafted.text, nl=False)
    else:
        write_draft(drafted, output, force=force)
    for note in drafted.notes:
        echo(f"note: {note}")
    for line, question in drafted.questions:
        echo(f"open question on line {line}: {question}")
    if output is not None:
        check = shlex.join(["backfill", "check", str(output)])
        echo(f"{output}: written; look through it, then: {check}")
    raise typer.Exit(1 if drafted.questions else 0)


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
    repeats: Annotated[
        RepeatsChoice,
        typer.Option("--repeats", help="What Bulk Create Events does with an event it has had."),
    ] = RepeatsChoice.discard,
    visible_after: Annotated[
        float,
        typer.Option(
            "--visible-after", min=0.0, metavar="SECONDS", help="When queries find an event."
        ),
    ] = 0.0,
) -> None:
    """Run a local Klaviyo to send to; the first line of stdout is JSON with its url."""
    from backfill.sandbox import Behaviour, FaultsError, StoreError, serve

    def ready(url: str) -> None:
        typer.echo(json.dumps({"url": url}))
        sys.stdout.flush()
        echo(f"a local Klaviyo listens at {url} (Ctrl-C ends it)")

    try:
        behaviour = Behaviour(repeats=repeats.value, visible_after_s=visible_after)
        serve(port, store, faults, rate_limits=rate_limits, behaviour=behaviour, ready=ready)
    except (FaultsError, StoreError) as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}") from error


@app.command()
def demo() -> None:
    """Backfill a sample export into a local Klaviyo, and show what landed beside the plan."""
    from backfill.cli.demo import show

    show(typer.echo)
