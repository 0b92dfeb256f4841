"""The grammar of each column type, as SQL over one trimmed cell.

DuckDB's own casts are kinder than a grammar may be (3.7 becomes the integer 4, 1e2 a number), so
a cell is first matched by a pattern and only then cast.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from backfill.limits import MAX_EMAIL_CHARS
from backfill.mapping.currencies import places
from backfill.mapping.structured import spec_of
from backfill.schema.types import Type, swap_day_and_month

UNFIT: Final = {
    "text": "",
    "integer": "not_an_integer",
    "number": "not_a_number",
    "money": "not_money",
    "boolean": "not_a_boolean",
    "time": "not_a_time",
    "date": "not_a_date",
    "email": "not_an_email",
    "phone": "not_a_phone",
    "country": "not_a_country",
    "currency": "not_a_currency",
    "list": "not_a_list",
    "json": "not_json",
    "pairs": "not_pairs",
}
"""The reason of a reject by the type that its cell does not fit; reasons.py has the sentences."""

DAY_FOR_MONTH: Final = "day_for_month"
"""The reason of a time that fits only with day and month the other way round."""

_INTEGER: Final = r"[+-]?[0-9]{1,19}(\.0+)?"
_NUMBER: Final = r"[+-]?[0-9]{1,26}(\.[0-9]{1,30})?"
_LAST_S: Final = 253_402_300_799
"""The last second of the year 9999."""
_SIGN: Final = r"(?:[A-Z]{0,3}\p{Sc}|[A-Z]{3}|kr\.?|zł|Kč|Ft|lei)"
_BLANK: Final = r"[ \x{00A0}\x{202F}]"
# RFC 5321 and 5322, the dot-atom form, with letters beyond ASCII as RFC 6531 allows them, and at
# least one dot in the domain. U+FFFD, the mark of a letter that some program lost, is one of them:
# whose address it was is still told apart.
_MAX_LOCAL: Final = 64
_ATOM: Final = r"(?:[a-z0-9!#$%&''*+/=?^_`{|}~-]|[^\x00-\x7F\p{Z}\p{C}])+"
# A label's 63 characters are counted by a pattern of their own: with {0,61} in this one, RE2 takes
# 75 ms to compile it, once for each statement that reads an address.
_LABEL: Final = r"[a-z0-9\p{L}](?:[a-z0-9\p{L}\p{M}\p{N}-]*[a-z0-9\p{L}\p{M}\p{N}])?"
_TOP: Final = r"[a-z\p{L}](?:[a-z0-9\p{L}\p{M}\p{N}-]*[a-z0-9\p{L}\p{M}\p{N}])?"
_LONG_LABEL: Final = "@.*[^.@]{64}"
_EMAIL: Final = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP}"
_ASCII_EMAIL: Final = "[a-z0-9_+-]+(?:[.][a-z0-9_+-]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*[.][a-z]{2,24}"
"""Most addresses, ten times as fast as the whole rule."""
_STARS: Final = "*\u2022\u25cf"
_MASKED: Final = (
    f"[{_STARS}]{{2,}}|^[^@]?[{_STARS}]"
    "|^x{3,}(?:@|$)|^[^@]{0,2}x{4,}[^@]{0,2}@|@x{3,}[.]?$|@x{4,}[.]"
)
"""Of an address in lower case: what is left when somebody made it unreadable. It stands for nobody,
and all who look alike would become one person."""
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?"
_OFFSET: Final = r"Z|[+-](0[0-9]|1[0-8])(:?[0-5][0-9])?"
_ISO: Final = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}( ?({_OFFSET}))?"


@dataclass(frozen=True, slots=True)
class CellSql:
    """A cell read as a type: SQL for its value, and for "there is a cell and it does not fit"."""

    value: str
    faults: tuple[tuple[str, str], ...] = ()
    """Conditions, each with the reason why the cell does not fit; the first that holds says it."""
    clock: str | None = None
    """Of a local time: 1 where the clock skipped its hour, 2 where it showed it twice, else 0."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What decides with the cell how it is read: SQL each, a constant or a cell of the same row."""

    zone: str | None = None
    """Of a time without an offset: its zone's name, as DuckDB knows it."""
    unknown_zone: str | None = None
    """Is there a name of a zone that is none?"""
    country: str | None = None
    """Of a phone number: the ISO 3166 code whose national form it may have; NULL for none."""


Name = Callable[[str], str]
"""Gives an expression that stands in several places a name, so that it is computed once."""


NOTHING_BESIDE: Final = Beside()


