"""Amounts of money: read exactly, rounded once, written in their shortest form.

An amount is DECIMAL(38,6) while it is computed. When it is written, it is rounded half away from
zero to the decimal places of its currency.
"""

from typing import Final

from backfill.mapping.cell_sql import (
    MISMATCH_REASONS,
    NUMBER,
    CellSql,
    Named,
    matches,
    unreadable,
)
from backfill.mapping.query import Sql, case, join, quote, sql
from backfill.schema.currencies import codes_by_places, places
from backfill.schema.types import Type

_SIGN: Final = r"(?:[A-Z]{0,3}\p{Sc}|[A-Z]{3}|kr\.?|zł|Kč|Ft|lei|Rs\.?|Rp\.?|Fr\.?|RM|円|元)"
"""A currency's symbol or code."""
NO_CURRENCY: Final = "minor_without_currency"
FRACTION: Final = "minor_fraction"
"""The reasons of amounts in minor units: nothing says how many make one, or one is no whole."""
_BLANK: Final = r"[ \x{00A0}\x{202F}]"


def read_amount(
    cell: Sql, decimal: str, currency: str | None, named: Named, row_places: Sql | None = None
) -> Sql:
    """The amount, NULL for a cell that is none.

    Signs, a currency and thousands marks are taken off. An amount in brackets is below zero, as
    accountants write it.

    Args:
        cell: the text.
        decimal: the decimal mark, ``.`` or ``,``; the other one may mark thousands.
        currency: the ISO 4217 code, or None. A point marks thousands if it has no decimal places.
        named: makes the expressions that are used more than once.
        row_places: the places of the row's currency, where a column holds it.
    """
    usual = _usual_signs(cell, named)
    if row_places is not None or (currency is not None and places(currency) == 0):
        grouped = matches(usual, "[^0-9]*[1-9][0-9]{0,2}([.][0-9]{3})+[^0-9.,]*")
        if row_places is not None:
            grouped = sql("($places = 0 and $grouped)", places=row_places, grouped=grouped)
        usual = named(
            "case when $grouped then replace($cell, '.', '') else $cell end",
            cell=usual,
            grouped=grouped,
        )
    return sql(
        "try_cast($number as decimal(38,6))",
        number=_plain_number(_without_brackets(usual, named), decimal, named),
    )


def _usual_signs(cell: Sql, named: Named) -> Sql:
    """The cell with ASCII's minus and apostrophe, and without the dash of ``1200,-``."""
    return named(
        "case when strlen($cell) > length($cell) or contains($cell, ',-') or contains($cell, '.-') "
        "then regexp_replace(translate($cell, '\u2212\u2019', '-'''), "
        "'([0-9])[.,][-\u2013\u2014]{1,2}', '\\1') else $cell end",
        cell=cell,
    )


def read_minor_units(cell: Sql, cell_type: Type, row_places: Sql | None, named: Named) -> CellSql:
    """An amount that the cell gives in the smallest units of its currency, such as cents.

    Args:
        cell: the text.
        cell_type: money in minor units.
        row_places: the places of the row's currency; None where the type names the currency.
        named: makes the expressions that are used more than once.
    """
    # A count has no fraction: a point between groups of three marks thousands.
    amount = read_amount(cell, cell_type.decimal_mark, None, named, Sql("0"))
    count, code = named("$it", it=amount), cell_type.currency
    scale = row_places
    if scale is None:
        known = str(places(code, stripe=cell_type.stripe)) if code is not None else "null::integer"
        scale = Sql(known)
    whole = sql("($count = trunc($count))", count=count)
    arms = [
        (
            sql(f"$whole and $scale = {digits}", whole=whole, scale=scale),
            sql(
                f"(($count)::decimal(38,0) * {10**-digits:.{digits}f})::decimal(38,6)", count=count
            ),
        )
        for digits in codes_by_places()
    ]
    value = named("$it", it=case(arms))
    return CellSql(
        value,
        (
            (unreadable(cell, count), MISMATCH_REASONS["money"]),
            (sql("($cell is not null and $scale is null)", cell=cell, scale=scale), NO_CURRENCY),
            (sql("($count is not null and not $whole)", count=count, whole=whole), FRACTION),
        ),
    )


