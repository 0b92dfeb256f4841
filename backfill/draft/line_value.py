"""What a line of an order may be worth: quantity times price, less a discount, or a total."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import MOST, Column
from backfill.draft.money import amount_of, amount_sql
from backfill.draft.sample import OrderSample
from backfill.draft.vocabulary import Role, mentions, rank
from backfill.draft.yaml import sql_name
from backfill.schema.document import YamlValue

_CENT: Final = 0.011


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAmount:
    """One way to read the value of a line."""

    columns: tuple[Column, ...]
    sql: str
    """In a schema."""
    cells: str
    """Over the order sample; empty where a column is a member of cells."""
    words: str
    evidence: str
    is_sure: bool
    where: str = ""
    """The condition of a schema on the lines that count; empty where all do."""

    @property
    def summed(self) -> dict[str, YamlValue]:
        """The leaf of an order's value."""
        return {"sum": self.sql, **({"where": self.where} if self.where else {})}

    @property
    def has_member(self) -> bool:
        return not self.cells


def line_amounts(
    sample: OrderSample, of_line: Mapping[Role, Column], lines: Sequence[Column]
) -> list[LineAmount]:
    """What the columns of a line may make its value, the likeliest first; none without amounts.

    ``lines`` are all columns of a line, its discount among them.
    """
    quantity, price = of_line.get("quantity"), _amount(of_line.get("price"))
    total = _amount(of_line.get("row_total")) or _amount(of_line.get("total"))
    discount = discount_in(lines, (quantity, price, total))
    product = (quantity, price) if quantity is not None and price is not None else ()
    if not product:
        alone = total or price
        if alone is None:
            return []
        rivals = [column for column in lines if column is not alone and _is_line_amount(column)]
        if not rivals:
            return [_alone(alone, of_line)]
        why = "several columns are amounts of a line"
        return [_total(column, why, sure=False) for column in (alone, *rivals)]
    if total is None:
        return _products(sample, of_line, product, discount)
    net = _product(product, discount)
    plain = _product(product)
    if not (total.is_member or plain.has_member):
        for some in (plain, net) if discount is not None else (plain,):
            equal, rows = _equal(sample, some.cells, amount_sql(total))
            why = f'"{total.name}" = {some.words} in {equal:,} of {rows:,} lines'
            if rows and equal >= rows * MOST:
                return [_changed(some, why, sure=True), _total(total, why, sure=True)]
        why = (
            f'"{total.name}" is not {plain.words}: the two are equal in {equal:,} of {rows:,} lines'
        )
        return [_total(total, why, sure=False), _changed(plain, why, sure=False)]
    return [_changed(plain, f"{plain.words} by name", sure=True)]


def _amount(column: Column | None) -> Column | None:
    return column if column is not None and amount_of(column) is not None else None


def _is_line_amount(column: Column) -> bool:
    named = rank("row_total", column.label) is not None or rank("price", column.label) is not None
    return named and amount_of(column) is not None and not column.is_member


def discount_in(columns: Sequence[Column], used: Sequence[Column | None]) -> Column | None:
    """A discount that takes something off.

    Args:
        columns: of a line, or of an order.
        used: those that have another role.
    """
    found = (
        column
        for column in columns
        if column not in used
        and not column.is_member
        and rank("discount", column.label) is not None
        and amount_of(column) is not None
        and set(column.values) != {"0"}
        and (column.count("fraction") or column.distinct > 1 or column.values)
    )
    return next(found, None)


def _alone(column: Column, of_line: Mapping[Role, Column]) -> LineAmount:
    missing = (
        ""
        if "quantity" in of_line or column is not of_line.get("price")
        else (", and no column holds a quantity")
    )
    return _total(column, f'"{column.name}" by name{missing}', sure=True)


def _total(column: Column, why: str, *, sure: bool) -> LineAmount:
    return LineAmount(
        columns=(column,),
        sql=sql_name(column.name),
        cells="" if column.is_member else amount_sql(column),
        words=f'"{column.name}"',
        evidence=why,
        is_sure=sure,
    )


