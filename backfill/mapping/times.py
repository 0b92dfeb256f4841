"""Times and dates: read to Unix seconds and days, with the rules of a zone where one is needed."""

from dataclasses import replace
from typing import Final

from backfill.mapping.cell_sql import (
    INTEGER,
    MISMATCH_REASONS,
    CellContext,
    CellSql,
    Named,
    matches,
    unreadable,
)
from backfill.mapping.query import Sql, coalesce, join, quote, sql
from backfill.schema.types import Type, swap_day_and_month, with_and_without_fraction

DAY_FOR_MONTH: Final = "day_for_month"
"""The reason of a time that fits its format only with day and month exchanged."""

LAST_S: Final = 253_402_300_799
"""The last second of the year 9999."""

_FIRST_YEAR: Final = 1000

_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?"
_ABBREVIATIONS: Final = {
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "WEST": 1,
    "CET": 1,
    "CEST": 2,
    "MEZ": 1,
    "MESZ": 2,
    "EET": 2,
    "EEST": 3,
    "EST": -5,
    "EDT": -4,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "JST": 9,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
}
"""Hours east of Greenwich. Those of several zones are left out: CST is also China's.

Source: tz database, northamerica, europe, asia and australasia, 2026-11.
"""

_AMBIGUOUS: Final = "(?i).*[^a-z](ACT|ADT|AMT|AST|BST|CST|ECT|GST|IST|SST|WST)"
"""A cell that ends in the name of several zones; strptime would take one of them."""

