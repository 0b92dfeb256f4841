"""The commands about schemas: check one, list the shipped ones, write one, describe them all.

A command imports what it needs when it is called: ``backfill --help`` loads nothing heavy.
"""
# ruff: noqa: PLC0415

import json
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from backfill.cli import options as opt
from backfill.cli.console import echo


def check(
    schema: opt.SchemaFile,
    exports: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPORT…]", help="Exports whose headers should fit."),
    ] = None,
    timezone: opt.Timezone = None,
) -> None:
    """Check a schema, and whether the exports' headers fit it.

    All problems are shown at once, each with its line.
    """
    from backfill.mapping.compile import check_constants
    from backfill.running.prepare import bind_export, in_zone, open_choices
    from backfill.schema.load import load_schema

    loaded = in_zone(load_schema(schema), timezone)
    check_constants(loaded)
    if exports:
        export, bound = bind_export(loaded, exports)
        for note in (*export.notes, *bound.notes):
            echo(f"note: {note}")
    if choices := open_choices(loaded.schema):
        echo(f"open: {', '.join(choices)}")
    typer.echo(f"{schema}: fits" if exports else f"{schema}: no problems")


def schemas(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One whose YAML to print.")
    ] = None,
) -> None:
    """List the shipped schemas, or print one, to copy and edit."""
    from backfill.report.schemas import shipped_lines, shipped_text

    if name is not None:
        typer.echo(shipped_text(name), nl=False)
        return
    for line in shipped_lines(shutil.get_terminal_size().columns):
        typer.echo(line)


def init(
    exports: opt.ExportFiles,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write it; else to stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE.")] = False,
    timezone: opt.Timezone = None,
) -> None:
    """Write a commented schema for an export.

    It is a draft: what the export does not prove is asked in it.
    """
    from datetime import UTC, datetime

    from backfill.draft.draft import draft_schema, write_draft

    draft = draft_schema(exports, today=datetime.now(UTC).date(), timezone=timezone)
    if output is None:
        typer.echo(draft.text, nl=False)
    else:
        write_draft(draft, output, force=force)
    for note in draft.notes:
        echo(f"note: {note}")
    for line, question in draft.questions:
        echo(f"open question on line {line}: {question}")
    if output is not None:
        check = shlex.join(["backfill", "check", str(output)])
        echo(f"{output}: written; look through it, then: {check}")
    raise typer.Exit(1 if draft.questions else 0)


def schema_json() -> None:
    """Print the JSON Schema of the schema format, for editors."""
    from backfill.schema.model import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
