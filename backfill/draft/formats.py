"""The formats in which exports write times, and the SQL that reads a cell by one of them."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from backfill.schema.types import with_and_without_fraction

_LISTS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
CLOCKS: Final[tuple[str, ...]] = tuple(_LISTS["clocks"])
"""Formats of a time of day."""

_SHAPES: Final = _LISTS["shapes"]
CLOCK_SHAPE: Final[str] = _SHAPES["clock"]
_DAY_SHAPE: Final = "|".join(_SHAPES["days"])
TIME_SHAPE: Final = (
    rf"({_DAY_SHAPE})((T|,? +|,? at | - ){CLOCK_SHAPE}( ?(Z|[A-Z]{{3,4}}|[+-][0-9:]{{2,6}}))?)?"
)
"""What a cell has to look like before formats are tried: trying all on all cells takes minutes."""

EARLIEST: Final = "1985-01-01"
"""Shops have no older orders, and ``%Y`` reads ``10`` as the year 10."""


def possible_formats(cells: Iterable[str]) -> Iterator[str]:
    """The formats whose signs are in the same order as those of one of these cells.

    Trying all the thousands of formats would take seconds.
    """
    found = {_signs(cell) for cell in cells}
    for day in _LISTS["days"]:
        if _signs(day) in found:
            yield day
        for separator in _LISTS["separators"]:
            for clock in CLOCKS:
                signs = _signs(f"{day}{separator}{clock}")
                if any(cell.startswith(signs) for cell in found):
                    yield from (f"{day}{separator}{clock}{offset}" for offset in _LISTS["offsets"])


def _signs(text: str) -> str:
    """What is neither letter nor digit, each run of blanks as one."""
    return re.sub(r"\s+", " ", re.sub(r"[^\W_]|%", "", text))


def has_clock(form: str) -> bool:
    return "%H" in form or "%I" in form


def swap_day_and_year(form: str) -> str | None:
    """The same format with a year of two digits at the other end: ``13-05-22`` can be either."""
    found = re.match("(%[dmy])([-/.])%[md]\\2(%[dy])", form)
    if found is None or "%y" not in form:
        return None
    ends = ("%y", "%d") if found[1] != "%y" else ("%d", "%y")
    return f"{ends[0]}{found[2]}%m{found[2]}{ends[1]}{form[found.end() :]}"


def read_sql(cell: str, form: str, latest: str, earliest: str = EARLIEST) -> str:
    """SQL for the wall clock of a cell: NULL where it does not fit, or is of another time."""
    forms = ", ".join(f"'{one}'" for one in with_and_without_fraction(form))
    read = f"try_strptime({cell}, [{forms}])"
    if "%z" in form:
        read = f"timezone('UTC', {read})"
    return (
        f"case when {read} between timestamp '{earliest}' and timestamp '{latest}' then {read} end"
    )


def in_words(form: str) -> str:
    """A format with the order of its parts: ``day first (%d/%m/%Y)``."""
    order = re.findall("%[Ymdy]", form)
    if "%b" in form or "%B" in form or not order:
        return form
    first = {"%d": "day first", "%m": "month first"}.get(order[0], "year first")
    return f"{first} ({form})"
