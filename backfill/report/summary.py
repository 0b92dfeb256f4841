"""What a run did, in figures that add up."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["planned", "finished", "stopped", "failed", "gated"]


@dataclass(frozen=True, slots=True)
class Metric:
    metric: str
    events: int
    first: str
    last: str
    value: str


@dataclass(frozen=True, slots=True)
class Month:
    metric: str
    month: str
    """Of UTC, ``2026-11``."""
    events: int


@dataclass(frozen=True, slots=True)
class Summary:
    """``events`` = ``already`` + ``delivered`` + ``refused`` + ``left``, or it cannot be made.

    rows, orders and events are those of the export and its plan; ``rejected`` and ``reasons``
    count orders; ``bytes`` and ``requests`` are those of request bodies, planned or sent.
    """

    run: str
    state: State
    schema: str
    api: str
    rows: int
    rows_left_out: int
    orders: int
    rejected: int
    reasons: Mapping[str, int]
    events: int
    repeats: int
    already: int
    delivered: int
    refused: int
    left: int
    phones_dropped: int
    """Of the delivered: sent without the phone number, which Klaviyo would not take."""
    changed_orders: int
    people: int
    metrics: tuple[Metric, ...]
    months: tuple[Month, ...]
    requests: int
    bytes: int
    seconds: float
    digest: str
    clock_skipped: int
    clock_doubled: int
    disagreements: Mapping[str, int]
    left_out_cells: Mapping[str, Mapping[str, int]]
    """Orders by column and reason, where the schema leaves out what does not fit."""
    notes: tuple[str, ...]
    next: str = ""
    """The command that goes on, where something is left."""

    def __post_init__(self) -> None:
        if self.events != self.already + self.delivered + self.refused + self.left:
            raise AssertionError(f"events do not add up: {self}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def iso(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
