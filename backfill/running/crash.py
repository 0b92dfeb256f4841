"""What nobody foresaw becomes one sentence, and a traceback in a file for its owner alone.

The sentence names the kind of error and the place in the code. It does not have the error's text,
which may quote a cell.
"""

import platform
import re
import tempfile
import traceback
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from backfill.errors import UnexpectedError
from backfill.running.own_file import private_file

_PACKAGE: Final = Path(__file__).parents[1]

_ADVICE: Final = (
    (
        r"MemoryError|OutOfMemory|bad_alloc|cannot allocate memory|failed to map segment",
        "the memory that this process may use is at its end (ulimit -v, the container's limit)",
    ),
    (
        r"can't start new thread|resource temporarily unavailable|thread constructor failed",
        "the system allows no more threads, or has no memory for one (ulimit -u, ulimit -v)",
    ),
    (r"too many open files", "the system allows no more open files; raise that limit (ulimit -n)"),
    (
        r"year .* is out of range|date value out of range|timestamp out of range",
        "is the clock right?",
    ),
)
_LONGEST_LINE: Final = 1_000


def unexpected(
    error: BaseException, folder: Path | None, secrets: Iterable[str] = ()
) -> UnexpectedError:
    """Write the traceback of an error, and give the sentence for a person.

    Args:
        error: what nobody foresaw.
        folder: of the run; None takes the system's folder for temporary files.
        secrets: keys, which the traceback may not show.
    """
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    said = [f"unexpected error: {kind.lstrip('_')}{_place(error)}"]
    said += [
        advice for text, advice in _ADVICE if re.search(text, f"{kind}: {error}", re.IGNORECASE)
    ][:1]
    said.append(_written(error, folder, secrets))
    if folder is not None:
        said.append("what was delivered is in the ledger, run the same command to go on")
    return UnexpectedError("; ".join(said))


def _place(error: BaseException) -> str:
    """The innermost line of our own code that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    if not own:
        return ""
    return f" at {Path(own[-1].filename).relative_to(_PACKAGE.parent)}:{own[-1].lineno}"


def _written(error: BaseException, folder: Path | None, secrets: Iterable[str]) -> str:
    """Where the traceback is, or why it is nowhere."""
    try:
        text = "".join(_lines(error, [secret for secret in secrets if secret]))
        if folder is None:
            # Its mode is 0600, and its name is nobody else's.
            with tempfile.NamedTemporaryFile(
                "w", prefix="backfill-", suffix="-crash.txt", delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
                return f"the traceback is in {file.name}"
        path = folder / "crash.txt"
        with private_file(path) as file:
            file.write(text)
    except Exception as why:  # noqa: BLE001 - the first error is the one to tell
        reason = why.strerror if isinstance(why, OSError) else type(why).__name__
        return f"the traceback cannot be written ({reason})"
    return f"the traceback is in {path}"


def _lines(error: BaseException, secrets: list[str]) -> Iterable[str]:
    with suppress(Exception):
        yield f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z\n"
    yield f"backfill {version('backfill')}, Python {platform.python_version()}\n\n"
    for line in traceback.TracebackException.from_exception(error).format():
        for secret in secrets:
            line = line.replace(secret, "…")  # noqa: PLW2901
        # A GET has the key in its URL, as base64.
        line = re.sub(r"data=[\w+/%=-]+", "data=…", line)  # noqa: PLW2901
        yield line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …\n"
