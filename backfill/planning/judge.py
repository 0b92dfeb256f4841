"""What no slice can see: ids that clash, a person's newest event, what the ledger knows already.

Works on the plan's own Parquet files with DuckDB, in bounded memory: its configuration gives it a
little and a folder to spill to. No SQL of a schema comes here.
"""

import itertools
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backfill.engine.duck import connect_spilling, streamed
from backfill.event import IDENTIFIERS, PROFILE_FIELDS, hash_sql
from backfill.planning.shared_identity import exclude_shared_identities

Profiles = Literal["newest", "none", "every"]

Verdicts = list[npt.NDArray[np.uint8]]
"""For each file of the plan, for each of its events, what becomes of it."""

Codes = npt.NDArray[np.int64]
"""Orders, each as one number; see order_code."""

_ROW_BITS: Final = 40
_ORDER: Final = f"(file::bigint << {_ROW_BITS}) | row"


class Verdict(IntEnum):
    SEND = 0
    CARRY = 1
    """Sent with the person's attributes."""
    KNOWN = 2
    """The ledger says that it was delivered."""
    REPEAT = 3
    """The same event stands in the plan already."""
    REJECTED = 4


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger tells: events that were delivered, and people's newest attributes."""

    delivered: Iterable[pa.RecordBatch] = ()
    """key, content."""
    carried: Iterable[pa.RecordBatch] = ()
    """person, time, key."""


@dataclass(frozen=True, slots=True)
class MetricCount:
    metric: str
    events: int
    first_s: int
    last_s: int
    value: str
    """The sum of all values, in shortest exact form."""


@dataclass(frozen=True, slots=True)
class MonthCount:
    """Events of one metric in one month of UTC, written ``2026-11``."""

    metric: str
    month: str
    events: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Orders that must not be sent, for what no slice can see."""

    reason: str
    column: str
    orders: Codes


@dataclass(frozen=True, slots=True)
class Judgement:
    verdicts: Verdicts
    rejected: tuple[Rejected, ...]
    events: int
    already: int
    repeats: int
    changed_orders: int
    """Orders of which the ledger knows an event with other content."""
    people: int
    metrics: tuple[MetricCount, ...]
    months: tuple[MonthCount, ...]
    size: int
    """Bytes of all bodies that are still to be sent."""
    digest: str
    """Of all keys and payloads of the plan, whatever the ledger knows."""


_PLAIN_REPEATS: Final = f"""
    select part, n, {Verdict.REPEAT:d} from e semi join
    (select key from twice anti join contested using (key)) using (key)
    qualify row_number() over (partition by key order by file, row, part, n) > 1
