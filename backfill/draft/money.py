"""Amounts: how those of a column are written."""

from dataclasses import dataclass
from typing import Literal

from backfill.draft.facts import MOST, Column
from backfill.draft.sample import OrderSample
from backfill.draft.yaml import QUESTION
from backfill.mapping.cells import read_inline
from backfill.schema.document import YamlValue
from backfill.schema.types import Type


@dataclass(frozen=True, slots=True)
class Amount:
    """How the amounts of a column are written."""

    decimal: Literal[".", ",", "?"]
    """The mark before the fraction; ``QUESTION`` where the cells do not prove which one it is."""
    evidence: str

    @property
    def spec(self) -> YamlValue:
        """The type in YAML."""
        return "money" if self.decimal == "." else {"money": {"decimal": self.decimal}}


def amount_of(column: Column) -> Amount | None:
    """None where the column holds no amounts."""
    dot, comma = column.count("money"), column.count("money_comma")
    best = max(dot, comma)
    if best < column.filled * MOST or not column.filled:
        return None
    unclear = column.count("money_unclear")
    if dot == comma and unclear and unclear + column.count("integer") >= best:
        return Amount(
            QUESTION,
            f"OPEN: in {unclear:,} cells three digits follow the only separator, so it separates "
            'thousands or decimals: write the decimal separator, "." or ","',
        )
    evidence = f"{best:,} of {column.filled:,} cells are amounts"
    if comma > dot:
        evidence += " with a decimal comma"
    if best < column.filled:
        evidence += "; orders with other cells become rejects"
    return Amount("," if comma > dot else ".", evidence)


def amount_sql(column: Column) -> str:
    """SQL for a cell of the order sample as a number."""
    amount = amount_of(column)
    comma = amount is not None and amount.decimal == ","
    kind = Type("money", decimal="," if comma else ".")
    return f"({read_inline(OrderSample.cell(column), kind)})"
