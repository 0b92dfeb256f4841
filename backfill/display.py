"""Texts from an export made safe to show: nothing in them moves a cursor, hides, or ends a line."""

from unicodedata import combining, east_asian_width


def plain(text: str, *, spoiling: str = "") -> str:
    r"""``text`` with what is not printable, and each character of ``spoiling``, as ``\uXXXX``."""
    if text.isascii() and text.isprintable() and not any(sign in text for sign in spoiling):
        return text
    return "".join(
        sign if sign.isprintable() and sign not in spoiling else _escaped(sign) for sign in text
    )


def plain_json(text: str, *, spoiling: str = "") -> str:
    """The same JSON in one line. ``spoiling`` may hold what stands inside JSON's strings alone."""
    # A line break or a tab that is no escape stands between two values: in strings it may not.
    return plain(text.translate(_BETWEEN_VALUES), spoiling=spoiling)


_BETWEEN_VALUES = dict.fromkeys(map(ord, "\t\n\r"), " ")


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def cut(text: str, width: int) -> str:
    taken = kept = 0
    for at, sign in enumerate(text):
        taken += cells(sign)
        if taken > width:
            return f"{text[:kept]}…"
        if taken < width:
            kept = at + 1
    return text


def cells(text: str) -> int:
    """How many places of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text
    )
