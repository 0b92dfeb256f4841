"""What becomes of each event of a refused request: refused, sent to the fallback, or sent again.

Nothing here posts. Bulk Create Events refuses a request for one bad event in it, so the events that
an error names are taken out and the rest is sent again; where no error names an event, halving
finds it. Every step leaves fewer events together, drops a phone number, or moves an event to the
fallback (Create Event, which takes one event a request), so there is an end.

Source: docs/klaviyo.md, "Pointers", "Repeats", "Phone numbers".
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from backfill.transport.retry import ErrorObject, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Every row of the refused batch is in exactly one of ``refused``, ``fallback``, ``again``."""

    refused: tuple[tuple[int, ErrorObject], ...] = ()
    fallback: tuple[int, ...] = ()
    """These go one by one to the fallback endpoint."""
    again: tuple[tuple[int, ...], ...] = ()
    """Each of these groups is encoded and sent by itself."""
    without_phone: frozenset[int] = frozenset()
    """Those of ``again`` that go without their phone number."""
    has_repeats: bool = False
    """Klaviyo called an event a repeat of one that it has."""


MAX_FALLBACK_EVENTS: Final = 64
"""If no error names an event, at most this many go to the fallback. That takes 1.1 s (3,500
requests a minute). Halving takes 0.8 s a step (150 requests a minute), and finds one bad event in
six steps."""


class _Kind(IntEnum):
    """What an error says of an event. If several errors name it, the first kind here holds."""

    BAD = 0
    AMBIGUOUS = 1
    """One of several events is bad; the error does not say which."""
    PHONE = 2
    REPEAT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBatch:
    """What a decision needs to know of the batch."""

    rows: range
    rows_at: Callable[[str], range]
    """Gives the rows that a pointer names."""
    goes_without_phone: Callable[[int], bool]
    """Whether a row has a phone number, and another identifier."""
    has_fallback: bool
    after_repeat: bool = False
    """It was part of a larger request, in which Klaviyo called an event a repeat."""


def split(refused: Refused, batch: RefusedBatch) -> Split:
    """Decide about each event of a batch that was refused."""
    kinds, unnamed_repeats = _kinds(refused.errors, batch)
    if not kinds and not unnamed_repeats:
        return _split_unnamed(refused, batch)
    of_kind = {
        kind: [row for row in batch.rows if row in kinds and kinds[row][0] is kind]
        for kind in _Kind
    }
    rest = [row for row in batch.rows if row not in kinds]
    repeats = of_kind[_Kind.REPEAT]
    # A repeat seldom comes alone: after a lost answer or a kill all of a batch are repeats. Each
    # that is taken out by itself would cost a request to the slowest endpoint.
    if unnamed_repeats or (repeats and batch.after_repeat):
        repeats, rest = [*repeats, *rest], []
    together = tuple(sorted([*rest, *of_kind[_Kind.PHONE]]))
    ambiguous, halves = _halve(of_kind[_Kind.AMBIGUOUS], has_fallback=batch.has_fallback)
    return Split(
        refused=tuple((row, kinds[row][1]) for row in of_kind[_Kind.BAD]),
        fallback=tuple(sorted([*repeats, *ambiguous])),
        again=(*([together] if together else []), *halves),
        without_phone=frozenset(of_kind[_Kind.PHONE]),
        has_repeats=bool(repeats) or batch.after_repeat,
    )


def _split_unnamed(refused: Refused, batch: RefusedBatch) -> Split:
    if len(batch.rows) == 1 and not batch.has_fallback:
        error = refused.errors[0] if refused.errors else ErrorObject(refused.reason)
        return Split(refused=((batch.rows[0], error),))
    fallback, halves = _halve(batch.rows, has_fallback=batch.has_fallback)
    return Split(fallback=tuple(fallback), again=halves, has_repeats=batch.after_repeat)


def split_failed(rows: range, *, has_fallback: bool) -> Split:
    """Divide a batch that got no answer of Klaviyo's, as if one of its events were to blame."""
    if len(rows) == 1:
        return Split(again=((rows[0],),))
    fallback, halves = _halve(rows, has_fallback=has_fallback)
    return Split(fallback=tuple(fallback), again=halves)


def _halve(
    rows: Sequence[int], *, has_fallback: bool
) -> tuple[Sequence[int], tuple[tuple[int, ...], ...]]:
    """Divide rows of which one is bad: those for the fallback, and the halves to send again."""
    if has_fallback and len(rows) <= MAX_FALLBACK_EVENTS:
        return rows, ()
    middle = (len(rows) + 1) // 2
    return (), tuple(tuple(half) for half in (rows[:middle], rows[middle:]) if len(half))


def _kinds(
    errors: Sequence[ErrorObject], batch: RefusedBatch
) -> tuple[dict[int, tuple[_Kind, ErrorObject]], bool]:
    """Give what an error says of each row; and whether one says repeat and names no row."""
    kinds: dict[int, tuple[_Kind, ErrorObject]] = {}
    unnamed_repeats = False
    for error in errors:
        rows = batch.rows_at(error.pointer) if error.pointer else range(0)
        kind = _kind(error, len(rows))
        if kind is _Kind.REPEAT and not batch.has_fallback:
            kind = _Kind.BAD
        unnamed_repeats |= kind is _Kind.REPEAT and not rows
        for row in rows:
            of_row = kind
            if kind is _Kind.PHONE and not batch.goes_without_phone(row):
                of_row = _Kind.BAD
            if row in batch.rows and (row not in kinds or of_row < kinds[row][0]):
                kinds[row] = (of_row, error)
    return kinds, unnamed_repeats


_REPEAT: Final = re.compile(r"duplicat|repeat|already (exist|been)|(not|be) unique", re.IGNORECASE)


def _kind(error: ErrorObject, rows: int) -> _Kind:
    pointer = error.pointer.rstrip("/")
    if pointer.endswith("/unique_id") or _REPEAT.search(f"{error.code} {error.detail}"):
        return _Kind.REPEAT
    if pointer.endswith("/phone_number"):
        return _Kind.PHONE
    return _Kind.AMBIGUOUS if rows > 1 and "/profile" not in pointer else _Kind.BAD