def read_cell(
    cell: str,
    kind: Type,
    beside: Beside = NOTHING_BESIDE,
    name: Name = lambda sql: sql,
    *,
    typed: bool,
) -> CellSql:
    """SQL that reads ``cell``, an SQL name of trimmed text, NULL where empty.

    ``typed`` says that the export's column holds dates or times itself, so that its text is ISO
    8601 whatever format the schema names.
    """
    match kind.kind:
        case "time":
            return _time(cell, kind, beside, name, typed=typed)
        case "list":
            split = f"string_split({cell}, {quote(kind.separator)})"
            parts = f"list_transform({split}, lambda p: trim(p))"
            value = f"nullif(list_filter({parts}, lambda p: p <> ''), [])"
            bad = f"(starts_with({cell}, '[') or starts_with({cell}, '{{'))"
            return CellSql(value, ((bad, UNFIT["list"]),))
        case "json" | "pairs":
            text = name(_structured(cell, kind))
            bad = f"({cell} is not null and {text} is null)"
            return CellSql(f"nullif({text}, 'null')", ((bad, UNFIT[kind.kind]),))
        case "text":
            return CellSql(cell)
        case "email":
            return _email(cell, name)
    value = name(_value(cell, kind, beside, name, typed=typed))
    return CellSql(value, ((f"({cell} is not null and {value} is null)", UNFIT[kind.kind]),))


def _structured(cell: str, kind: Type) -> str:
    """SQL for the JSON of a cell that holds several values."""
    if kind.kind == "json":
        return f"backfill_json({cell})"
    return f"backfill_pairs({cell}, {quote(spec_of(kind))})"


def _value(cell: str, kind: Type, beside: Beside, name: Name, *, typed: bool) -> str:
    """SQL that is NULL for a cell that does not fit."""
    match kind.kind:
        case "integer":
            whole = f"try_cast(split_part({cell}, '.', 1) as bigint)"
            return f"case when {_full(cell, _INTEGER)} then {whole} end"
        case "number":
            return _number(cell, name)
        case "money":
            return f"try_cast({_amount(cell, kind.decimal, name)} as decimal(38,6))"
        case "boolean":
            return (
                f"case when lower({cell}) in ('true','yes','y','t','1') then true "
                f"when lower({cell}) in ('false','no','n','f','0') then false end"
            )
        case "date":
            return _date(cell, kind.format, typed=typed)
        case "phone":
            region = quote(kind.region or "")
            country = f"coalesce({beside.country}, {region})" if beside.country else region
            return f"backfill_phone({cell}, {country})"
        case "currency":
            return f"backfill_currency({cell})"
        case _:
            return f"backfill_country({cell})"


def _email(cell: str, name: Name) -> CellSql:
    lower = name(f"lower(ltrim({cell}, chr(39)))")  # Excel marks texts with an apostrophe
    fits = f"case when {_full(lower, _ASCII_EMAIL)} then true else {_full(lower, _EMAIL)} end"
    short = (
        f"length({cell}) <= {MAX_EMAIL_CHARS} and instr({cell}, '@') <= {_MAX_LOCAL + 1} "
        f"and (length({cell}) <= 65 or not regexp_matches({cell}, '{_LONG_LABEL}'))"
    )
    # RE2 is asked where one of the signs stands at all: seldom.
    signs = " or ".join(f"contains({lower}, '{sign}')" for sign in (*_STARS, "xxx"))
    masked = name(f"(({signs}) and regexp_matches({lower}, '{_MASKED}'))")
    value = name(f"case when {short} and {fits} and not {masked} then {lower} end")
    bad = f"({cell} is not null and {value} is null)"
    return CellSql(value, ((masked, "masked_email"), (bad, UNFIT["email"])))


def as_json(value: str, kind: Type) -> str:
    """SQL for the JSON text of a value of this type, NULL where there is none."""
    match kind.kind:
        case "integer" | "boolean":
            return f"({value})::varchar"
        case "number":
            return value
        case "money":
            return decimal_text(rounded(value, kind.currency), places(kind.currency))
        case "time" | "date":
            return f"('\"' || {as_text(value, kind)} || '\"')"
        case "json" | "pairs":
            return value
        case _:
            return f"to_json({value})::varchar"


def as_text(value: str, kind: Type) -> str:
    """SQL for the same value inside a template or an id."""
    match kind.kind:
        case "time":
            return f"strftime({_moment(value)}, '%Y-%m-%dT%H:%M:%SZ')"
        case "date":
            return f"strftime({value}, '%Y-%m-%d')"
        case "list":
            return f"array_to_string({value}, ', ')"
        case "integer" | "boolean":
            return f"({value})::varchar"
        case "money":
            return decimal_text(rounded(value, kind.currency), places(kind.currency))
        case _:
            return value


