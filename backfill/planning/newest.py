"""Each person's newest event: the one that carries the person's attributes.

Klaviyo merges an event's attributes into the profile whatever the event's time, so only the newest
event of a person may carry them, and only where no earlier run sent a newer one.
"""

from collections.abc import Iterable

import pyarrow as pa

from backfill.engine.duck import streamed
from backfill.event import IDENTIFIERS, hash_sql
from backfill.planning.judgement import Profiles, Verdict
from backfill.planning.tables import PlanTables

_CARRIED = pa.schema([("person", pa.binary(16)), ("time", pa.int64()), ("key", pa.binary(16))])


def mark_carriers(
    tables: PlanTables, profiles: Profiles, carried: Iterable[pa.RecordBatch]
) -> None:
    """Mark the events that are sent with attributes.

    Args:
        tables: the plan.
        profiles: ``newest``, ``every`` or ``none``.
        carried: person, time and key of events that wrote attributes, as the ledger knows them.
    """
    if profiles == "none":
        return
    if profiles == "every":
        for part in tables.verdicts:
            part[part == Verdict.SEND] = Verdict.CARRY
        return
    _link_people(tables)
    people = f"select person from {tables.counted} union all select alias::blob from aliases"
    rows = tables.asked_for(carried, "person", people)
    with streamed(tables.connection, "carried", _CARRIED, rows):
        tables.run(
            "create temp table latest as select person, max(row(time, key)) as top from carried "
            "group by person"
        )
    newest = (
        "select person, max(row(time, key)) as top, max(row(time, key, part, n)) as place from "
        f"{tables.counted} anti join (select alias as person from aliases) using (person) "
        "group by person"
    )
    known = (
        "select person, max(top) as top from (select person, top from latest union all "
        "select a.person, l.top from aliases a join latest l on a.alias = l.person) "
        "group by person"
    )
    query = (
        f"select place[3] as part, place[4] as n from ({newest}) p left join ({known}) l "
        "using (person) where l.top is null or p.top > l.top"
    )
    for batch in tables.batches(query):
        tables.mark(batch, Verdict.CARRY, only=Verdict.SEND)


def _link_people(tables: PlanTables) -> None:
    """Make a table of people who have another identifier too, their alias.

    An order with just a phone number may be an old order of a person whose e-mail address is on a
    newer one. Klaviyo finds one profile for both, so events under the alias carry no attributes.
    """
    found = []
    for at, weaker in enumerate(IDENTIFIERS[1:], start=1):
        alias, stronger = hash_sql(f"'{weaker}'", weaker), ", ".join(IDENTIFIERS[:at])
        found.append(
            f"select person, {alias} as alias from {tables.counted} "
            f"where {weaker} is not null and coalesce({stronger}) is not null"
        )
    tables.run(f"create temp table aliases as select distinct * from ({' union all '.join(found)})")
