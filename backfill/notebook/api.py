"""What a notebook calls: preview a mapping, plan, run, list the runs."""

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pyarrow as pa

from backfill import limits
from backfill.account.account import Account, Keys, account_of, account_to_plan, api_of, wire_of
from backfill.account.visibility import parse_delay
from backfill.display import brief
from backfill.errors import GateError, StoppedByUserError
from backfill.ledger.ledger import Ledger
from backfill.mapping.compile import check_constants
from backfill.notebook.results import Preview, Report
from backfill.planning.judgement import Profiles
from backfill.report.summary import Summary
from backfill.running.history import known_runs
from backfill.running.known_accounts import known_account
from backfill.running.prepare import Exports, prepare
from backfill.running.progress import Bars
from backfill.running.run import Backfill
from backfill.running.settings import Confirm, Options, RejectLimit, RunResult
from backfill.running.signals import stop_on_signals
from backfill.schema.load import LoadedSchema
from backfill.schema.load import load_schema as _load
from backfill.transport.pace import Quota, parse_rate
from backfill.wire.apis import ApiName, Method

STATE = ".backfill"


def load_schema(source: str | Path) -> LoadedSchema:
    """Load and check a schema.

    Args:
        source: the path of a YAML file, the name of a shipped schema, or YAML text, which has a
            line break.

    Raises:
        SchemaError: it has problems; the error holds them all, each with its line.
        UsageError: there is no such file.
    """
    loaded = _load(source)
    check_constants(loaded)
    return loaded


def preview(
    schema: LoadedSchema | str | Path,
    export: Exports,
    *,
    limit: int = 3,
    profiles: Profiles | None = None,
    timezone: str | None = None,
    until: str | None = None,
    method: Method = "post",
    url: str = limits.API_URL,
) -> Preview:
    """The first orders, whole: source rows beside payloads, rejects beside reasons.

    If the schema names an order, this reads the whole export, because an order's rows may be
    scattered. Only ``plan`` shows ids that clash.

    Args:
        schema: a loaded schema, or what ``load_schema`` takes.
        export: a path or a pattern, several of them, a DataFrame or an Arrow table.
        limit: the number of orders.
        profiles: which events write their person's attributes: each person's newest one, none, or
            every one. None takes the schema's ``profiles``.
        timezone: the zone of the shop's clock, as "Europe/Berlin". None takes the schema's.
        until: a date or a time; later events are left out. None leaves out none.
        method: "get" shows the Track API's GET, and what its URLs cannot hold.
        url: the base of the account's URLs.

    Raises:
        FixInputError: schema, export or options.
    """
    options = Options(profiles=profiles, timezone=timezone, until=until)
    prepared = prepare(_loaded(schema), export, options)
    orders = prepared.preview(limit, wire_of(Account(url, ""), method))
    return Preview(orders, prepared.export, frozenset(prepared.bound.columns))


def plan(
    schema: LoadedSchema | str | Path,
    export: Exports,
    *,
    state: str | Path = STATE,
    url: str = limits.API_URL,
    key: str = "",
    private_key: str = "",
    account: str | None = None,
    api: ApiName | None = None,
    profiles: Profiles | None = None,
    timezone: str | None = None,
    until: str | None = None,
    method: Method = "post",
) -> Report:
    """Read all, send nothing: what a run would do.

    Args:
        schema: a loaded schema, or what ``load_schema`` takes.
        export: a path or a pattern, several of them, a DataFrame or an Arrow table.
        state: the folder of the ledger and of all runs; it is created.
        url: the base of the account's URLs; a sandbox's ``url`` needs no key.
        key: the account's public key, of six characters, for the Track API.
        private_key: a private key, pk_…, for Bulk Create Events and Create Event. Without a key
            nobody knows what was delivered before; with one, it is left out.
        account: a name for the account, if the private key may not read its account.
        api: "track", "events" or "bulk". None takes "bulk" for a private key, else "track".
        profiles: which events write their person's attributes: each person's newest one, none, or
            every one. None takes the schema's ``profiles``.
        timezone: the zone of the shop's clock, as "Europe/Berlin". None takes the schema's.
        until: a date or a time; later events are left out. None leaves out none.
        method: "get" plans for the Track API's GET.

    Raises:
        FixInputError: schema, export or options.
        DeniedError: Klaviyo refuses the key.
        StoppedError: the disk is full.
    """
    keys = Keys(key, private_key, account)
    known = partial(known_account, Path(state), url)
    found = account_to_plan(url, keys, api_of(keys, api), known)
    options = Options(
        profiles=profiles,
        timezone=timezone,
        until=until,
        method=method,
        lint=True,
        hold_plan=True,
    )
    return _report(schema, export, state, found, options, Backfill.plan)


