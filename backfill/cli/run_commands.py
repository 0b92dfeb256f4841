"""The commands about an export and an account: look, plan, deliver, compare, look back.

A command imports what it needs when it is called: ``backfill --help`` loads nothing heavy.
"""
# ruff: noqa: PLC0415

import json
import shutil
from typing import Annotated, Any

import typer

from backfill import limits
from backfill.cli import options as opt
from backfill.cli.console import echo


def preview(
    schema: opt.SchemaFile,
    exports: opt.ExportFiles,
    form: opt.Form = "table",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many orders.")] = 3,
    api: opt.Api = None,
    method: opt.Method = "post",
    url: opt.Url = limits.API_URL,
    profiles: opt.Profiles = None,
    timezone: opt.Timezone = None,
    until: opt.Until = None,
) -> None:
    """Show the first orders, whole, as they would be sent.

    Rejects are among them, with their reasons.
    """
    from backfill.account.account import Account, wire_of
    from backfill.cli.environment import chosen_api, method_for
    from backfill.report.pasted import curl_writer
    from backfill.report.preview import preview_lines
    from backfill.running.prepare import prepare
    from backfill.running.settings import Options
    from backfill.schema.load import load_schema
    from backfill.wire.track import Track

    options = Options(profiles=profiles, timezone=timezone, until=until)
    account = Account(url, "", chosen_api(api))
    prepared = prepare(load_schema(schema), exports, options, account.api)
    wire = wire_of(account, method_for(account.api, method))
    echo(
        "note: clashing ids, unclear amounts and newest events show over the whole export: see plan"
    )
    if form == "js":
        echo(
            "note: the front-end form says neither who nor when: it is for the visitor whom "
            "Klaviyo's cookie names, and for now"
        )
    orders = prepared.preview(limit, wire, Track() if form in ("table", "js") else wire)
    width = shutil.get_terminal_size().columns
    for line in preview_lines(orders, form, width, curl_writer(account.api, method, url)):
        typer.echo(line)


def plan(
    schema: opt.SchemaFile,
    exports: opt.ExportFiles,
    *,
    api: opt.Api = None,
    account: opt.Account = None,
    method: opt.Method = "post",
    url: opt.Url = limits.API_URL,
    profiles: opt.Profiles = None,
    timezone: opt.Timezone = None,
    state: opt.State = opt.STATE,
    until: opt.Until = None,
    max_rejects: opt.MaxRejects = None,
    keep_plan: opt.KeepPlan = False,
    json_: opt.Json = False,
) -> None:
    """Read all, send nothing, and show what a run would do.

    It shows counts, what looks wrong, and the digest of the plan.
    """
    from backfill.cli.environment import chosen_api, method_for, planned_account
    from backfill.cli.terminal import end_run, open_run
    from backfill.running.settings import Options, RejectLimit

    options = Options(
        profiles=profiles,
        timezone=timezone,
        until=until,
        max_rejects=RejectLimit.parse(max_rejects) if max_rejects is not None else None,
        method=method_for(chosen_api(api), method),
        lint=True,
        keep_plan=keep_plan,
    )
    found = planned_account(url, api, account, state)
    with open_run(schema, exports, state, found, options) as opened:
        result = opened.plan()
    end_run(result, state, options, json_=json_)