def places_sql(code: Sql, *, stripe: bool = False) -> Sql:
    """The decimal places of the currency in a cell, NULL where it holds no current code.

    Args:
        code: the cell's text.
        stripe: the places of Stripe's minor units, not those of ISO 4217.
    """
    upper = sql("upper($code)", code=code)
    arms = [
        (
            sql("$code in ($all)", code=upper, all=join(", ", map(quote, codes))),
            Sql(str(digits)),
        )
        for digits, codes in codes_by_places(stripe=stripe).items()
    ]
    return case(arms)


def _without_brackets(cell: Sql, named: Named) -> Sql:
    pattern = f"^({_SIGN}?{_BLANK}?)[(]([^()]*)[)]"
    debit = rf"regexp_replace($cell, '{pattern}', '-\1\2')"
    return named(f"case when contains($cell, '(') then {debit} else $cell end", cell=cell)


def _plain_number(cell: Sql, decimal: str, named: Named) -> Sql:
    point, mark = ("[.]", "[,'']") if decimal == "." else ("[,]", "[.'']")
    # No number begins with a group of 0: 0,500 is a half, and 0.005 is no 5.
    groups = f"[1-9][0-9]{{0,2}}(?:(?:{mark}|{_BLANK})[0-9]{{3}}){{1,8}}"
    lakhs = f"[1-9][0-9]?(?:{mark}[0-9]{{2}}){{1,8}}{mark}[0-9]{{3}}"  # 1,23,456 in India
    whole = f"(?:[0-9]{{1,26}}|{groups}|{lakhs})"
    digits = f"{whole}(?:{point}[0-9]{{1,30}})?"
    amount = f"[+-]?{_BLANK}?{_SIGN}?{_BLANK}?[+-]?{digits}{_BLANK}?{_SIGN}?"
    plain = NUMBER if decimal == "." else r"[+-]?[0-9]{1,26}"
    bare = f"regexp_replace($cell, '[^0-9{decimal}-]', '', 'g')"
    if decimal == ",":
        bare = f"replace({bare}, ',', '.')"
    number = named(
        "case when $plain then $cell when $marked and not regexp_matches($cell, '[+-].*[+-]') "
        # "-kr. 5" leaves a dot in front
        rf"then regexp_replace({bare}, '^(-?)[.]+', '\1') end",
        cell=cell,
        plain=matches(cell, plain),
        marked=matches(cell, amount),
    )
    # The number is cut, not rounded, after six places: otherwise 1.0049995 would be rounded twice,
    # to 1.005 and then to 1.01.
    return sql("left($number, coalesce(nullif(instr($number, '.'), 0) + 6, 99))", number=number)


def round_amount(value: Sql, currency: str | None) -> Sql:
    """An amount rounded half away from zero to the decimal places of its currency."""
    return sql(f"($value)::decimal(38,{places(currency)})", value=value)


def decimal_text(value: Sql, scale: int) -> Sql:
    """The shortest exact form of a decimal with ``scale`` places: 32.6, 100, -0.5."""
    text = sql("($value)::varchar", value=value)
    return sql("rtrim(rtrim($text, '0'), '.')", text=text) if scale else text


def amount_text(value: Sql, currency: str | None, row_places: Sql | None = None) -> Sql:
    """An amount as it is written: rounded, and in its shortest form.

    Args:
        value: the amount.
        currency: the code that the schema names.
        row_places: the places of the row's currency, where a column holds it.
    """
    rounded = rounded_amount(value, currency, row_places)
    return decimal_text(rounded, places(currency) if row_places is None else 6)


def rounded_amount(value: Sql, currency: str | None, row_places: Sql | None) -> Sql:
    """An amount rounded once; for arguments see ``amount_text``."""
    if row_places is None:
        return round_amount(value, currency)
    return round_to(value, row_places)


def round_to(value: Sql, row_places: Sql) -> Sql:
    """An amount rounded half away from zero to the places of the row's currency, or else to two."""
    arms = [
        (
            sql(f"coalesce($places, {places(None)}) = {digits}", places=row_places),
            sql(f"($value)::decimal(38,{digits})::decimal(38,6)", value=value),
        )
        for digits in codes_by_places()
    ]
    return case(arms)
