"""A cell read as its declared type.

The grammar of cells is ours. DuckDB's casts are kinder: ``try_cast('3.7' as int)`` is 4,
``'5.27763E+12'`` a bigint, and ``'nan'`` makes JSON that is none.
"""

from backfill.mapping.cell_sql import (
    INTEGER,
    NOT_OF_TYPE,
    NOTHING_BESIDE,
    NUMBER,
    Beside,
    CellSql,
    Name,
    fault_of,
    inline,
    matches,
)
from backfill.mapping.emails import read_email
from backfill.mapping.money import read_amount
from backfill.mapping.query import Sql, quote, sql
from backfill.mapping.structured import spec_of
from backfill.mapping.times import read_date, read_time
from backfill.schema.types import Type


def read_cell(
    cell: Sql,
    kind: Type,
    beside: Beside = NOTHING_BESIDE,
    name: Name = inline,
    *,
    typed: bool = False,
) -> CellSql:
    """SQL that reads a cell.

    Args:
        cell: trimmed text, NULL where it is empty.
        kind: what it is read as.
        beside: what decides with it how it is read.
        name: gives names to expressions that are used more than once.
        typed: does the export's column itself hold dates or times? Its text is ISO 8601 then,
            whatever format the schema names.
    """
    match kind.kind:
        case "text":
            return CellSql(cell)
        case "time":
            return read_time(cell, kind, beside, name, typed=typed)
        case "email":
            return read_email(cell, name)
        case "list":
            return _list(cell, kind)
        case "json" | "pairs":
            return _structured(cell, kind, name)
        case _:
            value = name(_scalar(cell, kind, beside, name, typed=typed))
            return CellSql(value, ((fault_of(cell, value), NOT_OF_TYPE[kind.kind]),))


def _scalar(cell: Sql, kind: Type, beside: Beside, name: Name, *, typed: bool) -> Sql:
    """SQL that is NULL for a cell that does not fit."""
    match kind.kind:
        case "integer":
            return _integer(cell)
        case "number":
            return _number(cell, name)
        case "money":
            return read_amount(cell, kind.decimal, name)
        case "boolean":
            return _boolean(cell)
        case "date":
            return read_date(cell, kind.format, typed=typed)
        case "phone":
            return _phone(cell, kind, beside.country)
        case "currency":
            return sql("backfill_currency($cell)", cell=cell)
        case _:
            return sql("backfill_country($cell)", cell=cell)


def read_inline(column: str, kind: Type) -> str:
    """SQL text that reads the column of this SQL name, NULL for a cell that does not fit."""
    return read_cell(Sql(column), kind).value.text


def _list(cell: Sql, kind: Type) -> CellSql:
    """The texts between the separators, trimmed, without empty ones."""
    split = sql("string_split($cell, $separator)", cell=cell, separator=quote(kind.separator))
    trimmed = sql("list_transform($split, lambda p: trim(p))", split=split)
    value = sql("nullif(list_filter($trimmed, lambda p: p <> ''), [])", trimmed=trimmed)
    bad = sql("(starts_with($cell, '[') or starts_with($cell, '{'))", cell=cell)
    return CellSql(value, ((bad, NOT_OF_TYPE["list"]),))


def _structured(cell: Sql, kind: Type, name: Name) -> CellSql:
    """The JSON of a cell of JSON or of pairs."""
    if kind.kind == "json":
        text = name(sql("backfill_json($cell)", cell=cell))
    else:
        text = name(sql("backfill_pairs($cell, $spec)", cell=cell, spec=quote(spec_of(kind))))
    bad = fault_of(cell, text)
    return CellSql(sql("nullif($text, 'null')", text=text), ((bad, NOT_OF_TYPE[kind.kind]),))


def _integer(cell: Sql) -> Sql:
    return sql(
        "case when $fits then try_cast(split_part($cell, '.', 1) as bigint) end",
        cell=cell,
        fits=matches(cell, INTEGER),
    )


def _number(cell: Sql, name: Name) -> Sql:
    """The number as a text in its shortest exact form."""
    bare = name(sql(r"regexp_replace($cell, '^[+]?(-?)0*([0-9])', '\1\2')", cell=cell))
    short = name(
        sql(
            "case when contains($bare, '.') then rtrim(rtrim($bare, '0'), '.') else $bare end",
            bare=bare,
        )
    )
    return sql(
        "case when $fits then case when $short = '-0' then '0' else $short end end",
        fits=matches(cell, NUMBER),
        short=short,
    )


def _boolean(cell: Sql) -> Sql:
    return sql(
        "case when lower($cell) in ('true','yes','y','t','1') then true "
        "when lower($cell) in ('false','no','n','f','0') then false end",
        cell=cell,
    )


def _phone(cell: Sql, kind: Type, country: Sql | None) -> Sql:
    """E.164; ``country`` is the row's, the type's region stands for it where there is none."""
    region = quote(kind.region or "")
    if country is not None:
        region = sql("coalesce($country, $region)", country=country, region=region)
    return sql("backfill_phone($cell, $region)", cell=cell, region=region)
