"""Amounts of money: read exactly, rounded once, written in their shortest form.

An amount is DECIMAL(38,6) while it is computed. When it is written, it is rounded half away from
zero to the decimal places of its currency.
"""

from typing import Final

from backfill.mapping.cell_sql import NUMBER, Named, matches
from backfill.mapping.currencies import places
from backfill.mapping.query import Sql, sql

_SIGN: Final = r"(?:[A-Z]{0,3}\p{Sc}|[A-Z]{3}|kr\.?|zł|Kč|Ft|lei)"
"""A currency's symbol or code."""
_BLANK: Final = r"[ \x{00A0}\x{202F}]"


def read_amount(cell: Sql, decimal: str, named: Named) -> Sql:
    """The amount, NULL for a cell that is none.

    Signs, a currency and thousands marks are taken off. An amount in brackets is below zero, as
    accountants write it.

    Args:
        cell: the text.
        decimal: the decimal mark, ``.`` or ``,``; the other one may mark thousands.
        named: makes the expressions that are used more than once.
    """
    return sql(
        "try_cast($number as decimal(38,6))",
        number=_plain_number(_without_brackets(cell, named), decimal, named),
    )


def _without_brackets(cell: Sql, named: Named) -> Sql:
    pattern = f"^({_SIGN}?{_BLANK}?)[(]([^()]*)[)]"
    debit = rf"regexp_replace($cell, '{pattern}', '-\1\2')"
    return named(f"case when contains($cell, '(') then {debit} else $cell end", cell=cell)


def _plain_number(cell: Sql, decimal: str, named: Named) -> Sql:
    point, mark = ("[.]", "[,'']") if decimal == "." else ("[,]", "[.'']")
    whole = f"(?:[0-9]{{1,26}}|[0-9]{{1,3}}(?:(?:{mark}|{_BLANK})[0-9]{{3}}){{1,8}})"
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


def amount_text(value: Sql, currency: str | None) -> Sql:
    """An amount as it is written: rounded, and in its shortest form."""
    return decimal_text(round_amount(value, currency), places(currency))
