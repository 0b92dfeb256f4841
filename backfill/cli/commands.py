"""The command line: words for people on stderr, results on stdout, exit codes by what to do next.

0  all that could be sent is delivered          3  stopped: run the same command to go on
1  finished, with rejects or refusals           4  a gate said no; nothing was sent
2  usage, schema or export; nothing was sent    5  Klaviyo refuses the key or the endpoint
                                                70  nobody foresaw it; a file has the traceback
"""

import functools
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import typer

from backfill.cli import local_commands, run_commands, schema_commands
from backfill.cli.console import echo, open_console, output_error, take_failure
from backfill.errors import BackfillError, StoppedError, UnexpectedError
from backfill.running.crash import unexpected

app = typer.Typer(
    name="backfill",
    help="Order history into Klaviyo: mapped by a YAML schema, seen before it is sent, "
    "delivered once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Typer ends with exit code 1 for some of the errors that it gets, so it gets none."""

    @functools.wraps(command)
    def call(*args: Any, **options: Any) -> None:
        try:
            _check_memory()
            command(*args, **options)
        except (BackfillError, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            raise _unexpected(error) from error

    return call


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
    app.command()(_guarded(command))


def _check_memory() -> None:
    """With less, a library ends the process while it is loaded, and one of them with exit code 1.

    Raises:
        UnexpectedError: the limit of this process is lower.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise UnexpectedError(
            f"this process may address {limit // 1_000_000:,} MB (ulimit -v), which is too little "
            f"to begin; allow {_ROOMY_ADDRESS_SPACE // 1_000_000:,} MB; nothing was done"
        )


_LEAST_ADDRESS_SPACE: Final = 800_000_000
_ROOMY_ADDRESS_SPACE: Final = 4_000_000_000
_INTERRUPTED: Final = 130
"""What typer makes of a KeyboardInterrupt."""


def main() -> None:
    """The entry point: every error of ours is one clear line and its own exit code."""
    # sys.exit is outside the except blocks: an exception that is still referenced when the
    # interpreter ends keeps DuckDB's connections alive, and nanobind prints pages about leaks.
    open_console()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; we multiply no matrices
    code = _exit_code()
    if (failure := take_failure()) and code in (0, 1):
        code = _echo_error(output_error(failure))
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
    except Exception as error:  # noqa: BLE001 - the command line's own
        return _echo_error(_unexpected(error))
    return 0


def _unexpected(error: Exception) -> UnexpectedError:
    """Its traceback is in no run's folder."""
    names = ("KLAVIYO_PUBLIC_KEY", "KLAVIYO_PRIVATE_KEY")
    return unexpected(error, None, [os.environ.get(name, "") for name in names])


def _echo_error(error: BackfillError) -> int:
    for line in str(error).splitlines():
        echo(f"backfill: {line}")
    return error.exit_code
