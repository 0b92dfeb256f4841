"""What becomes of a request that Klaviyo's API of today refused: which events go again, and how.

Nothing here posts. Bulk Create Events refuses a request for one bad event in it, so what is named
is taken out and the rest goes again; where nothing is named, halves tell which it was.
Every step leaves fewer events together, takes a phone number away, or moves an event aside, so
there is an end.

Source: klaviyo/facts.md 2.10 (pointers), 2.5 (repeats), 2.11 (phone numbers).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from backfill.transport.retry import ErrorObject, Refused


@dataclass(frozen=True, slots=True)
class Mended:
    """Every row of the refused batch is in exactly one of ``refused``, ``aside`` and ``again``."""

    refused: tuple[tuple[int, ErrorObject], ...] = ()
    aside: tuple[int, ...] = ()
    """These go one by one by Create Event."""
    again: tuple[tuple[int, ...], ...] = ()
    """Each of these is encoded and sent by itself."""
    without_phone: frozenset[int] = frozenset()
    """Those of ``again`` that go without their phone number."""
    repeats: bool = False
    """Klaviyo called an event a repeat of one that it has."""


ASIDE_EVENTS: Final = 64
"""So few go by Create Event where nothing is named. That takes 1.1 s (3,500 a minute); to halve
them further takes 0.8 s a step (150 a minute), and finds one bad event in six."""


class _Kind(IntEnum):
    """What a complaint says of an event. Of several about one event the first here holds."""

    BAD = 0
    VAGUE = 1
    """One of several events; which one is not said."""
    PHONE = 2
    REPEAT = 3


@dataclass(frozen=True, slots=True)
class Batched:
    """What a decision needs to know of the refused batch."""

    rows: range
    rows_at: Callable[[str], range]
    """The rows that a pointer names."""
    goes_without_phone: Callable[[int], bool]
    """Whether this row has a phone number, and another identifier."""
    can_go_aside: bool
    repeated: bool = False
    """Klaviyo called an event a repeat when this batch went as part of a larger one."""


def mend(refused: Refused, batch: Batched) -> Mended:
    """Decide about each event of a batch that was refused."""
    kinds, everywhere = _kinds(refused.complaints, batch)
    if not kinds and not everywhere:
        return _unnamed(refused, batch)
    of_kind = {
        kind: [row for row in batch.rows if row in kinds and kinds[row][0] is kind]
        for kind in _Kind
    }
    rest = [row for row in batch.rows if row not in kinds]
    aside = of_kind[_Kind.REPEAT]
    # A repeat seldom comes alone: after a silence or a kill all of a batch are. To take them out
    # one a request would cost a request each of the slowest endpoint.
    if everywhere or (aside and batch.repeated):
        aside, rest = [*aside, *rest], []
    together = tuple(sorted([*rest, *of_kind[_Kind.PHONE]]))
    vague, halves = _apart(of_kind[_Kind.VAGUE], batch)
    return Mended(
        refused=tuple((row, kinds[row][1]) for row in of_kind[_Kind.BAD]),
        aside=tuple(sorted([*aside, *vague])),
        again=(*([together] if together else []), *halves),
        without_phone=frozenset(of_kind[_Kind.PHONE]),
        repeats=bool(aside) or batch.repeated,
    )


def _unnamed(refused: Refused, batch: Batched) -> Mended:
    if len(batch.rows) == 1 and not batch.can_go_aside:
        said = refused.complaints[0] if refused.complaints else ErrorObject(refused.reason)
        return Mended(refused=((batch.rows[0], said),))
    aside, halves = _apart(batch.rows, batch)
    return Mended(aside=tuple(aside), again=halves, repeats=batch.repeated)


def _apart(
    rows: Sequence[int], batch: Batched
) -> tuple[Sequence[int], tuple[tuple[int, ...], ...]]:
    """Part rows of which one is bad: what goes aside, what goes again in halves."""
    if batch.can_go_aside and len(rows) <= ASIDE_EVENTS:
        return rows, ()
    middle = (len(rows) + 1) // 2
    return (), tuple(tuple(half) for half in (rows[:middle], rows[middle:]) if len(half))


def _kinds(
    complaints: Sequence[ErrorObject], batch: Batched
) -> tuple[dict[int, tuple[_Kind, ErrorObject]], bool]:
    """What is said of each row that is named; and whether repeats are named without a row."""
    kinds: dict[int, tuple[_Kind, ErrorObject]] = {}
    everywhere = False
    for complaint in complaints:
        rows = batch.rows_at(complaint.pointer) if complaint.pointer else range(0)
        kind = _kind(complaint, len(rows))
        if kind is _Kind.REPEAT and not batch.can_go_aside:
            kind = _Kind.BAD
        everywhere |= kind is _Kind.REPEAT and not rows
        for row in rows:
            holds = kind
            if kind is _Kind.PHONE and not batch.goes_without_phone(row):
                holds = _Kind.BAD
            if row in batch.rows and (row not in kinds or holds < kinds[row][0]):
                kinds[row] = (holds, complaint)
    return kinds, everywhere


_REPEAT: Final = re.compile(r"duplicat|repeat|already (exist|been)|(not|be) unique", re.IGNORECASE)


def _kind(complaint: ErrorObject, rows: int) -> _Kind:
    pointer = complaint.pointer.rstrip("/")
    if pointer.endswith("/unique_id") or _REPEAT.search(f"{complaint.code} {complaint.detail}"):
        return _Kind.REPEAT
    if pointer.endswith("/phone_number"):
        return _Kind.PHONE
    return _Kind.VAGUE if rows > 1 and "/profile" not in pointer else _Kind.BAD
