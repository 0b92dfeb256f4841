"""A hint with the name that was probably meant."""

import difflib
from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 100
"""A longer name is no slip of the finger, and comparing takes the product of both lengths."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``; did you mean "X"?`` with the nearest name, ignoring case; "" where no name is near."""
    if len(name) > _LONGEST:
        return ""
    folded = {known.casefold(): known for known in names if len(known) <= _LONGEST}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f'; did you mean "{folded[near[0]]}"?' if near else ""
