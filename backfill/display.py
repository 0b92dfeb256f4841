"""Text for a terminal: counts, and foreign text of which nothing moves a cursor or ends a line."""

import re
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

LONGEST_NAME: Final = 80
"""Of a quoted name in a sentence; its beginning and its end tell which one it is."""
LONGEST_LINE: Final = 800
"""Ten lines of a terminal: a note is read beside others."""
MOST_LINES: Final = 40

_LONG_NAME: Final = re.compile(rf'"[^"\n]{{{LONGEST_NAME + 1},}}"')


def counted(count: int, unit: str, units: str = "") -> str:
    """``1 order`` or ``2,000 orders``; ``units`` is the plural, if it is not the unit with an s."""
    return f"{count:,} {unit if count == 1 else units or unit + 's'}"


def listed(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: the first ``most`` names, and how many others there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shortened(text: str, most: int = LONGEST_NAME) -> str:
    """``text`` in at most ``most`` characters, with ``…`` where its middle is cut out."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 1]}…{text[-end:]}"


def brief(sentence: str) -> str:
    """The sentence in ``LONGEST_LINE`` characters: first its quoted names are shortened.

    Names and lists come from exports, schemas and answers, and may be of any length.
    """
    if len(sentence) <= LONGEST_NAME:
        return sentence
    named = _LONG_NAME.sub(lambda found: f'"{shortened(found[0][1:-1])}"', sentence)
    return shortened(named, LONGEST_LINE)


def screen(text: str) -> str:
    """Lines of a text, brief, the first ``MOST_LINES`` of them, and how many others there are."""
    lines = text.split("\n")
    more = [f"and {len(lines) - MOST_LINES:,} lines more"] if len(lines) > MOST_LINES else []
    return "\n".join([*map(brief, lines[:MOST_LINES]), *more])


def plain(text: str, *, escape: str = "") -> str:
    r"""``text`` with all that is not printable, and each character of ``escape``, as ``\uXXXX``."""
    if text.isascii() and text.isprintable() and not any(sign in text for sign in escape):
        return text
    return "".join(
        sign if sign.isprintable() and sign not in escape else _escaped(sign) for sign in text
    )


def plain_json(text: str, *, escape: str = "") -> str:
    """The same JSON in one line.

    Args:
        text: valid JSON.
        escape: characters that JSON has only inside strings; they are escaped there.
    """
    # A raw line break or tab is between two values: inside strings JSON does not allow it.
    return plain(text.translate(_LINE_BREAKS), escape=escape)


_LINE_BREAKS = dict.fromkeys(map(ord, "\t\n\r"), " ")


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def truncate(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns of a terminal, with ``…`` where its end is cut off."""
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(width - 1, 0)).rstrip()}…"