def run(
    schema: LoadedSchema | str | Path,
    export: Exports,
    *,
    state: str | Path = STATE,
    url: str = limits.API_URL,
    key: str = "",
    private_key: str = "",
    account: str | None = None,
    api: ApiName | None = None,
    profiles: Profiles | None = None,
    timezone: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    max_rejects: int | str | None = None,
    expect: str | None = None,
    new_ids: bool = False,
    equal_rows: bool = False,
    method: Method = "post",
    concurrency: int = 16,
    rate: str | None = None,
    quota: str = "100%",
    trigger_flows: bool = False,
    verify: bool | None = None,
    visibility_delay: str = "10m",
    yes: bool = False,
) -> Report:
    """Plan, then deliver what is not delivered yet; run it again to go on.

    An interrupt, or ``limit``, ends the run cleanly: the report's ``error`` says so, and its
    ``summary.left`` counts what is left.

    Args:
        schema: a loaded schema, or what ``load_schema`` takes.
        export: a path or a pattern, several of them, a DataFrame or an Arrow table.
        state: the folder of the ledger and of all runs; it is created.
        url: the base of the account's URLs; a sandbox's ``url`` needs no key.
        key: the account's public key, of six characters, for the Track API.
        private_key: a private key, pk_…, for Bulk Create Events and Create Event.
        account: a name for the account, if the private key may not read its account.
        api: "track", "events" or "bulk". None takes "bulk" for a private key, else "track".
        profiles: which events write their person's attributes: each person's newest one, none, or
            every one. None takes the schema's ``profiles``.
        timezone: the zone of the shop's clock, as "Europe/Berlin". None takes the schema's.
        until: a date or a time; later events are left out. None leaves out none.
        method: "get" sends by the Track API's GET.
        limit: the most events to send now. None sends all.
        max_rejects: a number of orders, or a share as "1%": with more rejects nothing is sent.
            None lets any number pass.
        expect: the digest of the only plan to send. None sends any plan.
        new_ids: send although the rule of ``$event_id`` differs from that of delivered events.
        equal_rows: send although many orders have rows that are equal in every column.
        concurrency: requests at the same time.
        rate: requests a second and a minute, as "10/s,150/min", or "none". None takes the limits
            that Klaviyo documents.
        quota: the share of the rate limits to use, as "50%".
        trigger_flows: let old orders start the account's live flows: customers get mails of them.
        verify: after the run, ask the account whether it shows what was delivered, and wait for
            what is not visible yet; ``summary.in_account`` says what it shows. None asks a live
            account by a private key.
        visibility_delay: how long Klaviyo may hide an event that it acknowledged.
        yes: a live account needs True.

    Raises:
        FixInputError: schema, export or options; nothing was sent.
        GateError: too many rejects, another plan than ``expect``, an edited id rule, rows
            that are doubled, no yes.
        StoppedError: Klaviyo does not answer, or the disk is full; run it again.
        DeniedError: Klaviyo refuses the key or the endpoint.
    """
    options = Options(
        profiles=profiles,
        timezone=timezone,
        until=until,
        limit=limit,
        max_rejects=None if max_rejects is None else RejectLimit.parse(str(max_rejects)),
        expect=expect,
        new_ids=new_ids,
        equal_rows=equal_rows,
        method=method,
        concurrency=concurrency,
        windows=parse_rate(rate) if rate is not None else None,
        quota=Quota.parse(quota),
        backfill=not trigger_flows,
        verify=verify,
        visibility_delay_s=parse_delay(visibility_delay),
        hold_plan=True,
    )
    keys = Keys(key, private_key, account)
    found = account_of(url, keys, api_of(keys, api))
    return _report(schema, export, state, found, options, Backfill.run, _confirmed(found, yes=yes))


def _confirmed(account: Account, *, yes: bool) -> Confirm:
    """The last gate of a notebook: a live account needs a yes."""

    def confirm(_: Summary, remarks: Callable[[], Sequence[str]]) -> bool:
        if yes or account.is_local:
            return True
        for line in remarks():
            _print(line)
        raise GateError(
            f"{account.url} is a live account: look at plan(…), then pass yes=True; "
            "nothing was sent"
        )

    return confirm


def runs(state: str | Path = STATE) -> pd.DataFrame:
    """The runs of a state folder, a row each, the newest last.

    Args:
        state: the folder.

    Raises:
        UsageError: it has no runs.
    """
    columns = ["run", "schema", "state", "started", "ended", *_COUNTS, "next"]
    frame = pd.DataFrame([run["summary"] | run for run in known_runs(Path(state))], columns=columns)
    for name in ("started", "ended"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.astype(dict.fromkeys(_COUNTS, "Int64"))


_COUNTS = ("orders", "rejected", "events", "already", "delivered", "refused", "left")


def _loaded(schema: LoadedSchema | str | Path) -> LoadedSchema:
    return schema if isinstance(schema, LoadedSchema) else load_schema(schema)


def _print(line: str) -> None:
    sys.stderr.write(f"{brief(line)}\n")


def _bars() -> Bars:
    """Bars for a notebook if the notebook can show them, else for a terminal."""
    if "ipykernel" in sys.modules and find_spec("ipywidgets") is not None:
        return Bars(import_module("tqdm.notebook").tqdm, disable=False)
    return Bars()


def _report(
    schema: LoadedSchema | str | Path,
    export: Exports,
    state: str | Path,
    account: Account,
    options: Options,
    work: Callable[[Backfill], RunResult],
    confirm: Confirm = lambda _, __: True,
) -> Report:
    stop = threading.Event()
    with stop_on_signals(stop, _print), closing(_bars()) as bars:
        hooks = bars.hooks(stop, confirm, _print)
        backfill = Backfill(_loaded(schema), export, Path(state), account, options, hooks)
        result = work(backfill)
    if result.error is not None and not isinstance(result.error, StoppedByUserError):
        result.release_plan()
        raise result.error
    delivered = None
    if result.summary.state == "stopped":
        with Ledger.open(backfill.state.ledger, account.target) as ledger:
            batches = list(ledger.delivered(run_id=result.summary.run))
        delivered = pa.Table.from_batches(batches)["key"] if batches else pa.nulls(0, pa.binary(16))
    folder = backfill.state.run(result.summary.run)
    return Report(result, folder, backfill.export.files, delivered)
