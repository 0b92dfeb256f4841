"""The result of a schema's SQL as a leaf: by its SQL type, or by ``as``."""

from dataclasses import dataclass

from backfill.mapping.cell_sql import MISMATCH_REASONS
from backfill.mapping.faults import Fault
from backfill.mapping.money import decimal_text, round_amount, round_to
from backfill.mapping.query import Sql, sql
from backfill.schema.currencies import places
from backfill.schema.expression import is_numeric
from backfill.schema.model import Leaf
from backfill.schema.types import Type


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSql:
    """A compiled leaf."""

    json: Sql
    """Its JSON text, NULL where there is no value."""
    text: Sql
    """Its text inside a template or an id."""
    value: Sql
    """The value as it was read from a cell: Unix seconds for a time."""
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, text: Sql, json: Sql | None = None, *, faults: tuple[Fault, ...]) -> "LeafSql":
        """A leaf whose text is its value, and its JSON too unless ``json`` is given."""
        return cls(json=json or text, text=text, value=text, faults=faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """The result of a schema's expression."""

    sql: Sql
    sql_type: str
    money: tuple[Type, ...]
    """The types of the amounts of money in it."""
    places: Sql | None
    """The decimal places of the row's currency, where a column holds it."""
    faults: tuple[Fault, ...]

    @property
    def scale(self) -> int:
        """Its decimal places, 0 for an integer."""
        return int(self.sql_type.rstrip(")").rpartition(",")[2]) if "(" in self.sql_type else 0

    @property
    def currency(self) -> str | None:
        """The currency of all its amounts; None where they differ or name none."""
        codes = {amount.currency for amount in self.money}
        return codes.pop() if len(codes) == 1 else None


def result_leaf(found: Computed, wanted: Type | None, *, in_value: bool) -> LeafSql:
    """The leaf of a result.

    Args:
        found: the result.
        wanted: the type in ``as``; None where the SQL type decides.
        in_value: does it fill ``$value``, which is money?
    """
    sql_type, value, kind = found.sql_type, found.sql, wanted.kind if wanted else None
    if is_numeric(sql_type) and kind not in ("text", "boolean"):
        number = decimal_text(*_number(found, wanted, in_value=in_value))
        return LeafSql.of(number, faults=found.faults)
    if kind == "text":
        text = sql("nullif(trim(($value)::varchar), '')", value=value)
        if is_numeric(sql_type):
            text = decimal_text(*_number(found, None, in_value=False))
        return LeafSql.of(text, _json_text(text), faults=found.faults)
    if kind == "boolean":
        sql_type, value = "BOOLEAN", sql("try_cast($value as boolean)", value=value)
    json = None
    match sql_type:
        case "VARCHAR":
            text = sql("nullif(trim($value), '')", value=value)
            json = _json_text(text)
        case "BOOLEAN":
            text = sql("($value)::varchar", value=value)
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" | "DATE":
            form = "%Y-%m-%d" if sql_type == "DATE" else "%Y-%m-%dT%H:%M:%SZ"
            utc = sql("timezone('UTC', $value)", value=value) if "ZONE" in sql_type else value
            text = sql(f"strftime($utc, '{form}')", utc=utc)
            json = sql("""('"' || $text || '"')""", text=text)
        case _:
            text = sql("backfill_built(to_json($value)::varchar)", value=value)
    return LeafSql.of(text, json, faults=found.faults)


def fraction_faults(value: Sql, leaf: Leaf) -> tuple[Fault, ...]:
    """The fault of a leaf that is an integer and whose result has a fraction."""
    if leaf.as_ is None or leaf.as_.kind != "integer":
        return ()
    condition = sql("($value <> trunc($value))", value=value)
    return (Fault(condition, MISMATCH_REASONS["integer"], leaf.sql or leaf.sum or ""),)


def _json_text(text: Sql) -> Sql:
    return sql("to_json($text)::varchar", text=text)


def _number(found: Computed, wanted: Type | None, *, in_value: bool) -> tuple[Sql, int]:
    """A number and its decimal places: money is rounded, another number stays as it is."""
    exact, scale = found.sql, found.scale
    if found.sql_type in ("FLOAT", "DOUBLE"):
        exact, scale = sql("try_cast($value as decimal(38,6))", value=exact), 6
    is_money = found.money or in_value if wanted is None else wanted.kind == "money"
    if is_money:
        currency = (wanted and wanted.currency) or found.currency
        if found.places is not None and currency is None:
            return round_to(exact, found.places), 6
        return round_amount(exact, currency), places(currency)
    if wanted is not None and wanted.kind == "integer":
        return sql("try_cast($value as decimal(38,0))", value=exact), 0
    return exact, scale