def run(
    schema: opt.SchemaFile,
    exports: opt.ExportFiles,
    *,
    api: opt.Api = None,
    account: opt.Account = None,
    method: opt.Method = "post",
    url: opt.Url = limits.API_URL,
    profiles: opt.Profiles = None,
    timezone: opt.Timezone = None,
    state: opt.State = opt.STATE,
    limit: opt.Limit = None,
    until: opt.Until = None,
    max_rejects: opt.MaxRejects = None,
    concurrency: opt.Concurrency = 16,
    rate: opt.Rate = None,
    quota: opt.Quota = "100%",
    trigger_flows: opt.TriggerFlows = False,
    expect: opt.Expect = None,
    new_ids: opt.NewIds = False,
    equal_rows: opt.EqualRows = False,
    keep_plan: opt.KeepPlan = False,
    verify: opt.Verify = None,
    visibility_delay: opt.VisibilityDelay = "10m",
    yes: opt.Yes = False,
    json_: opt.Json = False,
) -> None:
    """Plan, then deliver what is not delivered yet. Run it again to go on."""
    from backfill.account.visibility import parse_delay
    from backfill.cli.environment import chosen_account, chosen_api, method_for
    from backfill.cli.terminal import end_run, open_run
    from backfill.running.settings import Options, RejectLimit
    from backfill.transport.pace import Quota, parse_rate

    options = Options(
        profiles=profiles,
        timezone=timezone,
        limit=limit,
        until=until,
        max_rejects=RejectLimit.parse(max_rejects) if max_rejects is not None else None,
        expect=expect,
        new_ids=new_ids,
        equal_rows=equal_rows,
        method=method_for(chosen_api(api), method),
        backfill=not trigger_flows,
        quota=Quota.parse(quota),
        keep_plan=keep_plan,
        concurrency=concurrency,
        windows=parse_rate(rate) if rate is not None else None,
        verify=verify,
        visibility_delay_s=parse_delay(visibility_delay),
    )
    found = chosen_account(url, api, account)
    with open_run(schema, exports, state, found, options, yes=yes) as opened:
        result = opened.run()
    asked = result.summary.state == "gated" and not found.is_local  # it showed the plan
    end_run(result, state, options, json_=json_, silent=asked)


def verify(
    schema: opt.SchemaFile,
    exports: opt.ExportFiles,
    *,
    api: opt.Api = None,
    account: opt.Account = None,
    url: opt.Url = limits.API_URL,
    profiles: opt.Profiles = None,
    timezone: opt.Timezone = None,
    state: opt.State = opt.STATE,
    until: opt.Until = None,
    resend: Annotated[
        bool,
        typer.Option(
            "--resend", help="Strike what is missing from the ledger: the next run sends it."
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for what is not visible yet, as long as the delay."),
    ] = False,
    visibility_delay: opt.VisibilityDelay = "10m",
    json_: opt.Json = False,
) -> None:
    """Ask the account whether it has what was delivered.

    It plans again, sends nothing, and compares by metric and day.
    """
    from backfill.account.account import account_to_verify
    from backfill.account.visibility import parse_delay
    from backfill.cli.environment import chosen_api, read_keys
    from backfill.cli.terminal import open_run, verify_exit_code
    from backfill.report.verify import as_dict, lines
    from backfill.running.settings import Options

    options = Options(
        profiles=profiles,
        timezone=timezone,
        until=until,
        visibility_delay_s=parse_delay(visibility_delay),
    )
    found = account_to_verify(url, read_keys(account), chosen_api(api))
    with open_run(schema, exports, state, found, options) as opened:
        verified = opened.verify(resend=resend, wait=wait).verified
    for line in lines(verified):
        echo(line)
    if json_:
        _print_json(as_dict(verified))
    raise typer.Exit(verify_exit_code(verified))


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The schema as it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The schema as it is to be.")],
    exports: opt.ExportFiles,
    *,
    api: opt.Api = None,
    profiles: opt.Profiles = None,
    timezone: opt.Timezone = None,
    state: opt.State = opt.STATE,
    until: opt.Until = None,
    json_: opt.Json = False,
) -> None:
    """Show what an edit of a schema changes.

    The exit code is 1 if ids change: delivered events would get a second copy.
    """
    from backfill.account.account import Account
    from backfill.cli.environment import chosen_api
    from backfill.cli.terminal import compare_schemas
    from backfill.report.diff import as_dict, lines
    from backfill.running.settings import Options

    options = Options(profiles=profiles, timezone=timezone, until=until)
    account = Account(limits.API_URL, "", chosen_api(api))
    compared = compare_schemas(old, new, exports, state, account, options)
    for line in lines(compared, shutil.get_terminal_size().columns):
        echo(line) if json_ else typer.echo(line)
    if json_:
        _print_json(as_dict(compared))
    raise typer.Exit(int(compared.makes_copies))


def status(state: opt.State = opt.STATE, *, json_: opt.Json = False) -> None:
    """List the runs of a state folder, and how they ended.

    The last line is the command that continues, if there is something left.
    """
    from backfill.report.status import lines
    from backfill.running.history import known_runs

    runs = known_runs(state)
    for line in lines(runs):
        echo(line, whole=True)
    if json_:
        _print_json({"runs": runs})


def _print_json(result: dict[str, Any]) -> None:
    typer.echo(json.dumps(result, ensure_ascii=False))
