"""What rejects.csv adds to an export's own cells, so that it can be an export itself."""

import re
from typing import Final

MARKS: Final = ("_reason", "_column", "_file", "_row")
"""They stand in front of the export's columns."""

_BEGINS: Final = r"(\A|[;,|\t\r\n])"  # a spreadsheet may cut at another sign than we do
_SIGNS: Final = "=+@\uff1d\uff0b\uff20"
_MINUS: Final = "\uff0d-"
_BLANKS: Final = "[ \u00a0]*"
_NUMBER: Final = rf"[0-9]*\.?[0-9]+{_BLANKS}(?:[;,|\t\r\n]|\Z)"

_RISKY: Final = re.compile(
    rf"{_BEGINS}(?='+{_BLANKS}[{_SIGNS}{_MINUS}]|{_BLANKS}[{_SIGNS}]|{_BLANKS}[{_MINUS}](?!{_NUMBER}))"
)
ARMED: Final = rf"{_BEGINS}'('*{_BLANKS}[{_SIGNS}{_MINUS}])"
"""What ``disarmed`` leaves, for RE2 as much as for Python; ``\\1\\2`` is the text as it was.

Source: OWASP, "CSV Injection": a cell that begins with one of = + - @, a tab, a line end or a
full-width form of them may run as a formula."""


def disarmed(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe stands before the sign.

    A negative number is none and stays. A cell that begins with apostrophes gets one more, so that
    ``rearmed`` gives every cell back.
    """
    return _RISKY.sub(r"\1'", cell)


def rearmed(cell: str) -> str:
    return re.sub(ARMED, r"\1\2", cell)
