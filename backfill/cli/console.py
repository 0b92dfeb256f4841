"""Words for people on stderr, results on stdout; one that cannot be written stops no work.

A full disk, a reader that went away and a stream that was closed from the beginning are alike: the
write is dropped, and ``take_failure`` says afterwards what became of stdout.
"""

import errno
import io
import os
import select
import sys
from contextlib import suppress

import typer

from backfill.display import brief
from backfill.errors import StoppedError


class OutputError(StoppedError):
    """A result could not be written to stdout."""


class _Output(io.FileIO):
    """A file descriptor on which no write fails; it keeps the first error."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.failure: OSError | None = None

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # any buffer
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])  # whoever shares it made it non-blocking
        except OSError as error:
            self.failure = self.failure or error
            return len(data)
        return written


_outputs: dict[int, _Output] = {}


def open_console() -> None:
    """Put outputs that never fail in the place of stdout and stderr.

    A closed descriptor is opened on the null device, which cannot be written either: otherwise the
    next file that is opened, which may be the ledger, gets its number, and what a library writes
    to stderr.
    """
    for number in (0, 1, 2):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end
    sys.stdout = _text(1, sys.stdout)
    sys.stderr = _text(2, sys.stderr)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(number: int, before: object) -> io.TextIOWrapper:
    _outputs[number] = output = _Output(number)
    return io.TextIOWrapper(
        io.BufferedWriter(output),  # type: ignore[type-var]  # its write takes any buffer
        encoding=getattr(before, "encoding", "utf-8"),
        # A name that the terminal's encoding lacks is no reason to stop either.
        errors="backslashreplace",
        line_buffering=True,
    )


def take_failure() -> OSError | None:
    """What kept stdout from being written since the last call; a reader may go at any time."""
    sys.stdout.flush()
    output = _outputs.get(1)
    if output is None or output.failure is None:
        return None
    failure, output.failure = output.failure, None
    return None if failure.errno == errno.EPIPE else failure


def echo(line: str = "", *, whole: bool = False) -> None:
    """Show a line.

    Args:
        line: is cut if it is over long, by the length of a name in it for example.
        whole: show all of it, because a person copies it: a command.
    """
    typer.echo(line if whole else brief(line), err=True)


def echo_from_signal(line: str) -> None:
    """Show a line in the middle of whatever is written: a buffer would not take it then."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())


def output_error(failure: OSError) -> OutputError:
    """The sentence for a result that is not on stdout.

    Args:
        failure: as ``take_failure`` gives it.
    """
    return OutputError(
        f"stdout cannot be written ({failure.strerror}); send it elsewhere, then run the same "
        "command again"
    )
