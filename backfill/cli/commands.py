"""The command line: words for people on stderr, results on stdout, exit codes by what to do next.

0  all that could be sent is delivered          3  stopped: run the same command to go on
1  finished, with rejects or refusals           4  a gate said no; nothing was sent
2  usage, schema or export; nothing was sent    5  Klaviyo refuses the key or the endpoint
"""

import signal
import sys
from typing import Final

import typer

from backfill.cli import local_commands, run_commands, schema_commands
from backfill.cli.console import echo
from backfill.errors import BackfillError, StoppedError

app = typer.Typer(
    name="backfill",
    help="Order history into Klaviyo: mapped by a YAML schema, seen before it is sent, "
    "delivered once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    schema_commands.check,
    run_commands.preview,
    run_commands.plan,
    run_commands.run,
    run_commands.verify,
    run_commands.diff,
    run_commands.status,
    schema_commands.schemas,
    schema_commands.init,
    schema_commands.schema_json,
    local_commands.sandbox,
    local_commands.demo,
):
    app.command()(command)

_INTERRUPTED: Final = 130
"""What typer makes of a KeyboardInterrupt."""


def main() -> None:
    """The entry point: every error of ours is one clear line and its own exit code."""
    # sys.exit is outside the except blocks: an exception that is still referenced when the
    # interpreter ends keeps DuckDB's connections alive, and nanobind prints pages about leaks.
    code = _exit_code()
    # All output is written: a second Ctrl-C would only interrupt the interpreter's own end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _exit_code() -> int:
    try:
        app()
    except BackfillError as error:
        return _echo_error(error)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            why = "stopped; nothing more is sent; run the same command to go on"
            return _echo_error(StoppedError(why))
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _echo_error(error: BackfillError) -> int:
    for line in str(error).splitlines():
        echo(f"backfill: {line}")
    return error.exit_code
