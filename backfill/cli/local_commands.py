"""The commands that start a local Klaviyo: a sandbox to send to, and a demo with a sample.

A command imports what it needs when it is called: ``backfill --help`` loads nothing heavy.
"""
# ruff: noqa: PLC0415

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from backfill.cli.console import echo
from backfill.errors import UsageError


def sandbox(
    *,
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
        Literal["discard", "refuse"],
        typer.Option("--repeats", help="What Bulk Create Events does with an event it has had."),
    ] = "discard",
    visible_after: Annotated[
        float,
        typer.Option(
            "--visible-after", min=0.0, metavar="SECONDS", help="When queries find an event."
        ),
    ] = 0.0,
) -> None:
    """Run a local Klaviyo to send to.

    The first line of stdout is JSON with its url.
    """
    from backfill.sandbox import Behaviour, FaultsError, Sandbox, StoreError

    def ready(url: str) -> None:
        typer.echo(json.dumps({"url": url}))
        sys.stdout.flush()
        echo(f"a local Klaviyo listens at {url} (Ctrl-C ends it)")

    try:
        behaviour = Behaviour(repeats=repeats, visible_after_s=visible_after)
        local = Sandbox(port, store, faults, rate_limits=rate_limits, behaviour=behaviour)
        local.serve(ready)
    except (FaultsError, StoreError) as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}") from error


def demo() -> None:
    """Backfill a sample export into a local Klaviyo.

    It shows what was recorded beside what was planned.
    """
    from backfill.cli.demo import show

    show(typer.echo)
