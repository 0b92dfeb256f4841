"""Text for a terminal: counts, and foreign text of which nothing moves a cursor or ends a line."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size


def counted(count: int, unit: str, units: str = "") -> str:
    """``1 order`` or ``2,000 orders``; ``units`` is the plural, if it is not the unit with an s."""
    return f"{count:,} {unit if count == 1 else units or unit + 's'}"


def listed(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: the first ``most`` names, and how many others there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
