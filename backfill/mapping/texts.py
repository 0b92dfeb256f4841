"""What a leaf makes of a cell's text before it is read: a part of a name, or a map's value."""

from typing import Final

from backfill.mapping.faults import Fault
from backfill.mapping.query import Sql, case, join, quote, sql
from backfill.schema.model import Leaf

NO_NAME: Final = "regexp_matches($cell, '[_@]|^[^ ,]*[0-9][^ ,]*$')"
"""An e-mail address or an id, which is one word with digits: no part of it is a name."""


def part_of_name(cell: Sql, take: str | None) -> Sql:
    """The first or last name in a whole name: "Ada Lovelace" or "Lovelace, Ada"."""
    match take:
        case "first_name":
            plain, comma = "split_part($cell, ' ', 1)", "trim(split_part($cell, ',', 2))"
        case "last_name":
            rest = "trim(substr($cell, instr($cell, ' ')))"
            plain = f"case when contains($cell, ' ') then {rest} end"
            comma = "trim(split_part($cell, ',', 1))"
        case _:
            return cell
    either = f"case when contains($cell, ',') then {comma} else {plain} end"
    return sql(f"case when not {NO_NAME} then nullif({either}, '') end", cell=cell)


def apply_map(cell: Sql, leaf: Leaf, column: str) -> tuple[Sql, tuple[Fault, ...]]:
    """A cell with the leaf's ``map`` applied, and the fault of a value that is not in it."""
    if leaf.map is None:
        return cell, ()
    arms = [
        (sql("$cell = $old", cell=cell, old=quote(old)), quote(new))
        for old, new in leaf.map.items()
    ]
    faults: tuple[Fault, ...] = ()
    if leaf.otherwise is None:
        known = join(", ", map(quote, leaf.map))
        unknown = sql("($cell not in ($known))", cell=cell, known=known)
        faults = (Fault(unknown, "not_in_map", column),)
    else:
        arms.append((sql("$cell is not null", cell=cell), quote(leaf.otherwise)))
    return sql("nullif($mapped, '')", mapped=case(arms)), faults
