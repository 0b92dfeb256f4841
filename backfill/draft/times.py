"""How the times of a column are read: by which format, what proves it, whether it needs a zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from backfill.draft.facts import Column, FormatCount
from backfill.draft.formats import has_clock, in_words, swap_day_and_year
from backfill.draft.vocabulary import TIME_ROLES, mentions, rank
from backfill.draft.yaml import QUESTION, flow_text
from backfill.schema.document import YamlValue
from backfill.schema.types import swap_day_and_month

_DIGITS: Final = 0.5
"""Of the cells of times, more than this share have digits."""

_NO_TIME: Final = ("email", "list", "object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """A column of times."""

    column: Column
    spec: YamlValue
    """The type in YAML."""
    evidence: str
    form: str | None = None
    """The format, where it is not ISO 8601 or a count."""
    naive: bool = True
    """Whether a cell has no offset."""
    day_only: bool = False
    rivals: tuple[str, ...] = ()
    """Formats of which a person has to choose one."""
    is_unread: bool = False
    """Whether no format reads its cells; ``evidence`` says what is known of them."""
    utc: str = ""
    """Why the clock is known to be UTC."""

    @property
    def is_open(self) -> bool:
        return bool(self.rivals) or self.is_unread


def time_of(column: Column, files: Sequence[str]) -> Time | None:
    """None where the column holds no times; ``files`` are those of the export."""
    # a birthday is no time of an order, and no date to quote as evidence
    if not column.filled or mentions("birthday", column.label):
        return None
    utc = "its name says UTC" if mentions("utc", column.label) else ""
    if column.mostly("iso"):
        return _iso_time(column, utc)
    if column.is_typed_time:
        return Time(
            column=column,
            spec="time",
            evidence="the file says that these are dates",
            day_only=any(count.cells for count in column.formats),
            utc=utc,
        )
    return _formatted_time(column, files, utc) or _epoch_time(column)


def unread_time(column: Column) -> Time | None:
    """A column that is named like the time of an order, and whose cells no format reads."""
    named = rank("ordered", column.label) is not None and not column.is_member
    if not named or column.share("with_digits") < _DIGITS or any(map(column.share, _NO_TIME)):
        return None
    cells = max([column.count("iso"), *(count.cells for count in column.formats)])
    forms = [flow_text({"time": count.form}) for count in column.formats if count.cells == cells]
    forms += ["time"] if column.count("iso") == cells else []
    if column.mostly("spreadsheet_day"):
        why = (
            "its cells look like the day numbers of a spreadsheet (45291): format them as dates "
            "there, save it again, and draft from that file"
        )
    elif cells:
        spec = " or ".join(forms)
        why = (
            f"{cells:,} of {column.filled:,} cells read as {spec}, and the others as no such time: "
            f"write {spec} if orders with other cells may become rejects, or correct these cells"
        )
    else:
        why = (
            f'it is named like the time of an order, and init knows no format of its cells ("'
            f'{column.shape}", where 9 is a digit and a is a letter): write their format in the '
            "directives of strptime, or change them to 2024-05-31 10:00:00"
        )
    spec_open: YamlValue = {"time": QUESTION}
    return Time(column=column, spec=spec_open, evidence=why, is_unread=True)


def _iso_time(column: Column, utc: str) -> Time:
    offsets = column.count("offset")
    evidence = f"{column.cells_of('iso')} are ISO 8601"
    if column.is_typed_time:
        evidence = "the file says that these are times"
    if offsets == column.filled:
        evidence += ", each with its offset"
        return Time(column=column, spec="time", evidence=evidence, naive=False)
    evidence += f", {offsets:,} with an offset" if offsets else ", without an offset"
    return Time(column=column, spec="time", evidence=evidence, utc=utc)


def _epoch_time(column: Column) -> Time | None:
    named = mentions("time", column.name) or any(
        rank(role, column.name) is not None for role in TIME_ROLES
    )
    for unit, kind, words in (("s", "epoch_s", "seconds"), ("ms", "epoch_ms", "milliseconds")):
        if named and column.mostly(kind):
            evidence = f"{column.cells_of(kind)} count {words} since 1970"
            return Time(column=column, spec={"epoch": unit}, evidence=evidence, naive=False)
    return None


def _formatted_time(column: Column, files: Sequence[str], utc: str) -> Time | None:
    reading = [count for count in column.formats if count.cells * 10 >= column.filled * 9]
    if not reading:
        return None
    likely = sorted(reading, key=_preference)
    best = likely[0]
    rivals, evidence = _rivals(likely, column, files)
    if rivals:
        spec: YamlValue = {"time": QUESTION}
        return Time(column=column, spec=spec, evidence=evidence, rivals=rivals, utc=utc)
    form = best.form
    return Time(
        column=column,
        spec={"time": form},
        evidence=evidence if has_clock(form) else f"{evidence}; days without a time of day",
        form=form,
        naive="%z" not in form,
        day_only=not has_clock(form),
        utc="its cells say UTC" if form.endswith((" UTC", " GMT")) else utc,
    )


def _preference(count: FormatCount) -> tuple[int, int, int]:
    """Most cells, then most that the rival cannot read, then four digits of a year."""
    return -count.cells, -count.proving, "%y" in count.form


def _rivals(
    likely: Sequence[FormatCount], column: Column, files: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """The formats between which the cells do not decide, and the evidence.

    ``likely`` are the formats that read most cells, the best first.
    """
    best = likely[0]
    all_cells = f"each of the {column.filled:,} cells reads as "
    swapped = swap_day_and_month(best.form)
    if years := swap_day_and_year(best.form):
        alike = (best.form, years, swapped, swap_day_and_month(years))
        equal = [
            count.form for count in likely if count.form in alike and count.cells == best.cells
        ]
        if years in equal:
            return tuple(equal), all_cells + " and as ".join(map(in_words, equal))
    rival = next((count for count in column.formats if count.form == swapped), None)
    cells = f"{best.cells:,} of {column.filled:,} cells"
    if rival is None:
        return (), cells
    forms = (best.form, rival.form)
    if rival in likely and not best.proving:
        return forms, all_cells + " and as ".join(map(in_words, forms))
    if rival in likely and rival.proving:
        evidence = ", ".join(f"{_place(count, files)} has {count.proof}" for count in (best, rival))
        return forms, f"{evidence}: this column has both orders of day and month"
    if not best.proving:
        return (), cells
    proof = f"{best.proof} in {_place(best, files)}"
    return (), f"{cells}; {proof} proves {in_words(best.form)}"


def _place(count: FormatCount, files: Sequence[str]) -> str:
    """Where the cell is that proves a format: its row, and its file where there are several."""
    file, row = count.proof_at
    of = f" of {Path(files[file]).name}" if len(files) > 1 else ""
    return f"row {row:,}{of}"


def settled_by_others(times: Sequence[Time]) -> list[Time]:
    """Times that prove no format by themselves take that of another column.

    One program writes one way: where ``Created at`` proves day first, ``Paid at`` is too.
    """
    proven = {
        time.form: time.column for time in times if time.form and swap_day_and_month(time.form)
    }
    return [_settled(time, proven) for time in times]


def _settled(time: Time, proven: Mapping[str, Column]) -> Time:
    known = [form for form in time.rivals if form in proven]
    if len(known) != 1 or swap_day_and_month(known[0]) in proven:
        return time
    [form] = known
    evidence = (
        f'its cells fit both orders of day and month; "{proven[form].name}" proves {in_words(form)}'
    )
    return replace(
        time,
        spec={"time": form},
        evidence=evidence,
        form=form,
        rivals=(),
        day_only=not has_clock(form),
    )
