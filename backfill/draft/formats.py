"""Which time formats a column could be written in, and which one its cells prove."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.schema.types import swap_day_and_month

_DAYS: Final = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%Y",
    "%m.%d.%Y",
    "%d.%m.%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%m-%y",
    "%m-%d-%y",
    "%y/%m/%d",
    "%y.%m.%d",
    "%y-%m-%d",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d. %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d/%b/%Y",
    "%a, %d %b %Y",
    "%a %b %d %Y",
    "%a, %b %d, %Y",
    "%A, %B %d, %Y",
)
_CLOCKS: Final = (
    "%H:%M:%S",
    "%H:%M",
    "%I:%M:%S %p",
    "%I:%M %p",
    "%I:%M%p",
    "%H:%M:%S.%f",
)
_BETWEEN: Final = (" ", "T", ", ", " at ", " - ")
_OFFSETS: Final = ("", " %z", "%z", " UTC", " GMT")

_CLOCK_SHAPE: Final = r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?( ?[AaPp][Mm])?"
DAY_SHAPE: Final = (
    r"([0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}|(19|20)[0-9]{6}"
    r"|([A-Za-z]{3,9},? )?([0-9]{1,2}[. /-]{1,2})?[A-Za-z]{3,9}[. /-]{1,2}([0-9]{1,2},? "
    r")?[0-9]{2,4})"
)
SHAPE: Final = (
    rf"{DAY_SHAPE}((T|,? +|,? at | - ){_CLOCK_SHAPE}( ?(Z|[A-Z]{{3,4}}|[+-][0-9:]{{2,6}}))?)?"
)
"""What a cell has to look like before formats are tried: trying all on all cells takes minutes."""

CLOCK_SHAPE: Final = _CLOCK_SHAPE


def clocks() -> tuple[str, ...]:
    return _CLOCKS


def days() -> tuple[str, ...]:
    return _DAYS


def formats(cells: Iterable[str]) -> Iterator[str]:
    """The formats whose signs stand in one of these cells as they do in the format.

    All thousands of them would take seconds.
    """
    found = {_signs(cell) for cell in cells}
    for day in _DAYS:
        if _signs(day) in found:
            yield day
        for between in _BETWEEN:
            for clock in _CLOCKS:
                signs = _signs(f"{day}{between}{clock}")
                if any(cell.startswith(signs) for cell in found):
                    yield from (f"{day}{between}{clock}{offset}" for offset in _OFFSETS)


def _signs(text: str) -> str:
    """What is neither letter nor digit, each run of blanks as one."""
    return re.sub(r"\s+", " ", re.sub(r"[^\W_]|%", "", text))


def has_clock(form: str) -> bool:
    return "%H" in form or "%I" in form


def _year_changed(form: str) -> str | None:
    """The same format with a year of two digits at the other end: ``13-05-22`` can be either."""
    found = re.match("(%[dmy])([-/.])%[md]\\2(%[dy])", form)
    if found is None or "%y" not in form:
        return None
    ends = ("%y", "%d") if found[1] != "%y" else ("%d", "%y")
    return f"{ends[0]}{found[2]}%m{found[2]}{ends[1]}{form[found.end() :]}"


def read_sql(cell: str, form: str, latest: str) -> str:
    """SQL for the wall clock of a cell, NULL where it does not fit.

    Nor where it names a year that shops have no orders of: ``%Y`` reads ``10`` as the year 10.
    """
    read = f"try_strptime({cell}, '{form}')"
    if "%z" in form:
        read = f"timezone('UTC', {read})"
    return (
        f"case when {read} between timestamp '1985-01-01' and timestamp '{latest}' then {read} end"
    )


def named(form: str) -> str:
    """A format in words: ``day first (%d/%m/%Y)``."""
    order = re.findall("%[Ymdy]", form)
    if "%b" in form or "%B" in form or not order:
        return form
    first = {"%d": "day first", "%m": "month first"}.get(order[0], "year first")
    return f"{first} ({form})"


@dataclass(frozen=True, slots=True)
class Fit:
    """How many cells a format reads, and where one stands that its rival cannot read."""

    form: str
    cells: int
    alone: int = 0
    """Cells that this format reads and the one with day and month changed over does not."""
    example: str = ""
    example_at: tuple[int, int] = (0, 0)
    """File and row of that example."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the cells of a column prove about its format."""

    form: str | None
    """None: nothing is proven."""
    reason: str
    rivals: tuple[str, ...] = ()


def proven(fits: Sequence[Fit], filled: int, place: Mapping[tuple[int, int], str]) -> Proof | None:
    """What the fits prove; None where the column holds no times.

    ``place`` says file and row in words.
    """
    likely = sorted((fit for fit in fits if fit.cells * 10 >= filled * 9), key=_preference)
    if not likely:
        return None
    best = likely[0]
    all_cells = f"{best.cells:,} of {filled:,} cells"
    rival = next((fit for fit in likely if fit.form == swap_day_and_month(best.form)), None)
    other = next((fit for fit in fits if fit.form == swap_day_and_month(best.form)), None)
    if years := _year_changed(best.form):
        forms = (best.form, years, swap_day_and_month(best.form), swap_day_and_month(years))
        equal = tuple(fit.form for fit in likely if fit.form in forms and fit.cells == best.cells)
        if years in equal:
            told = " and as ".join(map(named, equal))
            return Proof(None, f"each of the {filled:,} cells reads as {told}", equal)
    if rival is not None and best.alone and rival.alone:
        reason = (
            f"{place[best.example_at]} has {best.example}, {place[rival.example_at]} has "
            f"{rival.example}: both orders of day and month stand in this column"
        )
        return Proof(None, reason, (best.form, rival.form))
    if rival is not None and not best.alone:
        reason = (
            f"each of the {filled:,} cells reads as {named(best.form)} and as {named(rival.form)}"
        )
        return Proof(None, reason, (best.form, rival.form))
    if other is not None and best.alone:
        proof = f"{best.example} in {place[best.example_at]} proves {named(best.form)}"
        return Proof(best.form, f"{all_cells}; {proof}")
    return Proof(best.form, all_cells)


def _preference(fit: Fit) -> tuple[int, int, int]:
    """Most cells, then most that the rival cannot read, then four digits of a year."""
    return -fit.cells, -fit.alone, "%y" in fit.form