def as_sql(value: str, kind: Type) -> str:
    """SQL for the same value inside ``sql``, ``sum`` and ``where``."""
    match kind.kind:
        case "number":
            return f"try_cast({value} as decimal(38,6))"
        case "time":
            return _moment(value)
        case "json" | "pairs":
            return f"({value})::json"
        case _:
            return value


def _moment(seconds: str) -> str:
    """Unix seconds as a timestamp in UTC."""
    fits = f"{seconds} between -{_LAST_S} and {_LAST_S}"
    return f"case when {fits} then make_timestamp({seconds} * 1000000) end"


def rounded(value: str, currency: str | None) -> str:
    """Half away from zero to the places that the currency is written with."""
    return f"({value})::decimal(38,{places(currency)})"


def decimal_text(value: str, scale: int) -> str:
    """Shortest exact form of a decimal or an integer: 32.6, 100, -0.5."""
    text = f"({value})::varchar"
    return f"rtrim(rtrim({text}, '0'), '.')" if scale else text


def quote(text: str) -> str:
    """An SQL text constant."""
    return "'" + text.replace("'", "''") + "'"


def _full(cell: str, pattern: str) -> str:
    return f"regexp_full_match({cell}, '{pattern}')"


def _number(cell: str, name: Name) -> str:
    bare = name(f"regexp_replace({cell}, '^[+]?(-?)0*([0-9])', '\\1\\2')")
    short = f"case when contains({bare}, '.') then rtrim(rtrim({bare}, '0'), '.') else {bare} end"
    short = name(short)
    return (
        f"case when {_full(cell, _NUMBER)} then "
        f"case when {short} = '-0' then '0' else {short} end end"
    )


def _amount(cell: str, decimal: str, name: Name) -> str:
    """The plain number inside money: signs, currency and thousands marks taken off.

    An amount in brackets is below zero, as accountants write it.
    """
    debit = f"regexp_replace({cell}, '^({_SIGN}?{_BLANK}?)[(]([^()]*)[)]', '-\\1\\2')"
    cell = name(f"case when contains({cell}, '(') then {debit} else {cell} end")
    point, mark = ("[.]", "[,'']") if decimal == "." else ("[,]", "[.'']")
    whole = f"(?:[0-9]{{1,26}}|[0-9]{{1,3}}(?:(?:{mark}|{_BLANK})[0-9]{{3}}){{1,8}})"
    digits = f"{whole}(?:{point}[0-9]{{1,30}})?"
    amount = f"[+-]?{_BLANK}?{_SIGN}?{_BLANK}?[+-]?{digits}{_BLANK}?{_SIGN}?"
    two_signs = r"[+-].*[+-]"
    bare = f"regexp_replace({cell}, '[^0-9{decimal}-]', '', 'g')"
    if decimal == ",":
        bare = f"replace({bare}, ',', '.')"
    fits = f"{_full(cell, amount)} and not regexp_matches({cell}, '{two_signs}')"
    dotless = f"regexp_replace({bare}, '^(-?)[.]+', '\\1')"  # "-kr. 5" leaves a dot behind
    plain = _full(cell, _NUMBER) if decimal == "." else _full(cell, r"[+-]?[0-9]{1,26}")
    amount = name(f"case when {plain} then {cell} when {fits} then {dotless} end")
    # Cut, not rounded, at the places that are computed with: a second rounding would find 1.0049995
    # at 1.005.
    return f"left({amount}, coalesce(nullif(instr({amount}, '.'), 0) + 6, 99))"


def _date(cell: str, form: str | None, *, typed: bool) -> str:
    iso = f"case when {_full(cell, '[0-9]{4}-[0-9]{2}-[0-9]{2}')} then try_cast({cell} as date) end"
    if form is None:
        return iso
    read = f"{_parsed(cell, form)}::date"
    return f"coalesce({iso}, {read})" if typed else read


def _time(cell: str, kind: Type, beside: Beside, name: Name, *, typed: bool) -> CellSql:
    """Unix seconds. A local time goes through the zone's rules; see _instant."""
    if kind.unit is not None and not typed:
        value = name(_since_1970(cell, kind.unit))
        fits = _full(cell, _INTEGER)
        bad = f"({cell} is not null and not {fits})"
        far = f"({fits} and {value} is null)"
        return CellSql(value, ((bad, UNFIT["time"]), (far, "time_out_of_range")))
    iso = (
        f"coalesce({_iso(cell)}, {_date(cell, None, typed=False)}::timestamp)"
        if typed
        else _iso(cell)
    )
    if kind.format is None or kind.unit is not None:
        local, known = iso, _iso_offset(cell, name)
    elif "%z" in kind.format:
        moment = name(_parsed(cell, kind.format))
        local, known = f"timezone('UTC', {moment})", f"case when {moment} is not null then 0 end"
        if typed:
            local = f"coalesce({iso}, {local})"
            known = f"coalesce({_iso_offset(cell, name)}, {known})"
    else:
        read = _parsed(cell, kind.format)
        local = f"coalesce({iso}, {read})" if typed else read
        known = _iso_offset(cell, name) if typed else "null::bigint"
    local = name(f"({local})")
    instant = _instant(cell, local, name(f"({known})"), beside, name)
    other = swap_day_and_month(kind.format) if kind.format is not None else None
    if other is None:
        return instant
    # One such cell shows that others, of days up to the 12th, may be read wrong.
    turned = (
        f"(case when {cell} is not null and {local} is null "
        f"then {_parsed(cell, other)} is not null else false end)"
    )
    return replace(instant, faults=((turned, DAY_FOR_MONTH), *instant.faults))


