"""The result of SQL in a schema as a leaf: by its SQL type, or by ``as``."""

from dataclasses import dataclass

from backfill.mapping.cells import UNFIT, decimal_text, rounded
from backfill.mapping.currencies import places
from backfill.schema.expression import is_numeric
from backfill.schema.model import Leaf
from backfill.schema.types import Type
from backfill.schema.uses import Level


@dataclass(frozen=True, slots=True)
class Fault:
    """A condition that makes an order a reject."""

    condition: str
    reason: str
    column: str
    level: Level


@dataclass(frozen=True, slots=True)
class LeafSql:
    json: str
    text: str
    value: str
    """As SQL sees it: a number for money, a timestamp for a time."""
    faults: tuple[Fault, ...] = ()
    raw: str = ""
    """As the cell's own type holds it: Unix seconds for a time."""


def unwhole(value: str, leaf: Leaf, level: Level) -> tuple[Fault, ...]:
    """An integer has no fraction."""
    if leaf.as_ is None or leaf.as_.kind != "integer":
        return ()
    text = leaf.sql or leaf.sum or ""
    return (Fault(f"({value} <> trunc({value}))", UNFIT["integer"], text, level),)


@dataclass(frozen=True, slots=True)
class Computed:
    """SQL, its type, and the types of the amounts of money in it."""

    sql: str
    kind: str
    money: tuple[Type, ...]
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


def result(value: str, found: Computed, wanted: Type | None, *, in_value: bool) -> LeafSql:
    """The result of SQL as JSON, by its SQL type or by ``as``."""
    kind, faults = found.kind, found.faults
    if is_numeric(kind) and (wanted is None or wanted.kind not in ("text", "boolean")):
        exact, scale = _number_of(value, found, wanted, in_value=in_value)
        text = decimal_text(exact, scale)
        return LeafSql(text, text, exact, faults, exact)
    if wanted is not None and wanted.kind == "text":
        text = f"nullif(trim(({value})::varchar), '')"
        if is_numeric(kind):
            text = decimal_text(*_number_of(value, found, None, in_value=False))
        return LeafSql(f"to_json({text})::varchar", text, text, faults, text)
    if wanted is not None and wanted.kind == "boolean":
        value = f"try_cast({value} as boolean)"
        kind = "BOOLEAN"
    match kind:
        case "BOOLEAN":
            text = f"({value})::varchar"
            return LeafSql(text, text, value, faults, value)
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" | "DATE":
            form = "%Y-%m-%d" if kind == "DATE" else "%Y-%m-%dT%H:%M:%SZ"
            utc = f"timezone('UTC', {value})" if "ZONE" in kind else value
            text = f"strftime({utc}, '{form}')"
            return LeafSql(f"('\"' || {text} || '\"')", text, value, faults, value)
        case "VARCHAR":
            text = f"nullif(trim({value}), '')"
            return LeafSql(f"to_json({text})::varchar", text, text, faults, text)
        case _:
            text = f"backfill_built(to_json({value})::varchar)"
            return LeafSql(text, text, value, faults, value)


def _number_of(
    value: str, found: Computed, wanted: Type | None, *, in_value: bool
) -> tuple[str, int]:
    """A number of SQL and its places: money is rounded, a number stays as it is."""
    exact, scale = value, found.scale
    if found.kind in ("FLOAT", "DOUBLE"):
        exact, scale = f"try_cast({value} as decimal(38,6))", 6
    money = found.money or in_value if wanted is None else wanted.kind == "money"
    if money:
        currency = (wanted and wanted.currency) or found.currency
        return rounded(exact, currency), places(currency)
    if wanted is not None and wanted.kind == "integer":
        return f"try_cast({exact} as decimal(38,0))", 0
    return exact, scale
