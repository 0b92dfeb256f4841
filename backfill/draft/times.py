"""How the times of a column are read: its format, what proves it, whether a zone is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.formats import Proof, has_clock, named, proven
from backfill.draft.vocabulary import Role, mentions, rank
from backfill.draft.yaml import QUESTION
from backfill.schema.document import Plain
from backfill.schema.types import swap_day_and_month

_MOST: Final = 0.9


@dataclass(frozen=True, slots=True)
class Time:
    column: Column
    spec: Plain
    """The type in YAML."""
    evidence: str
    form: str | None = None
    naive: bool = True
    """Is there a cell without an offset?"""
    day_only: bool = False
    rivals: tuple[str, ...] = ()
    """Formats of which a person has to choose one."""
    utc: str = ""
    """Why the clock is known to be UTC."""

    @property
    def is_open(self) -> bool:
        return bool(self.rivals)


def time_of(column: Column, place: Mapping[tuple[int, int], str]) -> Time | None:
    """None where the column holds no times."""
    # a birthday is no time of an order, and no date to quote as evidence
    if not column.filled or mentions("birthday", column.called):
        return None
    utc = "its name says UTC" if mentions("utc", column.called) else ""
    if column.share("iso") >= _MOST:
        return _iso(column, utc)
    if column.temporal:
        day = any(fit.cells for fit in column.formats)
        return Time(column, "time", "the file says that these are dates", day_only=day, utc=utc)
    if column.formats and (proof := proven(column.formats, column.filled, place)):
        return _by_format(column, proof, utc)
    for unit, kind in (("s", "epoch_s"), ("ms", "epoch_ms")):
        if column.share(kind) >= _MOST and _named_as_time(column.name):
            words = "seconds" if unit == "s" else "milliseconds"
            evidence = f"{_of(column, kind)} count {words} since 1970"
            return Time(column, {"epoch": unit}, evidence, naive=False)
    return None


def _iso(column: Column, utc: str) -> Time:
    offsets = column.fits.get("offset", 0)
    told = f"{_of(column, 'iso')} are ISO 8601"
    if column.temporal:
        told = "the file says that these are times"
    if offsets == column.filled:
        return Time(column, "time", f"{told}, each with its offset", naive=False)
    if offsets:
        return Time(column, "time", f"{told}, {offsets:,} with an offset", utc=utc)
    return Time(column, "time", f"{told}, without an offset", utc=utc)


def _by_format(column: Column, proof: Proof, utc: str) -> Time:
    if proof.form is None:
        return Time(
            column, {"time": QUESTION}, proof.reason, rivals=proof.rivals, naive=True, utc=utc
        )
    form = proof.form
    if form.endswith((" UTC", " GMT")):
        utc = "its cells say UTC"
    clock = has_clock(form)
    told = proof.reason if clock else f"{proof.reason}; days without a clock"
    return Time(
        column, {"time": form}, told, form, naive="%z" not in form, day_only=not clock, utc=utc
    )


def _of(column: Column, kind: str) -> str:
    return f"{column.fits.get(kind, 0):,} of {column.filled:,} cells"


def _named_as_time(name: str) -> bool:
    roles: tuple[Role, ...] = ("ordered", "cancelled", "fulfilled", "refunded")
    return mentions("time", name) or any(rank(role, name) is not None for role in roles)


def helped(times: Sequence[Time]) -> list[Time]:
    """Times that alone prove nothing, settled by another column that is written alike.

    One program writes one way: where ``Created at`` proves day first, ``Paid at`` is too.
    """
    forms = {
        time.form: time.column for time in times if time.form and swap_day_and_month(time.form)
    }
    return [_helped(time, forms) for time in times]


def _helped(time: Time, forms: Mapping[str, Column]) -> Time:
    known = [form for form in time.rivals if form in forms]
    if len(known) != 1 or swap_day_and_month(known[0]) in forms:
        return time
    [form] = known
    evidence = (
        f'its cells fit both orders of day and month; "{forms[form].name}" proves {named(form)}'
    )
    clock = has_clock(form)
    return replace(
        time, spec={"time": form}, evidence=evidence, form=form, rivals=(), day_only=not clock
    )
