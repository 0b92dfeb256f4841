"""Files that are tables of one database, and the query that joins them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.money import amount_of
from backfill.draft.vocabulary import Role, normal, rank
from backfill.draft.yaml import sql_name
from backfill.mapping.query import quote
from backfill.sources.export import Export

_ALIKE: Final = 0.5
"""Files that share this share of the smaller one's columns are parts of one table."""

_KNOWN: Final = 0.9
"""The share of one table's keys that the other table has to know."""

_MAX_VALUES: Final = 50_000
"""The most values of a column that are compared."""


@dataclass(frozen=True, slots=True)
class Table:
    """Files of one header, and the facts about their columns."""

    files: tuple[str, ...]
    export: Export
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        return Path(self.files[0]).name

    @property
    def source(self) -> str:
        named = [quote(Path(file).name).text for file in self.files]
        return named[0] if len(named) == 1 else f"read_csv([{', '.join(named)}])"


def group_by_table(export: Export) -> list[tuple[str, ...]]:
    """The files by table, each table's in their order."""
    groups: list[tuple[set[str], list[str]]] = []
    for file in export.files:
        own = {
            f"{name} {place}" if export.columns.count(name) > 1 else name
            for place, name in enumerate(export.columns)
            if file not in export.lacking.get(place, ())
        }
        for columns, members in groups:
            if len(own & columns) >= _ALIKE * min(len(own), len(columns)):
                columns.update(own)
                members.append(file)
                break
        else:
            groups.append((own, [file]))
    return [tuple(members) for _, members in groups]


@dataclass(frozen=True, slots=True)
class _Join:
    mine: Column
    theirs: Column
    is_many: bool
    """Whether the other table has several rows for one of mine."""


def joining_query(orders: Table, key: Column | None, others: Sequence[Table]) -> list[str]:
    """Lines of SQL that join the tables, as far as names and cells show how.

    Of a table with several rows for an order, amounts are summed, unless its rows are the order's
    lines. ``key`` identifies orders.
    """
    taken = {normal(column.name) for column in orders.columns}
    columns, clauses = ["o.*"], list[str]()
    for table in others:
        join = _join(orders, key, table)
        if join is None:
            continue
        alias, source, their_name = f"t{len(clauses) + 1}", table.source, sql_name(join.theirs.name)
        wanted = [
            column
            for column in table.columns
            if column is not join.theirs and column.filled and normal(column.name) not in taken
        ]
        if join.is_many and not _has_lines(table):
            wanted = [column for column in wanted if _is_amount(column)]
            names = [sql_name(column.name) for column in wanted]
            sums = "".join(f", sum({name}) as {name}" for name in names)
            source = f"(select {their_name}{sums} from {source} group by {their_name})"
        taken |= {normal(column.name) for column in wanted}
        columns += [f"{alias}.{sql_name(column.name)}" for column in wanted]
        on = f"{alias}.{their_name} = o.{sql_name(join.mine.name)}"
        clauses.append(f"  left join {source} {alias} on {on}")
    if not clauses:
        return []
    return [f"select {', '.join(columns)}", f"  from {orders.source} o", *clauses]


def _is_amount(column: Column) -> bool:
    return amount_of(column) is not None and rank("total", column.name) is not None


def _has_lines(table: Table) -> bool:
    roles: tuple[Role, ...] = ("sku", "product_id", "product", "quantity")
    return any(rank(role, column.name) == 0 for role in roles for column in table.columns)


def _join(orders: Table, key: Column | None, table: Table) -> _Join | None:
    """The first pair of columns where the values of one table are also in the other."""
    for mine, theirs in _pairs(orders, key, table):
        ours, known = _values(orders, mine), _values(table, theirs)
        few, many = (known, ours) if mine is key else (ours, known)
        if few and len(few & many) >= len(few) * _KNOWN:
            return _Join(mine, theirs, len(known) < theirs.filled)
    return None


def _pairs(orders: Table, key: Column | None, table: Table) -> Iterator[tuple[Column, Column]]:
    """Columns that may mean the same: of one name, or an ``id`` that the table's name explains."""
    for mine in orders.columns:
        for theirs in table.columns:
            name, other = normal(mine.name), normal(theirs.name)
            same = name == other != "id" and bool(re.search(r"\b(id|no|number|key|code)$", name))
            mine_is_id = mine is key and name in ("id", "key") and rank("order", theirs.name) == 0
            theirs_is_id = other in ("id", "key") and name.endswith((" id", " key"))
            if same or mine_is_id or (theirs_is_id and _is_id_of(name, table)):
                yield mine, theirs


def _is_id_of(name: str, table: Table) -> bool:
    """Whether ``user_id`` is the id of this table: by its name, or as both mean a person."""
    word, words = name.rpartition(" ")[0], normal(Path(table.files[0]).name.split(".")[0])
    people = any(rank("first_name", c.name) == 0 or c.share("email") for c in table.columns)
    return word in words or (people and rank("customer", name) is not None)


def _values(table: Table, column: Column) -> set[str]:
    found: set[str] = set()
    for batch in table.export.batches([column.place]):
        found |= {cell.strip() for cell in batch.column(0).drop_null().to_pylist()}
        if len(found) > _MAX_VALUES:
            break
    return found