def _product(columns: tuple[Column, ...], discount: Column | None = None) -> LineAmount:
    member = any(column.is_member for column in columns)
    less = "" if discount is None else " - {}"
    parts = [*columns, *([discount] if discount is not None else [])]
    form = " * ".join("{}" for _ in columns) + less
    names = [sql_name(column.name) for column in parts]
    cells = [amount_sql(column) if not column.is_member else "" for column in parts]
    if discount is not None:
        names[-1], cells[-1] = f"coalesce({names[-1]}, 0)", f"coalesce({cells[-1]}, 0)"
    return LineAmount(
        columns=tuple(parts),
        sql=form.format(*names),
        cells="" if member else form.format(*cells),
        words=form.format(*(f'"{column.name}"' for column in parts)),
        evidence="",
        is_sure=False,
    )


def _changed(some: LineAmount, why: str, *, sure: bool) -> LineAmount:
    return LineAmount(
        columns=some.columns,
        sql=some.sql,
        cells=some.cells,
        words=some.words,
        evidence=why,
        is_sure=sure,
    )


def _products(
    sample: OrderSample,
    of_line: Mapping[Role, Column],
    columns: tuple[Column, ...],
    discount: Column | None,
) -> list[LineAmount]:
    """Quantity times price, where no column holds a line's total."""
    plain, price = _product(columns), columns[1]
    if plain.has_member:
        return [_changed(plain, f"{plain.words} by name", sure=True)]
    if discount is not None:
        why = f'no column shows how "{discount.name}" changes the value of a line'
        less = _changed(_product(columns, discount), why, sure=False)
        return [less, _changed(plain, why, sure=False)]
    unit, line, several = _price_per(sample, of_line, columns)
    if several and unit >= several * MOST:
        why = f'"{price.name}" is the same for {unit:,} of {several:,} products in any quantity'
        return [_changed(plain, f"{plain.words}: {why}", sure=True)]
    if several and line >= several * MOST:
        why = f'"{price.name}" grows with the quantity for {line:,} of {several:,} products'
        return [_total(price, why, sure=True)]
    if mentions("unit", price.label) or not _several_pieces(sample, columns[0]):
        return [_changed(plain, f"{plain.words} by name", sure=True)]
    why = f'nothing shows whether "{price.name}" is for one piece or for the line'
    return [_changed(plain, why, sure=False), _total(price, why, sure=False)]


def _equal(sample: OrderSample, cells: str, total: str) -> tuple[int, int]:
    """In how many lines two amounts are equal, and the number of lines that have both."""
    [(rows, equal)] = sample.query(
        f"select count(*), count(*) filter (abs({cells} - {total}) < {_CENT}) from sample "
        f"where {cells} is not null and {total} is not null"
    )
    return equal, rows


def _price_per(
    sample: OrderSample, of_line: Mapping[Role, Column], columns: tuple[Column, ...]
) -> tuple[int, int, int]:
    """Of products in several quantities: how many have one price, how many one price for a piece.

    Returns:
        both numbers, and the number of such products.
    """
    names = (of_line.get("sku"), of_line.get("product_id"), of_line.get("product"))
    product = next((c for c in names if c is not None and not c.is_member), None)
    if product is None:
        return 0, 0, 0
    quantity, price = map(amount_sql, columns)
    [(unit, line, several)] = sample.query(
        "select count(*) filter (high - low < 0.011), count(*) filter (most - least < 0.011), "
        f"count(*) from (select max({price}) as high, min({price}) as low, "
        f"max({price} / {quantity}) as most, min({price} / {quantity}) as least from sample "
        f"where {quantity} > 0 and {price} > 0 group by {sample.cell(product)} "
        f"having count(distinct {quantity}) > 1)"
    )
    return unit, line, several


def _several_pieces(sample: OrderSample, quantity: Column) -> bool:
    [(several,)] = sample.query(f"select count(*) filter ({amount_sql(quantity)} > 1) from sample")
    return bool(several)