def _parsed(cell: str, form: str) -> str:
    """Between the clock and AM or PM, Unicode's locales of 2022 and later have a narrow blank."""
    if " " in form:
        cell = f"translate({cell}, '\u00a0\u202f', '  ')"
    return f"try_strptime({cell}, {quote(form)})"


def _instant(cell: str, local: str, offset: str, beside: Beside, name: Name) -> CellSql:
    """A time from its wall clock and its offset; where there is none, from the zone's rules."""
    zone = beside.zone
    wall = name(f"(epoch_us({local}) // 1000000)")
    bad = f"({cell} is not null and {local} is null)"
    faults = [(bad, UNFIT["time"])]
    lacking = f"({local} is not null and {offset} is null"
    if beside.unknown_zone is not None:
        faults.append((f"{lacking} and {beside.unknown_zone})", "not_a_zone"))
    if zone is None or beside.unknown_zone is not None:
        missing = f"{lacking} and {zone} is null)" if zone else f"{lacking})"
        faults.append((missing, "time_without_zone"))
    if zone is None:
        return CellSql(name(f"({wall} - {offset})"), tuple(faults))
    # A clock that skips an hour: the offset from before moves the time forward. A clock that
    # shows an hour twice: the offset from before gives the first. DuckDB's timezone() gives the
    # second, so it only tells which of the two cases this is.
    in_zone = f"timezone({zone}, "
    unknown = name(f"(case when {offset} is null then {local} end)")
    late = name(f"(epoch_us({in_zone}{unknown})) // 1000000)")
    day_before = f"make_timestamptz(({late} - 86400) * 1000000)"
    before = f"(epoch_us({in_zone}{day_before})) // 1000000 - ({late} - 86400))"
    early = name(f"({wall} - {before})")
    shown = f"(epoch_us({in_zone}make_timestamptz({early} * 1000000))) // 1000000)"
    skipped = f"(epoch_us({in_zone}make_timestamptz({late} * 1000000))) // 1000000)"
    clock = name(
        f"(case when {offset} is not null then 0 when {skipped} <> {wall} then 1 "
        f"when {early} < {late} and {shown} = {wall} then 2 else 0 end)"
    )
    value = name(
        f"(case when {offset} is not null then {wall} - {offset} "
        f"when {clock} = 0 then {late} else {early} end)"
    )
    return CellSql(value, tuple(faults), clock)


def _since_1970(cell: str, unit: str) -> str:
    divisor = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    whole = f"try_cast(split_part({cell}, '.', 1) as bigint)"
    seconds = f"{whole} // {divisor}"
    fits = f"{_full(cell, _INTEGER)} and abs({seconds}) <= {_LAST_S}"
    return f"case when {fits} then {seconds} end"


def _iso(cell: str) -> str:
    date, clock = f"{cell}[1:10]", f"rpad({cell}[12:16], 5, '0')"
    seconds = f"case when substr({cell}, 17, 1) = ':' then substr({cell}, 18, 2) else '00' end"
    return (
        f"case when {_full(cell, _ISO)} "
        f"then try_cast({date} || ' ' || {clock} || ':' || {seconds} as timestamp) end"
    )


def _iso_offset(cell: str, name: Name) -> str:
    """Seconds east of Greenwich, NULL where the cell has no offset."""
    tail = name(f"regexp_extract(substr({cell}, 17), '({_OFFSET})$')")
    digits = f"replace(substr({tail}, 2), ':', '')"
    seconds = (
        f"(case when {tail}[1] = '-' then -1 else 1 end) * "
        f"(try_cast({digits}[1:2] as bigint) * 3600 "
        f"+ coalesce(try_cast(nullif({digits}[3:4], '') as bigint), 0) * 60)"
    )
    return f"case when {tail} <> '' then case when {tail} = 'Z' then 0 else {seconds} end end"
