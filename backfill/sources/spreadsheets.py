"""What stands around a cell's text and is none of it: blanks, and the marks of a spreadsheet."""

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
_MARKED: Final = f"^'({_NUMBER}|{_ZIP})$"
"""An apostrophe before what a spreadsheet would take for a number, or mistake for one. Before other
text it is a letter: ``'t Hooft``, ``'90s Tee``."""


def tidy(column: pa.ChunkedArray, nothing: Sequence[str] = ()) -> pa.ChunkedArray:
    """The cells' own text, NULL where there is none.

    ``nothing`` are words that say so: the cell is one of them, letter for letter.
    """
    text = pc.utf8_trim_whitespace(column)
    if _any_begins(text, '="'):
        text = _unwrapped(text)
    if _any_begins(text, "'"):
        text = pc.replace_substring_regex(text, _MARKED, r"\1")
    empty = pc.equal(text, "")
    if nothing:
        empty = pc.or_(empty, pc.is_in(text, value_set=pa.array(nothing, text.type)))
    return pc.if_else(empty, pa.scalar(None, text.type), text)


def _any_begins(text: pa.ChunkedArray, sign: str) -> bool:
    """Most columns hold no such cell, and to look is cheaper than a regular expression."""
    return bool(pc.any(pc.starts_with(text, sign)).as_py())


def _unwrapped(text: pa.ChunkedArray) -> pa.ChunkedArray:
    wrapped = pc.match_substring_regex(text, _FORMULA)
    inner = pc.replace_substring_regex(text, _FORMULA, r"\1")
    inner = pc.utf8_trim_whitespace(pc.replace_substring(inner, '""', '"'))
    return pc.if_else(wrapped, inner, text)
