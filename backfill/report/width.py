"""How wide a text stands on a terminal, and what of it fits."""

from unicodedata import combining, east_asian_width


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