"""
"""Events whose namesakes are all equal, and of orders that no clash can touch."""


def judge(
    files: Sequence[Path],
    counts: Sequence[int],
    spill: Path,
    profiles: Profiles,
    known: Known,
    *,
    shared_limit: int | None = None,
) -> Judgement:
    """``files`` hold ``event.EVENTS``; ``counts`` says how many each.

    An identity of more than ``shared_limit`` people stands for nobody; its orders are rejects.
    """
    with connect_spilling(spill) as connection:
        return _Judging(connection, files, counts).judgement(profiles, known, shared_limit)


class _Judging:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, files: Sequence[Path], counts: Sequence[int]
    ) -> None:
        self.connection = connection
        self.verdicts = [np.full(count, Verdict.SEND, np.uint8) for count in counts]
        parts = " union all by name ".join(
            f"select *, {at}::utinyint as part, file_row_number as n "
            f"from read_parquet('{_quoted(path)}', file_row_number = true)"
            for at, path in enumerate(files)
        )
        connection.execute(f"create view e as {parts}")
        connection.execute("create temp table out (part utinyint, n bigint, verdict utinyint)")

    def judgement(self, profiles: Profiles, known: Known, shared_limit: int | None) -> Judgement:
        shared = self._shared(shared_limit) if shared_limit is not None else []
        clashes, repeats = self._clashes()
        changed = self._known(known.delivered)
        if profiles != "none":
            self._carry(profiles, known.carried)
        metrics = tuple(self._metrics())
        already = sum(int((part == Verdict.KNOWN).sum()) for part in self.verdicts)
        return Judgement(
            self.verdicts,
            tuple(
                rejected
                for rejected in (*shared, Rejected("id_clash", "$event_id", clashes))
                if len(rejected.orders)
            ),
            sum(metric.events for metric in metrics),
            already,
            repeats,
            changed,
            self._people(),
            metrics,
            tuple(self._months()),
            self._size(),
            self._digest(profiles),
        )

    # each fact -----------------------------------------------------------------------------------

    def _shared(self, most: int) -> list[Rejected]:
        """Takes out the orders of those who stand for too many people."""
        found = exclude_shared_identities(self.connection, _ORDER, most)
        if found:
            for batch in self._batches("select part, n from aside"):
                self._mark(batch, Verdict.REJECTED)
        return [
            Rejected("shared_identity", whose, orders["order_code"].to_numpy())
            for whose, orders in found.items()
        ]

    def _clashes(self) -> tuple[Codes, int]:
        """Marks the events of orders that clash, and events that stand in the plan twice."""
        run = self.connection.execute
        run(
            "create temp table twice as select key, count(distinct content) > 1 "
            f"or count(distinct {_ORDER}) < count(*) as differ from e "
            "group by key having count(*) > 1"
        )
        run(
            "create temp table risky as select distinct file, row from e semi join "
            "(from twice where differ) using (key)"
        )
        run(
            "create temp table contested as select distinct key from e semi join risky "
            "using (file, row) semi join twice using (key)"
        )
        run(f"insert into out {_PLAIN_REPEATS}")
        rows = self._stream(
            f"select {_ORDER} as order_code, key, content, part, n from e "
            "semi join contested using (key) order by file, row, part, n"
        )
        rejected, repeats = _first_come(rows)
        self.connection.register("repeats", repeats)
        run(f"insert into out select part, n, {Verdict.REPEAT:d} from repeats")
        self.connection.register("rejected", pa.table({"order_code": pa.array(rejected)}))
        run(
            f"insert into out select part, n, {Verdict.REJECTED:d} from "
            f"(select part, n, {_ORDER} as order_code from e) semi join rejected using (order_code)"
        )
        counted = self._rows(f"select count(*) from out where verdict = {Verdict.REPEAT:d}")
        for verdict in (Verdict.REPEAT, Verdict.REJECTED):
            for batch in self._batches(f"select part, n from out where verdict = {verdict:d}"):
                self._mark(batch, verdict)
        return rejected, int(counted[0][0])

    def _known(self, delivered: Iterable[pa.RecordBatch]) -> int:
        schema = pa.schema([("key", pa.binary(16)), ("content", pa.binary(8))])
        self._take(
            "ledger",
            schema,
            delivered,
            "create temp table delivered as select key, list(distinct content) as contents "
            "from ledger group by key",
        )
        if not self._count("delivered"):
            return 0
        query = (
            f"select part, n, {_ORDER} as order_code, "
            f"not list_contains(contents, e.content) as changed from {self._in} e "
            "join delivered d using (key)"
        )
        changed = [np.zeros(0, np.int64)]
        for batch in self._batches(query):
            self._mark(batch, Verdict.KNOWN)
            changed.append(batch.filter(batch["changed"])["order_code"].to_numpy())
        return len(np.unique(np.concatenate(changed)))

    def _carry(self, profiles: Profiles, carried: Iterable[pa.RecordBatch]) -> None:
        if profiles == "every":
            for part in self.verdicts:
                part[part == Verdict.SEND] = Verdict.CARRY
            return
        schema = pa.schema(
            [("person", pa.binary(16)), ("time", pa.int64()), ("key", pa.binary(16))]
        )
        self._take(
            "carried",
            schema,
            carried,
            "create temp table latest as select person, max(row(time, key)) as top from carried "
            "group by person",
        )
        self._link_people()
        newest = (
            "select person, max(row(time, key)) as top, "
            "max(row(time, key, part, n)) as place from "
            f"{self._in} anti join (select alias as person from aliases) using (person) "
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
        for batch in self._batches(query):
            self._mark(batch, Verdict.CARRY, only=Verdict.SEND)

    def _link_people(self) -> None:
        """A table of who is known under which other identifier too.

        An order that has just a phone number may be an old one of a person whose e-mail address a
        newer order has. Klaviyo finds one profile for both, so events under the other identifier
        carry nothing.
        """
        found = []
        for at, weaker in enumerate(IDENTIFIERS[1:], start=1):
            alias, stronger = hash_sql(f"'{weaker}'", weaker), ", ".join(IDENTIFIERS[:at])
            found.append(
                f"select person, {alias} as alias from {self._in} "
                f"where {weaker} is not null and coalesce({stronger}) is not null"
            )
        self.connection.execute(
            f"create temp table aliases as select distinct * from ({' union all '.join(found)})"
        )

    def _take(
        self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], statement: str
    ) -> None:
        """Run a statement over what a ledger gives."""
        with streamed(self.connection, name, schema, batches):
            self.connection.execute(statement)

    def _mark(self, places: pa.Table, verdict: Verdict, only: Verdict | None = None) -> None:
        part = places["part"].to_numpy()
        n = places["n"].to_numpy()
        for at, verdicts in enumerate(self.verdicts):
            here = n[part == at]
            if only is not None:
                here = here[verdicts[here] == only]
            verdicts[here] = verdict

    # sums ----------------------------------------------------------------------------------------

    def _metrics(self) -> Iterator[MetricCount]:
        query = (
            "select metric, count(*), min(time), max(time), "
            "coalesce(sum(value), 0)::decimal(38,6)::varchar "
            f"from {self._in} group by metric order by metric"
        )
        for metric, events, first, last, value in self._rows(query):
            yield MetricCount(metric, events, first, last, _short(value))

    def _months(self) -> Iterator[MonthCount]:
        query = (
            "select metric, strftime(make_timestamp(month * 1000000), '%Y-%m'), events from "
            "(select metric, epoch(date_trunc('month', make_timestamp(time * 1000000)))::bigint "
            f"as month, count(*) as events from {self._in} group by all) order by all"
        )
        for metric, month, events in self._rows(query):
            yield MonthCount(metric, month, events)

    def _people(self) -> int:
        [(people,)] = self._rows(f"select count(distinct person) from {self._in}")
        return int(people)

    def _size(self) -> int:
        size = 0
        for batch in self._batches("select part, n, size, attributes_size from e"):
            part, n = batch["part"].to_numpy(), batch["n"].to_numpy()
            sizes, extra = batch["size"].to_numpy(), batch["attributes_size"].to_numpy()
            for at, verdicts in enumerate(self.verdicts):
                here = part == at
                found = verdicts[n[here]]
                size += int(sizes[here][found <= Verdict.CARRY].sum())
                size += int(extra[here][found == Verdict.CARRY].sum())
        return size

    def _digest(self, profiles: Profiles) -> str:
        """Independent of the order of events: each one's hash, all combined by exclusive or."""
        attributes = "''"
        if profiles != "none":
            fields = ", chr(31), ".join((*IDENTIFIERS, *PROFILE_FIELDS, "profile"))
            attributes = f"concat({fields})"
        query = (
            f"select coalesce(bit_xor(md5_number(concat(hex(key), hex(content), {attributes}))), "
            f"0)::varchar from {self._in}"
        )
        [(combined,)] = self._rows(query)
        whole = f"{profiles} {combined}"
        [(digest,)] = self._rows(f"select sha256('{whole}')")
        return str(digest)[:16]

    @property
    def _in(self) -> str:
        """The events that stand: neither rejected nor a repeat."""
        return "(select * from e anti join out using (part, n))" if self._count("out") else "e"

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def _batches(self, query: str) -> Iterator[pa.Table]:
        """The result, a piece at a time; no other query may begin before the last one."""
        for batch in self.connection.sql(query).to_arrow_reader():
            yield pa.Table.from_batches([batch])

    def _stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        for batch in self._batches(query):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def _count(self, table: str) -> int:
        [(rows,)] = self._rows(f"select count(*) from {table}")
        return int(rows)


