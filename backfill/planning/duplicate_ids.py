"""Duplicate ids: events with the same key, of which Klaviyo records one.

Equal events of two orders are one event, since exports overlap: the second one is a repeat. If
their contents differ, the orders clash: the order that is first in the export keeps the id, and the
other order is a reject.
"""

import itertools
import operator
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from backfill.planning.judgement import ORDER_CODE, Orders, Rejected, Verdict
from backfill.planning.tables import PlanTables

HASH: Final = "hash(key)"

_RANK: Final = f"((({ORDER_CODE})::hugeint << 56) | (part::hugeint << 40) | n::hugeint)"
"""SQL for the rank of an event in the export: by file, row, part and n."""

_DIFFERING: Final = """
    select key from alike group by key having min(content) <> max(content)
    union select key from alike group by key, file, row having count(*) > 1
"""
"""The keys of events with different contents, or of two events of one order."""

_PLAIN_REPEATS: Final = f"""
    select part, n, {Verdict.REPEAT:d} from alike join
    (select key, min({_RANK}) as first from alike anti join contested using (key) group by key)
    using (key) where {_RANK} > first
"""
"""The repeats of keys that no clash can affect: all events of such a key are equal."""


def reject_duplicate_ids(tables: PlanTables, hash64: str = HASH) -> tuple[list[Rejected], int]:
    """Mark repeats and the events of orders that clash.

    Nearly all keys are those of one event, and a hash finds them in little memory. What is left
    is compared by the keys themselves, so a collision of hashes only costs time.

    Args:
        tables: the plan.
        hash64: SQL for a hash of ``key``.

    Returns:
        The orders that clash with an earlier one, those that clash with themselves, and the number
        of repeats.
    """
    none: Orders = np.zeros(0, np.int64)
    tables.run(
        f"create temp table common as select {hash64} as hashed from e "
        "group by all having count(*) > 1"
    )
    losers, own = _judge_alike(tables, hash64) if tables.count("common") else (none, none)
    for verdict in (Verdict.REPEAT, Verdict.REJECTED):
        for batch in tables.batches(f"select part, n from out where verdict = {verdict:d}"):
            tables.mark(batch, verdict)
    clashes = {"id_clash": losers, "id_clash_in_order": own}
    repeats = tables.count(f"out where verdict = {Verdict.REPEAT:d}")
    return [Rejected(reason, "$event_id", orders) for reason, orders in clashes.items()], repeats


def _judge_alike(tables: PlanTables, hash64: str) -> tuple[Orders, Orders]:
    """Write the repeats and the events of rejected orders to the table ``out``.

    Returns:
        The orders that clash with an earlier one, and those that clash with themselves.
    """
    tables.run(
        "create view alike as select key::uuid as key, content, file, row, part, n "
        f"from e semi join common on {hash64} = hashed"
    )
    tables.run(f"create temp table differing as {_DIFFERING}")
    tables.run(
        "create temp table risky as select distinct file, row from alike "
        "semi join differing using (key)"
    )
    tables.run(
        "create temp table contested as select key, row_number() over () - 1 as number from "
        "(select distinct key from alike semi join risky using (file, row))"
    )
    tables.run(f"insert into out {_PLAIN_REPEATS}")
    losers, own, repeats = _resolve_clashes(_contested(tables), tables.count("contested"))
    tables.connection.register("repeats", repeats)
    tables.run(f"insert into out select part, n, {Verdict.REPEAT:d} from repeats")
    rejected = pa.array(np.concatenate([losers, own]))
    tables.connection.register("rejected", pa.table({"order_code": rejected}))
    tables.run(
        f"insert into out select part, n, {Verdict.REJECTED:d} from "
        f"(select part, n, {ORDER_CODE} as order_code from e) semi join rejected using (order_code)"
    )
    return losers, own


def _contested(tables: PlanTables) -> Iterator[tuple[int, int, int, int, int]]:
    """The events of the keys in ``contested``, as ``_resolve_clashes`` takes them."""
    query = (
        f"select {ORDER_CODE} as order_code, number, content, part, n "
        "from alike join contested using (key) order by file, row, part, n"
    )
    for batch in tables.batches(query):
        contents = batch["content"].combine_chunks().cast(pa.binary(8))
        numbers = np.frombuffer(contents.buffers()[1], np.uint64)[contents.offset :]
        columns = [batch[name].to_pylist() for name in ("order_code", "number", "part", "n")]
        code, number, part, n = columns
        yield from zip(code, number, numbers.tolist(), part, n, strict=True)


def _resolve_clashes(
    rows: Iterable[tuple[int, int, int, int, int]], keys: int
) -> tuple[Orders, Orders, pa.Table]:
    """Find the orders that lose a clash, and the events that are repeats.

    An order loses if it has an id twice, or if an earlier order that did not lose has one of its
    ids with other content. So an order that loses takes no id from later ones.

    Args:
        rows: order code, the key's number, content, part and n of each event, in the order of the
            export. Numbers stand for keys and contents, since there may be millions.
        keys: the number of keys.

    Returns:
        The codes of the orders that lose to an earlier one, and of those that have an id twice; and
        a table of part and n of the repeats.
    """
    contents, taken = array("Q", bytes(8 * keys)), bytearray(keys)
    losers, twice = array("q"), array("q")
    parts, places = array("q"), array("q")
    for code, events in itertools.groupby(rows, key=operator.itemgetter(0)):
        own: dict[int, int] = {}
        repeated: list[tuple[int, int]] = []
        has_twice, loses = False, False
        for _, key, content, part, n in events:
            # Of two lines of one order with one id, Klaviyo would keep one.
            has_twice |= key in own
            own[key] = content
            if taken[key]:
                loses |= contents[key] != content
                repeated.append((part, n))
        if has_twice:
            twice.append(code)
        elif loses:
            losers.append(code)
        else:
            for key, content in own.items():
                taken[key], contents[key] = True, content
            parts.extend(part for part, _ in repeated)
            places.extend(n for _, n in repeated)
    repeats = {"part": np.array(parts, np.int32), "n": np.array(places, np.int64)}
    return np.array(losers, np.int64), np.array(twice, np.int64), pa.table(repeats)