_OFFSET: Final = rf"{'|'.join(_ABBREVIATIONS)}|[+-](0[0-9]|1[0-8])(:?[0-5][0-9])?"
_ISO: Final = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}( ?({_OFFSET}))?"
_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def read_date(cell: Sql, form: str | None, *, temporal: bool) -> Sql:
    """A day: ``YYYY-MM-DD`` if ``form`` is None, else by this format.

    Args:
        cell: the text.
        form: a strptime format.
        temporal: does the export itself hold days? Then ISO 8601 is read too.
    """
    iso = sql(
        "case when $fits then try_cast($cell as date) end",
        cell=cell,
        fits=matches(cell, "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    )
    if form is None:
        return iso
    day = sql("($parsed)::date", parsed=_parsed(cell, form))
    return coalesce(iso, day) if temporal else day


def read_time(
    cell: Sql, cell_type: Type, context: CellContext, named: Named, *, temporal: bool
) -> CellSql:
    """Unix seconds; a local time by the rules of its zone. For arguments see ``read_cell``."""
    if cell_type.unit is not None and not temporal:
        return _since_1970(cell, cell_type.unit, named)
    local, offset = _wall_clock(cell, cell_type, named, temporal=temporal)
    local, offset = named("($local)", local=local), named("($offset)", offset=offset)
    instant = _instant(cell, local, offset, context, named)
    swapped = swap_day_and_month(cell_type.format) if cell_type.format is not None else None
    if swapped is None:
        return instant
    # One such cell shows that others, of days up to the 12th, may be read wrong.
    exchanged = sql(
        "(case when $cell is not null and $local is null then $other is not null else false end)",
        cell=cell,
        local=local,
        other=_parsed(cell, swapped),
    )
    return replace(instant, faults=((exchanged, DAY_FOR_MONTH), *instant.faults))


def timestamp(seconds: Sql) -> Sql:
    """Unix seconds as a timestamp in UTC."""
    return sql(
        f"case when $seconds between -{LAST_S} and {LAST_S} "
        "then make_timestamp($seconds * 1000000) end",
        seconds=seconds,
    )


def _since_1970(cell: Sql, unit: str, named: Named) -> CellSql:
    fits = matches(cell, INTEGER)
    count = "try_cast(split_part($cell, '.', 1) as bigint)"
    seconds = sql(f"{count} // {_UNITS[unit]}", cell=cell)
    value = named(
        f"case when $fits and abs($seconds) <= {LAST_S} then $seconds end",
        fits=fits,
        seconds=seconds,
    )
    bad = sql("($cell is not null and not $fits)", cell=cell, fits=fits)
    far = sql("($fits and $value is null)", fits=fits, value=value)
    return CellSql(value, ((bad, MISMATCH_REASONS["time"]), (far, "time_out_of_range")))


def _wall_clock(cell: Sql, cell_type: Type, named: Named, *, temporal: bool) -> tuple[Sql, Sql]:
    """A time as a clock shows it, and its seconds east of Greenwich; NULL where it has none."""
    form = None if cell_type.unit else cell_type.format
    iso, iso_offset = _iso(cell), _iso_offset(cell, named)
    if temporal:
        day = sql("$day::timestamp", day=read_date(cell, None, temporal=False))
        iso = coalesce(iso, day)
    if form is None:
        return iso, iso_offset
    local, offset = _parsed(cell, form), None
    if cell_type.has_zone:
        parsed = named("$it", it=local)
        local = sql("timezone('UTC', $parsed)", parsed=parsed)
    elif cell_type.is_utc:
        parsed = local
    if cell_type.has_zone or cell_type.is_utc:
        offset = sql("case when $parsed is not null then 0 end", parsed=parsed)
    if temporal:
        local = coalesce(iso, local)
        offset = coalesce(iso_offset, offset) if offset else iso_offset
    return local, offset or Sql("null::bigint")


def _parsed(cell: Sql, form: str) -> Sql:
    """A timestamp by a format, NULL for a year of two digits where the format has one of four.

    It is NULL too for the name of several zones.

    A narrow blank counts as a blank: Unicode's locales put it before AM.
    """
    if " " in form:
        cell = sql("translate($cell, '\u00a0\u202f', '  ')", cell=cell)
    forms = join(", ", map(quote, with_and_without_fraction(form)))
    parsed = sql("try_strptime($cell, [$forms])", cell=cell, forms=forms)
    if "%Y" in form:
        parsed = sql(f"(case when year($it) >= {_FIRST_YEAR} then $it end)", it=parsed)
    if "%Z" in form:
        several = matches(cell, _AMBIGUOUS)
        parsed = sql("(case when not $several then $it end)", it=parsed, several=several)
    return parsed


def _instant(cell: Sql, local: Sql, offset: Sql, context: CellContext, named: Named) -> CellSql:
    """A time by its wall clock and its offset; without an offset, by the zone's rules."""
    wall = named("(epoch_us($local) // 1000000)", local=local)
    faults = (
        (unreadable(cell, local), MISMATCH_REASONS["time"]),
        *_zone_faults(local, offset, context),
    )
    zone = context.zone
    if zone is None:
        return CellSql(named("($wall - $offset)", wall=wall, offset=offset), faults)
    # A clock that skips an hour: the offset from before moves the time forward. A clock that
    # shows an hour twice: the offset from before gives the first. DuckDB's timezone() gives the
    # second, so it only tells which of the two cases this is.
    naive = named("(case when $offset is null then $local end)", offset=offset, local=local)
    late = named("(epoch_us(timezone($zone, $local)) // 1000000)", zone=zone, local=naive)
    day_before = sql("($late - 86400)", late=late)
    before = sql("$shown - $day", shown=_shown(day_before, zone), day=day_before)
    early = named("($wall - ($before))", wall=wall, before=before)
    change = named(
        "(case when $offset is not null then 0 when $at_late <> $wall then 1 "
        "when $early < $late and $at_early = $wall then 2 else 0 end)",
        offset=offset,
        at_late=_shown(late, zone),
        at_early=_shown(early, zone),
        wall=wall,
        early=early,
        late=late,
    )
    value = named(
        "(case when $offset is not null then $wall - $offset "
        "when $change = 0 then $late else $early end)",
        offset=offset,
        wall=wall,
        change=change,
        late=late,
        early=early,
    )
    return CellSql(value, faults, change)


def _shown(seconds: Sql, zone: Sql) -> Sql:
    """What a clock in the zone shows at an instant, in seconds."""
    return sql(
        "(epoch_us(timezone($zone, make_timestamptz($seconds * 1000000))) // 1000000)",
        zone=zone,
        seconds=seconds,
    )


def _zone_faults(local: Sql, offset: Sql, context: CellContext) -> tuple[tuple[Sql, str], ...]:
    """Why a time without an offset cannot be read: no zone, or one that does not exist."""
    zone, unknown = context.zone, context.unknown_zone
    lacking = sql("($local is not null and $offset is null)", local=local, offset=offset)
    if zone is None:
        without_zone = lacking
    else:
        without_zone = sql("($lacking and $zone is null)", lacking=lacking, zone=zone)
    if unknown is None:
        return ((without_zone, "time_without_zone"),) if zone is None else ()
    not_a_zone = sql("($lacking and $unknown)", lacking=lacking, unknown=unknown)
    return ((not_a_zone, "not_a_zone"), (without_zone, "time_without_zone"))


def _iso(cell: Sql) -> Sql:
    seconds = "case when substr($cell, 17, 1) = ':' then substr($cell, 18, 2) else '00' end"
    clock = f"rpad($cell[12:16], 5, '0') || ':' || {seconds}"
    return sql(
        f"case when $fits then try_cast($cell[1:10] || ' ' || {clock} as timestamp) end",
        cell=cell,
        fits=matches(cell, _ISO),
    )


def _iso_offset(cell: Sql, named: Named) -> Sql:
    """Seconds east of Greenwich; NULL where the cell has no offset."""
    tail = named(f"regexp_extract(substr($cell, 17), '({_OFFSET})$')", cell=cell)
    digits = "replace(substr($tail, 2), ':', '')"
    seconds = (
        "(case when $tail[1] = '-' then -1 else 1 end) * "
        f"(try_cast({digits}[1:2] as bigint) * 3600 "
        f"+ coalesce(try_cast(nullif({digits}[3:4], '') as bigint), 0) * 60)"
    )
    named_zones = " ".join(
        f"when '{name}' then {hours * 3600}" for name, hours in _ABBREVIATIONS.items()
    )
    return sql(
        f"case when $tail <> '' then case $tail {named_zones} else {seconds} end end", tail=tail
    )
