"""The result of a schema's SQL as a leaf: by its SQL type, or by ``as``."""

from dataclasses import dataclass

from backfill.mapping.cell_sql import NOT_OF_TYPE
from backfill.mapping.currencies import places
from backfill.mapping.faults import Fault
from backfill.mapping.money import decimal_text, rounded
from backfill.mapping.query import Sql, sql
from backfill.schema.expression import is_numeric
from backfill.schema.model import Leaf
from backfill.schema.types import Type


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSql:
    """A compiled leaf."""

    json: Sql
    """Its JSON text, NULL where there is nothing."""
    text: Sql
    """Its text inside a template or an id."""
    value: Sql
    """As SQL sees it: a decimal for money, a timestamp for a time."""
    raw: Sql
    """As the cell's own type holds it: Unix seconds for a time."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What an expression of a schema computes."""

    sql: Sql
    kind: str
    """Its SQL type."""
    money: tuple[Type, ...]
    """The types of the amounts of money in it."""
    faults: tuple[Fault, ...]

    @property
    def scale(self) -> int:
        """Its decimal places, 0 for an integer."""
        return int(self.kind.rstrip(")").rpartition(",")[2]) if "(" in self.kind else 0

    @property
    def currency(self) -> str | None:
        """The one currency of all its amounts, None where there are several."""
        codes = {amount.currency for amount in self.money}
        return codes.pop() if len(codes) == 1 else None


def result(found: Computed, wanted: Type | None, *, in_value: bool) -> LeafSql:
    """A leaf of what was computed.

    Args:
        found: the result.
        wanted: what ``as`` says that it is; None where its SQL type says it.
        in_value: does it fill ``$value``, which is money?
    """
    kind, value = found.kind, found.sql
    if is_numeric(kind) and (wanted is None or wanted.kind not in ("text", "boolean")):
        exact, scale = _number_of(found, wanted, in_value=in_value)
        text = decimal_text(exact, scale)
        return LeafSql(json=text, text=text, value=exact, raw=exact, faults=found.faults)
    if wanted is not None and wanted.kind == "text":
        text = sql("nullif(trim(($value)::varchar), '')", value=value)
        if is_numeric(kind):
            text = decimal_text(*_number_of(found, None, in_value=False))
        return _text(text, found)
    if wanted is not None and wanted.kind == "boolean":
        kind, value = "BOOLEAN", sql("try_cast($value as boolean)", value=value)
    match kind:
        case "VARCHAR":
            return _text(sql("nullif(trim($value), '')", value=value), found)
        case "BOOLEAN":
            text = sql("($value)::varchar", value=value)
            json = text
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" | "DATE":
            form = "%Y-%m-%d" if kind == "DATE" else "%Y-%m-%dT%H:%M:%SZ"
            utc = sql("timezone('UTC', $value)", value=value) if "ZONE" in kind else value
            text = sql(f"strftime($utc, '{form}')", utc=utc)
            json = sql("""('"' || $text || '"')""", text=text)
        case _:
            text = sql("backfill_built(to_json($value)::varchar)", value=value)
            json = text
    return LeafSql(json=json, text=text, value=value, raw=value, faults=found.faults)


def fault_of_fraction(value: Sql, leaf: Leaf) -> tuple[Fault, ...]:
    """Where a leaf is an integer: the result has a fraction."""
    if leaf.as_ is None or leaf.as_.kind != "integer":
        return ()
    condition = sql("($value <> trunc($value))", value=value)
    return (Fault(condition, NOT_OF_TYPE["integer"], leaf.sql or leaf.sum or ""),)


def _text(text: Sql, found: Computed) -> LeafSql:
    json = sql("to_json($text)::varchar", text=text)
    return LeafSql(json=json, text=text, value=text, raw=text, faults=found.faults)


def _number_of(found: Computed, wanted: Type | None, *, in_value: bool) -> tuple[Sql, int]:
    """A number and its places: money is rounded, another number stays as it is."""
    exact, scale = found.sql, found.scale
    if found.kind in ("FLOAT", "DOUBLE"):
        exact, scale = sql("try_cast($value as decimal(38,6))", value=exact), 6
    money = found.money or in_value if wanted is None else wanted.kind == "money"
    if money:
        currency = (wanted and wanted.currency) or found.currency
        return rounded(exact, currency), places(currency)
    if wanted is not None and wanted.kind == "integer":
        return sql("try_cast($value as decimal(38,0))", value=exact), 0
    return exact, scale
