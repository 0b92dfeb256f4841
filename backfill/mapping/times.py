"""Times and dates: read to Unix seconds and days, with the rules of a zone where one is needed."""

from dataclasses import replace
from typing import Final

from backfill.mapping.cell_sql import INTEGER, NOT_OF_TYPE, Beside, CellSql, Name, fault_of, matches
from backfill.mapping.query import Sql, quote, sql
from backfill.schema.types import Type, swap_day_and_month

DAY_FOR_MONTH: Final = "day_for_month"
"""The reason of a time that fits its format only with day and month the other way round."""

LAST_S: Final = 253_402_300_799
"""The last second of the year 9999."""

_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?"
_OFFSET: Final = r"Z|[+-](0[0-9]|1[0-8])(:?[0-5][0-9])?"
_ISO: Final = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}( ?({_OFFSET}))?"
_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def read_date(cell: Sql, form: str | None, *, typed: bool) -> Sql:
    """A day: ``YYYY-MM-DD``, or as the format says."""
    iso = sql(
        "case when $fits then try_cast($cell as date) end",
        cell=cell,
        fits=matches(cell, "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    )
    if form is None:
        return iso
    read = sql("$parsed::date", parsed=_parsed(cell, form))
    return sql("coalesce($iso, $read)", iso=iso, read=read) if typed else read


def read_time(cell: Sql, kind: Type, beside: Beside, name: Name, *, typed: bool) -> CellSql:
    """Unix seconds. A local time goes through the rules of its zone."""
    if kind.unit is not None and not typed:
        return _since_1970(cell, kind.unit, name)
    local, offset = _wall_clock(cell, None if kind.unit else kind.format, name, typed=typed)
    local = name(sql("($local)", local=local))
    instant = _instant(cell, local, name(sql("($offset)", offset=offset)), beside, name)
    other = swap_day_and_month(kind.format) if kind.format is not None else None
    if other is None:
        return instant
    # One such cell shows that others, of days up to the 12th, may be read wrong.
    turned = sql(
        "(case when $cell is not null and $local is null then $other is not null else false end)",
        cell=cell,
        local=local,
        other=_parsed(cell, other),
    )
    return replace(instant, faults=((turned, DAY_FOR_MONTH), *instant.faults))


def moment(seconds: Sql) -> Sql:
    """Unix seconds as a timestamp in UTC."""
    return sql(
        f"case when $seconds between -{LAST_S} and {LAST_S} "
        "then make_timestamp($seconds * 1000000) end",
        seconds=seconds,
    )


def _since_1970(cell: Sql, unit: str, name: Name) -> CellSql:
    fits = matches(cell, INTEGER)
    seconds = sql(
        f"try_cast(split_part($cell, '.', 1) as bigint) // {_UNITS[unit]}",
        cell=cell,
    )
    value = name(
        sql(
            f"case when $fits and abs($seconds) <= {LAST_S} then $seconds end",
            fits=fits,
            seconds=seconds,
        )
    )
    bad = sql("($cell is not null and not $fits)", cell=cell, fits=fits)
    far = sql("($fits and $value is null)", fits=fits, value=value)
    return CellSql(value, ((bad, NOT_OF_TYPE["time"]), (far, "time_out_of_range")))


def _wall_clock(cell: Sql, form: str | None, name: Name, *, typed: bool) -> tuple[Sql, Sql]:
    """A time as a clock shows it, and its seconds east of Greenwich; NULL where it has none."""
    iso, iso_offset = _iso(cell), _iso_offset(cell, name)
    if typed:
        day = read_date(cell, None, typed=False)
        iso = sql("coalesce($iso, $day::timestamp)", iso=iso, day=day)
    if form is None:
        return iso, iso_offset
    offset = None
    read = _parsed(cell, form)
    if "%z" in form:
        parsed = name(read)
        read = sql("timezone('UTC', $parsed)", parsed=parsed)
        offset = sql("case when $parsed is not null then 0 end", parsed=parsed)
    if typed:
        read = sql("coalesce($iso, $read)", iso=iso, read=read)
        offset = (
            sql("coalesce($iso, $offset)", iso=iso_offset, offset=offset) if offset else iso_offset
        )
    return read, offset or Sql("null::bigint")


def _parsed(cell: Sql, form: str) -> Sql:
    """Unicode's locales of 2022 and later put a narrow blank before AM and PM."""
    if " " in form:
        cell = sql("translate($cell, '\u00a0\u202f', '  ')", cell=cell)
    return sql("try_strptime($cell, $form)", cell=cell, form=quote(form))


def _instant(cell: Sql, local: Sql, offset: Sql, beside: Beside, name: Name) -> CellSql:
    """A time from its wall clock and its offset; where there is none, from the zone's rules."""
    wall = name(sql("(epoch_us($local) // 1000000)", local=local))
    faults = (
        (fault_of(cell, local), NOT_OF_TYPE["time"]),
        *_faults_of_zone(local, offset, beside),
    )
    if beside.zone is None:
        return CellSql(name(sql("($wall - $offset)", wall=wall, offset=offset)), faults)
    # A clock that skips an hour: the offset from before moves the time forward. A clock that
    # shows an hour twice: the offset from before gives the first. DuckDB's timezone() gives the
    # second, so it only tells which of the two cases this is.
    unknown = name(sql("(case when $offset is null then $local end)", offset=offset, local=local))
    late = name(
        sql("(epoch_us(timezone($zone, $local)) // 1000000)", zone=beside.zone, local=unknown)
    )

    day_before = sql("($late - 86400)", late=late)
    before = sql("$shown - $day", shown=_shown(day_before, beside.zone), day=day_before)
    early = name(sql("($wall - ($before))", wall=wall, before=before))
    clock = name(
        sql(
            "(case when $offset is not null then 0 when $at_late <> $wall then 1 "
            "when $early < $late and $at_early = $wall then 2 else 0 end)",
            offset=offset,
            at_late=_shown(late, beside.zone),
            at_early=_shown(early, beside.zone),
            wall=wall,
            early=early,
            late=late,
        )
    )
    value = name(
        sql(
            "(case when $offset is not null then $wall - $offset "
            "when $clock = 0 then $late else $early end)",
            offset=offset,
            wall=wall,
            clock=clock,
            late=late,
            early=early,
        )
    )
    return CellSql(value, faults, clock)


def _shown(seconds: Sql, zone: Sql) -> Sql:
    """What a clock in the zone shows at an instant, in seconds."""
    return sql(
        "(epoch_us(timezone($zone, make_timestamptz($seconds * 1000000))) // 1000000)",
        zone=zone,
        seconds=seconds,
    )


def _faults_of_zone(local: Sql, offset: Sql, beside: Beside) -> tuple[tuple[Sql, str], ...]:
    """Why a time without an offset cannot be read: no zone, or a name that is none."""
    zone, unknown = beside.zone, beside.unknown_zone
    lacking = sql("$local is not null and $offset is null", local=local, offset=offset)
    faults = []
    if unknown is not None:
        bad = sql("($lacking and $unknown)", lacking=lacking, unknown=unknown)
        faults.append((bad, "not_a_zone"))
    if zone is None:
        faults.append((sql("($lacking)", lacking=lacking), "time_without_zone"))
    elif unknown is not None:
        bad = sql("($lacking and $zone is null)", lacking=lacking, zone=zone)
        faults.append((bad, "time_without_zone"))
    return tuple(faults)


def _iso(cell: Sql) -> Sql:
    seconds = "case when substr($cell, 17, 1) = ':' then substr($cell, 18, 2) else '00' end"
    clock = f"rpad($cell[12:16], 5, '0') || ':' || {seconds}"
    return sql(
        f"case when $fits then try_cast($cell[1:10] || ' ' || {clock} as timestamp) end",
        cell=cell,
        fits=matches(cell, _ISO),
    )


def _iso_offset(cell: Sql, name: Name) -> Sql:
    """Seconds east of Greenwich, NULL where the cell has no offset."""
    tail = name(sql(f"regexp_extract(substr($cell, 17), '({_OFFSET})$')", cell=cell))
    digits = "replace(substr($tail, 2), ':', '')"
    seconds = (
        "(case when $tail[1] = '-' then -1 else 1 end) * "
        f"(try_cast({digits}[1:2] as bigint) * 3600 "
        f"+ coalesce(try_cast(nullif({digits}[3:4], '') as bigint), 0) * 60)"
    )
    return sql(
        f"case when $tail <> '' then case when $tail = 'Z' then 0 else {seconds} end end", tail=tail
    )
