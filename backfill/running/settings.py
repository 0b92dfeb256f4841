"""What a person can ask of a run, what the run reports while it works, and what comes of it."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias

from backfill.account.visibility import DELAY_S
from backfill.delivery.delivery import Delivery
from backfill.errors import BackfillError, StoppedByUserError, UsageError
from backfill.planning.judgement import Profiles
from backfill.planning.plan import Plan
from backfill.report.summary import Summary
from backfill.transport.pace import Quota, Window
from backfill.wire.apis import Method

ALL: Final = Quota()


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """How many rejects a run may have: a number of orders, or a percentage of them."""

    orders: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``5`` or ``2%``. Raises UsageError."""
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", text.strip())
        if found is None or (not found[2] and "." in found[1]):
            raise UsageError(f'--max-rejects "{text}" is neither a number of orders nor N%')
        return cls(percent=float(found[1])) if found[2] else cls(orders=int(found[1]))

    def is_exceeded(self, rejected: int, orders: int) -> bool:
        if self.orders is not None:
            return rejected > self.orders
        return self.percent is not None and rejected * 100 > self.percent * orders

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.orders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person can ask of a run, beside schema and export."""

    profiles: Profiles | None = None
    """None takes the schema's ``profiles``."""
    timezone: str | None = None
    """The zone of the shop's clock. None takes the schema's ``source.timezone``."""
    limit: int | None = None
    """The most events to send. None sends all."""
    until: str | None = None
    """A date or a time; later events are left out."""
    max_rejects: RejectLimit | None = None
    """None lets any number of rejects pass."""
    expect: str | None = None
    """The digest of the only plan to send. None sends any plan."""
    new_ids: bool = False
    """Send although the rule of ``$event_id`` differs from that of delivered events."""
    equal_rows: bool = False
    """Send although many orders have rows that are equal in every column."""
    method: Method = "post"
    lint: bool = False
    """Inspect all cells and events, and note what looks wrong."""
    keep_plan: bool = False
    """Keep the plan's files until a person removes them."""
    hold_plan: bool = False
    """Keep them until ``RunResult.release_plan`` is called, or this process ends."""
    concurrency: int = 16
    windows: tuple[Window, ...] | None = None
    """The rate limits. None takes those that the API documents."""
    quota: Quota = ALL
    """The share of the rate limits that the run may use."""
    verify: bool | None = None
    """Ask the account, after the run, for what the run delivered. None asks a live account by a
    private key."""
    visibility_delay_s: float = DELAY_S
    """For how long Klaviyo may hide an event that it acknowledged, when a run is verified."""
    backfill: bool = True
    """Mark events as old, so that they start no flows. The Track API knows no such mark."""


Confirm: TypeAlias = Callable[[Summary, Callable[[], Sequence[str]]], bool]
"""Asks a person about a plan. The function that it gets asks the account about the plan's metrics
and returns lines to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a run calls while it works."""

    on_rows: Callable[[int], None] = lambda _: None
    """Gets the number of rows that were read since the last call."""
    on_plan: Callable[[Summary], None] = lambda _: None
    on_progress: Callable[[Delivery], None] = lambda _: None
    confirm: Confirm = lambda _, __: True
    tell: Callable[[str], None] = lambda _: None
    """Gets a line for people that cannot wait for the summary."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Once it is set, the run starts nothing new and ends."""

    def report_rows(self, rows: int) -> None:
        """Raises StoppedByUserError if ``stop`` is set."""
        if self.stop.is_set():
            raise StoppedByUserError(
                "stopped while planning; nothing was sent; run the same command"
            )
        self.on_rows(rows)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What comes of a run that has a summary."""

    summary: Summary
    plan: Plan
    error: BackfillError | None = None
    """Why the run ended before all was delivered."""
    release_plan: Callable[[], None] = lambda: None
    """With ``hold_plan``: call this when nobody reads the plan's files any more."""
