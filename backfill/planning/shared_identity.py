"""Identities that many people share, such as the e-mail address of a till, or the id of guests."""

from typing import Final

from backfill.event import IDENTIFIERS
from backfill.planning.judgement import ORDER_CODE, Rejected
from backfill.planning.tables import PlanTables

_NAME: Final = "nullif(lower(concat_ws(' ', first_name, last_name)), '')"
_OTHERS: Final = (
    _NAME,
    "case when email is not null then phone_number end",
    "case when coalesce(email, phone_number) is not null then id end",
)
"""What tells apart people who share an identity; the one with the most values counts."""

_WHOSE: Final = " ".join(f"when {name} is not null then '${name}'" for name in IDENTIFIERS)


def shared_identities(events: str, most: int) -> str:
    """A query of the identities that have more than ``most`` people; ``events`` is a relation."""
    frequent = f"select person from {events} group by person having count(*) > {most}"
    counts = ", ".join(f"count(distinct {other})" for other in _OTHERS)
    return (
        f"select person from {events} semi join ({frequent}) using (person) "
        f"group by person having greatest({counts}) > {most}"
    )


def reject_shared_identities(tables: PlanTables, most: int | None) -> list[Rejected]:
    """Reject the orders of identities with more than ``most`` people; None rejects none.

    Afterwards the view ``e`` of all events is without those orders.
    """
    if most is None:
        return []
    tables.run(f"create temp table shared as {shared_identities('e', most)}")
    if not tables.count("shared"):
        return []
    tables.run(
        f"create temp table excluded as select part, n, {ORDER_CODE} as order_code, "
        f"case {_WHOSE} end as whose from e semi join shared using (person)"
    )
    tables.reject("select part, n from excluded")
    query = "select distinct order_code from excluded where whose = '${}'"
    return [
        Rejected(
            "shared_identity",
            f"${name}",
            tables.connection.sql(query.format(name)).to_arrow_table()["order_code"].to_numpy(),
        )
        for name in IDENTIFIERS
    ]
