"""Duplicate ids: events with the same key, of which Klaviyo records one.

Equal events of two orders are one event, since exports overlap: the second one is a repeat. If
their contents differ, the orders clash: the order that is first in the export keeps the id, and the
other order is a reject.
"""

import itertools
import operator
from array import array
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from backfill.planning.judgement import ORDER_CODE, Orders, Rejected, Verdict
from backfill.planning.tables import PlanTables

_PLAIN_REPEATS: Final = f"""
    select part, n, {Verdict.REPEAT:d} from e semi join
    (select key from twice anti join contested using (key)) using (key)
    qualify row_number() over (partition by key order by file, row, part, n) > 1
"""
"""The repeats of keys that no clash can affect: all events of such a key are equal."""


def reject_duplicate_ids(tables: PlanTables) -> tuple[list[Rejected], int]:
    """Mark repeats and the events of orders that clash.

    Returns:
        The orders that clash with an earlier one, those that clash with themselves, and the number
        of repeats.
    """
    tables.run(
        "create temp table twice as select key, count(distinct content) > 1 "
        f"or count(distinct {ORDER_CODE}) < count(*) as differ from e "
        "group by key having count(*) > 1"
    )
    tables.run(
        "create temp table risky as select distinct file, row from e semi join "
        "(from twice where differ) using (key)"
    )
    tables.run(
        "create temp table contested as select distinct key from e semi join risky "
        "using (file, row) semi join twice using (key)"
    )
    tables.run(f"insert into out {_PLAIN_REPEATS}")
    losers, own, repeats = _resolve_clashes(
        tables.stream(
            f"select {ORDER_CODE} as order_code, key, content, part, n from e "
            "semi join contested using (key) order by file, row, part, n"
        )
    )
    tables.connection.register("repeats", repeats)
    tables.run(f"insert into out select part, n, {Verdict.REPEAT:d} from repeats")
    rejected = pa.array(np.concatenate([losers, own]))
    tables.connection.register("rejected", pa.table({"order_code": rejected}))
    tables.run(
        f"insert into out select part, n, {Verdict.REJECTED:d} from "
        f"(select part, n, {ORDER_CODE} as order_code from e) semi join rejected using (order_code)"
    )
    counted = tables.count(f"out where verdict = {Verdict.REPEAT:d}")
    for verdict in (Verdict.REPEAT, Verdict.REJECTED):
        for batch in tables.batches(f"select part, n from out where verdict = {verdict:d}"):
            tables.mark(batch, verdict)
    clashes = {"id_clash": losers, "id_clash_in_order": own}
    return [Rejected(reason, "$event_id", orders) for reason, orders in clashes.items()], counted


def _resolve_clashes(
    rows: Iterable[tuple[int, bytes, bytes, int, int]],
) -> tuple[Orders, Orders, pa.Table]:
    """Find the orders that lose a clash, and the events that are repeats.

    An order loses if it has an id twice, or if an earlier order that did not lose has one of its
    ids with other content. So an order that loses takes no id from later ones.

    Args:
        rows: order code, key, content, part and n of each event, in the order of the export.

    Returns:
        The codes of the orders that lose to an earlier one, and of those that have an id twice; and
        a table of part and n of the repeats.
    """
    contents: dict[bytes, bytes] = {}
    losers, twice = array("q"), array("q")
    parts, places = array("B"), array("q")
    for code, events in itertools.groupby(rows, key=operator.itemgetter(0)):
        own: dict[bytes, bytes] = {}
        repeated: list[tuple[int, int]] = []
        has_twice, loses = False, False
        for _, key, content, part, n in events:
            # Of two lines of one order with one id, Klaviyo would keep one.
            has_twice |= key in own
            loses |= contents.get(key, content) != content
            own[key] = content
            if key in contents:
                repeated.append((part, n))
        if has_twice:
            twice.append(code)
        elif loses:
            losers.append(code)
        else:
            contents |= own
            parts.extend(part for part, _ in repeated)
            places.extend(n for _, n in repeated)
    repeats = {"part": np.array(parts, np.uint8), "n": np.array(places, np.int64)}
    return np.array(losers, np.int64), np.array(twice, np.int64), pa.table(repeats)
