"""A cell read as its declared type.

The grammar of cells is ours. DuckDB's casts are kinder: ``try_cast('3.7' as int)`` is 4,
``'5.27763E+12'`` a bigint, and ``'nan'`` makes JSON that is none.
"""

from backfill.mapping.cell_sql import (
    INTEGER,
    MISMATCH_REASONS,
    NO_CONTEXT,
    NUMBER,
    CellContext,
    CellSql,
    Named,
    matches,
    unreadable,
)
from backfill.mapping.emails import read_email
from backfill.mapping.money import read_amount, read_minor_units
from backfill.mapping.query import Sql, coalesce, quote, sql
from backfill.mapping.structured import spec_of
from backfill.mapping.times import read_date, read_time
from backfill.schema.types import Type


def read_cell(
    cell: Sql,
    cell_type: Type,
    context: CellContext = NO_CONTEXT,
    named: Named = sql,
    *,
    temporal: bool = False,
) -> CellSql:
    """SQL that reads a cell.

    Args:
        cell: trimmed text, NULL where the cell is empty.
        cell_type: the type that it is read as.
        context: what else decides how it is read.
        named: makes the expressions that are used more than once; ``sql`` gives them no names.
        temporal: does the export itself hold dates or times in this column? Their text is ISO 8601,
            whatever format the schema names.
    """
    match cell_type.kind:
        case "text":
            return CellSql(cell)
        case "time":
            return read_time(cell, cell_type, context, named, temporal=temporal)
        case "money" if cell_type.minor:
            return read_minor_units(cell, cell_type, context.places, named)
        case "email":
            return read_email(cell, named)
        case "list":
            return _read_list(cell, cell_type)
        case "json" | "pairs":
            return _read_structured(cell, cell_type, named)
        case _:
            value = named("$it", it=_scalar(cell, cell_type, context, named, temporal=temporal))
            return CellSql(value, ((unreadable(cell, value), MISMATCH_REASONS[cell_type.kind]),))


def _scalar(
    cell: Sql, cell_type: Type, context: CellContext, named: Named, *, temporal: bool
) -> Sql:
    """SQL that is NULL for a cell that does not fit."""
    match cell_type.kind:
        case "integer":
            return sql(
                "case when $fits then try_cast(split_part($cell, '.', 1) as bigint) end",
                cell=cell,
                fits=matches(cell, INTEGER),
            )
        case "number":
            return _number(cell, named)
        case "money":
            mark, currency = cell_type.decimal_mark, cell_type.currency
            return read_amount(cell, mark, currency, named, context.places)
        case "boolean":
            return sql(
                "case when lower($cell) in ('true','yes','y','t','1') then true "
                "when lower($cell) in ('false','no','n','f','0') then false end",
                cell=cell,
            )
        case "date":
            return read_date(cell, cell_type.format, temporal=temporal)
        case "phone":
            region = quote(cell_type.region or "")
            if context.country is not None:
                region = coalesce(context.country, region)
            return sql("backfill_phone($cell, $region)", cell=cell, region=region)
        case "currency":
            return sql("backfill_currency($cell)", cell=cell)
        case _:
            return sql("backfill_country($cell)", cell=cell)


def read_inline(column: str, cell_type: Type) -> str:
    """SQL text that reads the column of this SQL name, NULL for a cell that does not fit."""
    return read_cell(Sql(column), cell_type).value.text


def _number(cell: Sql, named: Named) -> Sql:
    """The number as a text in its shortest exact form."""
    bare = named(r"regexp_replace($cell, '^[+]?(-?)0*([0-9])', '\1\2')", cell=cell)
    short = named(
        "case when contains($bare, '.') then rtrim(rtrim($bare, '0'), '.') else $bare end",
        bare=bare,
    )
    return sql(
        "case when $fits then case when $short = '-0' then '0' else $short end end",
        fits=matches(cell, NUMBER),
        short=short,
    )


def _read_list(cell: Sql, cell_type: Type) -> CellSql:
    """The texts between the separators, trimmed, without empty ones."""
    value = sql(
        "nullif(list_filter(list_transform(string_split($cell, $separator), lambda p: trim(p)), "
        "lambda p: p <> ''), [])",
        cell=cell,
        separator=quote(cell_type.separator),
    )
    is_json = sql("(starts_with($cell, '[') or starts_with($cell, '{'))", cell=cell)
    return CellSql(value, ((is_json, MISMATCH_REASONS["list"]),))


def _read_structured(cell: Sql, cell_type: Type, named: Named) -> CellSql:
    """The JSON of a cell of JSON or of pairs."""
    if cell_type.kind == "json":
        text = named("backfill_json($cell)", cell=cell)
    else:
        text = named("backfill_pairs($cell, $spec)", cell=cell, spec=quote(spec_of(cell_type)))
    value = sql("nullif($text, 'null')", text=text)
    return CellSql(value, ((unreadable(cell, text), MISMATCH_REASONS[cell_type.kind]),))