def order_code(file: Codes, row: Codes) -> Codes:
    """Orders as one number each: their first row's file and row."""
    return file << _ROW_BITS | row


def order_of(code: int) -> tuple[int, int]:
    return code >> _ROW_BITS, code & ((1 << _ROW_BITS) - 1)


def _first_come(rows: Iterable[tuple[int, bytes, bytes, int, int]]) -> tuple[Codes, pa.Table]:
    """Which orders lose a clash, and which events are repeats; rows in the order of the export.

    An order keeps its ids when no order before it that keeps its own has one of them with other
    content, and none stands twice in itself. So an order that loses takes no id from those behind.
    """
    held: dict[bytes, bytes] = {}
    rejected = array("q")
    parts, places = array("B"), array("q")
    for code, events in itertools.groupby(rows, key=operator.itemgetter(0)):
        own: dict[bytes, bytes] = {}
        again: list[tuple[int, int]] = []
        clash = False
        for _, key, content, part, n in events:
            # two lines of one order under one id: Klaviyo would keep one of them
            clash |= key in own or held.get(key, content) != content
            own[key] = content
            if key in held:
                again.append((part, n))
        if clash:
            rejected.append(code)
        else:
            held |= own
            parts.extend(part for part, _ in again)
            places.extend(n for _, n in again)
    repeats = {"part": np.array(parts, np.uint8), "n": np.array(places, np.int64)}
    return np.array(rejected, np.int64), pa.table(repeats)


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
