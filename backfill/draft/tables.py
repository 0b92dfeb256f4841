"""Files that are tables of one database, and the query that joins them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.money import amount_of
from backfill.draft.vocabulary import Role, normal, rank
from backfill.draft.yaml import sql_name, sql_text
from backfill.sources.export import Export

_ALIKE: Final = 0.5
"""Files that share this share of the smaller one's columns are parts of one table."""

_KNOWN: Final = 0.9
"""The share of one table's keys that the other table has to know."""

_LOOKED: Final = 50_000


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
        named = [sql_text(Path(file).name) for file in self.files]
        return named[0] if len(named) == 1 else f"read_csv([{', '.join(named)}])"


def told_apart(files: Sequence[str], headers: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The files by table, each table's in their order."""
    groups: list[tuple[set[str], list[str]]] = []
    for file, header in zip(files, headers, strict=True):
        own = set(header)
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
    table: Table
    mine: Column
    theirs: Column
    many: bool
    """Has the other table several rows for one of mine?"""


def joining_query(orders: Table, key: Column | None, others: Sequence[Table]) -> list[str]:
    """Lines of SQL that put the tables together, as far as names and cells show how."""
    joins = [join for table in others if (join := _join(orders, key, table)) is not None]
    if not joins:
        return []
    names = _aliases(len(joins))
    taken = {normal(column.name) for column in orders.columns}
    columns = ["o.*"]
    clauses = []
    for join, alias in zip(joins, names, strict=True):
        wanted = [
            column
            for column in join.table.columns
            if column is not join.theirs and column.filled and normal(column.name) not in taken
        ]
        source = join.table.source
        if join.many and not _has_lines(join.table):
            amounts = [column for column in wanted if _is_amount(column)]
            source = _summed(join, amounts)
            wanted = amounts
        taken |= {normal(column.name) for column in wanted}
        columns += [f"{alias}.{sql_name(column.name)}" for column in wanted]
        on = f"{alias}.{sql_name(join.theirs.name)} = o.{sql_name(join.mine.name)}"
        clauses.append(f"  left join {source} {alias} on {on}")
    return [f"select {', '.join(columns)}", f"  from {orders.source} o", *clauses]


def _aliases(count: int) -> list[str]:
    return [f"t{at + 1}" for at in range(count)]


def _summed(join: _Join, amounts: Sequence[Column]) -> str:
    key = sql_name(join.theirs.name)
    sums = "".join(
        f", sum({sql_name(column.name)}) as {sql_name(column.name)}" for column in amounts
    )
    return f"(select {key}{sums} from {join.table.source} group by {key})"


def _is_amount(column: Column) -> bool:
    return amount_of(column) is not None and rank("total", column.name) is not None


def _has_lines(table: Table) -> bool:
    roles: tuple[Role, ...] = ("sku", "product_id", "product", "quantity")
    return any(rank(role, column.name) == 0 for role in roles for column in table.columns)


def _join(orders: Table, key: Column | None, table: Table) -> _Join | None:
    for mine, theirs in _pairs(orders, key, table):
        ours, known = _values(orders, mine), _values(table, theirs)
        few, many = (known, ours) if mine is key else (ours, known)
        if few and len(few & many) >= len(few) * _KNOWN:
            return _Join(table, mine, theirs, many=len(known) < theirs.filled)
    return None


def _pairs(orders: Table, key: Column | None, table: Table) -> Iterator[tuple[Column, Column]]:
    """Columns that may mean one thing: of one name, or an ``id`` that a table's name tells."""
    for mine in orders.columns:
        for theirs in table.columns:
            name, other = normal(mine.name), normal(theirs.name)
            same = name == other != "id" and bool(re.search(r"\b(id|no|number|key|code)$", name))
            mine_is_id = mine is key and name in ("id", "key") and rank("order", theirs.name) == 0
            theirs_is_id = other in ("id", "key") and name.endswith((" id", " key"))
            if same or mine_is_id or (theirs_is_id and _of(name, table)):
                yield mine, theirs


def _of(name: str, table: Table) -> bool:
    """Is ``user_id`` the id of this table: by the table's name, or as both mean a person?"""
    word, words = name.rpartition(" ")[0], normal(Path(table.files[0]).name.split(".")[0])
    people = any(rank("first_name", c.name) == 0 or c.share("email") for c in table.columns)
    return word in words or (people and rank("customer", name) is not None)


def _values(table: Table, column: Column) -> set[str]:
    found: set[str] = set()
    for batch in table.export.batches([column.place]):
        found |= {cell.strip() for cell in batch.column(0).drop_null().to_pylist()}
        if len(found) > _LOOKED:
            break
    return found
