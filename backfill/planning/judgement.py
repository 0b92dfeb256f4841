"""The judgement of a whole plan: a verdict for each event, the orders it rejects, and its sums."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backfill.mapping.refund_sums import RefundSums

Profiles = Literal["newest", "none", "every"]

Orders = npt.NDArray[np.int64]
"""The codes of orders; ``order_code`` makes them."""

Code = TypeVar("Code", int, Orders)

_ROW_BITS: Final = 40

ORDER_CODE: Final = f"(file::bigint << {_ROW_BITS}) | row"
"""SQL for the code of an event's order."""


class Verdict(IntEnum):
    """What becomes of an event."""

    SEND = 0
    CARRY = 1
    """Sent with the person's attributes."""
    KNOWN = 2
    """Not sent: the ledger says that it was delivered."""
    REPEAT = 3
    """Not sent: an equal event of the plan is."""
    REJECTED = 4
    """Not sent: its order is a reject."""


Verdicts = list[npt.NDArray[np.uint8]]
"""The verdicts of events, one array for each file of the plan."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger knows: delivered events, and whose attributes were written when."""

    delivered: Iterable[pa.RecordBatch] = ()
    """Delivered events: the columns key and content."""
    carried: Iterable[pa.RecordBatch] = ()
    """Events that wrote a person's attributes: the columns person, time and key."""
    sums: RefundSums = field(default_factory=dict)
    """The sums of refunds for which events were planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCount:
    """The events of one metric that count: neither repeats nor events of rejected orders."""

    metric: str
    events: int
    first_s: int
    last_s: int
    value: str
    """The sum of all values, in its shortest exact form."""


@dataclass(frozen=True, slots=True)
class MonthCount:
    """The events of one metric in one month of UTC."""

    metric: str
    month: str
    """``2026-11``, for instance."""
    events: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Orders that are rejected for a reason that no single slice shows."""

    reason: str
    column: str
    orders: Orders
    """Their codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdicts and sums of a plan."""

    verdicts: Verdicts
    rejected: tuple[Rejected, ...]
    events: int
    """Events that count: neither repeats nor events of rejected orders."""
    already: int
    """Those of them that the ledger knows."""
    repeats: int
    """Events that equal another event of the plan."""
    changed_orders: int
    """Orders with an event that the ledger knows with other content."""
    people: int
    metrics: tuple[MetricCount, ...]
    months: tuple[MonthCount, ...]
    size: int
    """The bytes of all bodies that are to be sent."""
    digest: str
    """A hash of all keys and payloads, whatever the ledger knows."""


def order_code(file: Orders, row: Orders) -> Orders:
    """The codes of orders, each one number for the file and the row of the order's first row."""
    return file << _ROW_BITS | row


def order_of(code: Code) -> tuple[Code, Code]:
    """The file and the row of the first row of an order, or of each of several orders."""
    return code >> _ROW_BITS, code & ((1 << _ROW_BITS) - 1)
