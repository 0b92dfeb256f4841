"""What is known of a whole plan: a verdict for each event, the orders that it rejects, its sums."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Profiles = Literal["newest", "none", "every"]

Orders = npt.NDArray[np.int64]
"""Orders, each as one number; see order_code."""

_ROW_BITS: Final = 40

ORDER_CODE: Final = f"(file::bigint << {_ROW_BITS}) | row"
"""SQL for an order's number."""


class Verdict(IntEnum):
    """What becomes of an event."""

    SEND = 0
    CARRY = 1
    """Sent with the person's attributes."""
    KNOWN = 2
    """The ledger says that it was delivered."""
    REPEAT = 3
    """The same event stands in the plan already."""
    REJECTED = 4


Verdicts = list[npt.NDArray[np.uint8]]
"""For each file of the plan, for each of its events, its verdict."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger knows: events that were delivered, and people's newest attributes."""

    delivered: Iterable[pa.RecordBatch] = ()
    """Columns key and content."""
    carried: Iterable[pa.RecordBatch] = ()
    """Columns person, time and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCount:
    """The events of one metric that are neither repeats nor of rejected orders."""

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
    orders: Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that was judged of a plan."""

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


def order_code(file: Orders, row: Orders) -> Orders:
    """Orders as one number each: their first row's file and row."""
    return file << _ROW_BITS | row


def order_of(code: int) -> tuple[int, int]:
    """File and row of an order's first row."""
    return code >> _ROW_BITS, code & ((1 << _ROW_BITS) - 1)
