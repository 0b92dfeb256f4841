"""What spreadsheets do to cells: removed when read, prevented when rejects are written.

Both are here because people open ``rejects.csv`` in a spreadsheet and then feed it in.
"""

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_FORMULA: Final = r'^="((?:[^"]|"")*)"$'
"""How a program tells Excel that digits are text: ``="00123"``."""

_NUMBER: Final = r"[+(-]?\(?[0-9][0-9 \x{00A0}.,:/()+-]*"
_ZIP: Final = (
    "[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}"  # GB
    "|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]"  # CA
    "|[0-9]{4} ?[A-Z]{2}"  # NL
    "|[A-Z][0-9][0-9W] ?[0-9A-Z]{4}"  # IE
)
_APOSTROPHE: Final = f"^'({_NUMBER}|{_ZIP})$"
"""An apostrophe before text that a spreadsheet would read as a number or mistake for one. Before
other text it is a letter: ``'t Hooft``, ``'90s Tee``."""


def clean_cells(column: pa.ChunkedArray, null_values: Sequence[str] = ()) -> pa.ChunkedArray:
    """The cells without what a spreadsheet put around them; NULL where that leaves nothing.

    Args:
        column: text.
        null_values: cells that mean NULL; they match exactly.
    """
    text = pc.utf8_trim_whitespace(column)
    if _any_begins(text, '="'):
        text = _unwrapped(text)
    if _any_begins(text, "'"):
        text = pc.replace_substring_regex(text, _APOSTROPHE, r"\1")
    empty = pc.equal(text, "")
    if null_values:
        empty = pc.or_(empty, pc.is_in(text, value_set=pa.array(null_values, text.type)))
    return pc.if_else(empty, pa.scalar(None, text.type), text)


def _any_begins(text: pa.ChunkedArray, sign: str) -> bool:
    """Most columns have no such cell, and this costs less than a regular expression."""
    return bool(pc.any(pc.starts_with(text, sign)).as_py())


def _unwrapped(text: pa.ChunkedArray) -> pa.ChunkedArray:
    wrapped = pc.match_substring_regex(text, _FORMULA)
    inner = pc.replace_substring_regex(text, _FORMULA, r"\1")
    inner = pc.utf8_trim_whitespace(pc.replace_substring(inner, '""', '"'))
    return pc.if_else(wrapped, inner, text)


RUINED_NUMBER: Final = "[0-9]([.,][0-9]+)?[eE][+][0-9]+"
"""What is left of a long number: ``5.27763E+12``. This pattern and the next ones are RE2's, for the
whole cell."""

ERROR_VALUE: Final = r"#{3,}|#[¡¿]?\p{Lu}[\p{Lu}0/_]*[!?]|#N/[ABD]|#NV"
"""``#####`` of a narrow column; ``#N/A``, ``#REF!``, ``#NAME?`` of a formula, and what they are in
other languages: ``#WERT!``, ``#NV``, ``#¡VALOR!``, ``#N/D``.

Source: Microsoft Support, "How to correct a #N/A error" and its siblings, read 2026-11-27 in
English, German, Spanish, French and Dutch."""

_MONTH: Final = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
DATE_OF_CODE: Final = rf"[0-9]{{1,2}}-{_MONTH}|{_MONTH}-[0-9]{{2}}"
"""What is left of the codes ``1-3`` and ``MAR1``: ``1-Mar``."""

DAY_NUMBER: Final = "[34][0-9]{4}([.,][0-9]+)?"
"""A day as a spreadsheet counts it, from 1982 to 2036."""

NUMBER_DIGITS: Final = 15
"""Digits of a number that Excel keeps; zeros replace the others.

Source: Microsoft, "Excel specifications and limits": number precision, 15 digits."""

REJECT_COLUMNS: Final = ("_reason", "_column", "_file", "_row")
"""The columns of rejects.csv before the export's own."""

_BEGINS: Final = r"(\A|[;,|\t\r\n])"  # a spreadsheet may use another delimiter than we do
_SIGNS: Final = "=+@\uff1d\uff0b\uff20"
_MINUS: Final = "\uff0d-"
_BLANKS: Final = "[ \u00a0]*"
_PLAIN_NUMBER: Final = rf"[0-9]*\.?[0-9]+{_BLANKS}(?:[;,|\t\r\n]|\Z)"

_RISKY: Final = re.compile(
    rf"{_BEGINS}(?='+{_BLANKS}[{_SIGNS}{_MINUS}]|{_BLANKS}[{_SIGNS}]|{_BLANKS}[{_MINUS}](?!{_PLAIN_NUMBER}))"
)
ESCAPED: Final = rf"{_BEGINS}'('*{_BLANKS}[{_SIGNS}{_MINUS}])"
"""What ``escape_formulas`` writes, for RE2 and for Python; ``\\1\\2`` is the text as it was.

Source: OWASP, "CSV Injection": a cell that begins with one of = + - @, a tab, a line end or a
full-width form of them may run as a formula."""


def escape_formulas(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: an apostrophe precedes the sign.

    A negative number is not a formula and stays as it is. A cell that begins with apostrophes gets
    one more, so that ``unescape_formulas`` restores every cell.
    """
    return _RISKY.sub(r"\1'", cell)


def unescape_formulas(cell: str) -> str:
    return re.sub(ESCAPED, r"\1\2", cell)
