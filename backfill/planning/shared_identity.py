"""Identities that stand for several people: a till's own e-mail address, a guest's id."""

from typing import Final

import duckdb
import pyarrow as pa

from backfill.event import IDENTIFIERS

_NAME: Final = "nullif(lower(concat_ws(' ', first_name, last_name)), '')"
_OTHERS: Final = (
    _NAME,
    "case when email is not null then phone_number end",
    "case when coalesce(email, phone_number) is not null then id end",
)
"""What tells people apart who have one identity, whichever tells more of them apart."""

_WHOSE: Final = " ".join(f"when {name} is not null then '${name}'" for name in IDENTIFIERS)


def shared_identities(events: str, most: int) -> str:
    """A query of the identities in ``events`` that have more than ``most`` people."""
    frequent = f"select person from {events} group by person having count(*) > {most}"
    counts = ", ".join(f"count(distinct {other})" for other in _OTHERS)
    return (
        f"select person from {events} semi join ({frequent}) using (person) "
        f"group by person having greatest({counts}) > {most}"
    )


def exclude_shared_identities(
    connection: duckdb.DuckDBPyConnection, order: str, most: int
) -> dict[str, pa.Table]:
    """The orders of identities with more than ``most`` people, by the field of the identity.

    The view ``e`` of all events is without those orders from then on, and ``aside`` has part and n
    of their events. ``order`` is SQL for an order's number.
    """
    connection.execute(f"create temp table strangers as {shared_identities('e', most)}")
    [(found,)] = connection.execute("select count(*) from strangers").fetchall()
    if not found:
        return {}
    connection.execute(
        f"create temp table aside as select part, n, {order} as order_code, "
        f"case {_WHOSE} end as whose from e semi join strangers using (person)"
    )
    connection.execute("alter view e rename to every_event")
    connection.execute("create view e as select * from every_event anti join aside using (part, n)")
    return {
        whose: connection.sql(
            f"select distinct order_code from aside where whose = '${name}'"
        ).to_arrow_table()
        for name in IDENTIFIERS
        for whose in [f"${name}"]
    }
