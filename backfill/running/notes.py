"""What a run says beside its counts: notes of its summary, and why it waits."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from backfill.account.account import Account
from backfill.delivery.delivery import Delivery
from backfill.running.prepare import Prepared
from backfill.running.settings import Options


def plan_notes(prepared: Prepared, account: Account, options: Options) -> Iterator[str]:
    """What of schema, export, account and options a person should know."""
    yield from prepared.export.notes
    yield from prepared.bound.notes
    if prepared.schema.source.last_line is None:
        yield from prepared.export.cut_notes()
    if any("{line}" in str(event.event_id) for event in prepared.schema.events):
        yield (
            "an $event_id counts {line}: the rows of an order must keep their places in later "
            "exports, or its events get other ids; a column that names the line is safer"
        )
    if prepared.profiles == "every" and prepared.schema.maps_attributes:
        yield "profiles every: of a person's events, the one that arrives last stays"
    if account.unknown:
        yield (
            f"Klaviyo did not say whose key this is ({account.unknown}): what was "
            "delivered before is not looked at, as without a key; --account NAME says whose"
        )
    elif not account.key:
        yield "no key: what was delivered before is not looked at"
    if not options.backfill and account.api.takes_backfill:
        yield "--trigger-flows: old orders may start the account's live flows"


def delivery_notes(delivery: Delivery) -> Iterator[str]:
    """What of a delivery a person should know beside its counts."""
    if delivery.by_fallback:
        yield (
            f"{delivery.by_fallback:,} events went one by one, by Create Event: the bulk endpoint "
            "did not take them together"
        )
    if delivery.by_gateway:
        yield (
            f"refused by a gateway before Klaviyo, each alone: {delivery.by_gateway:,}; "
            "refusals.jsonl says which, and the next run tries them again"
        )
    if delivery.rate_limit is not None:
        left = delivery.rate_limit
        yield (
            f"Klaviyo's last answer leaves {left.remaining:,} of {left.limit:,} requests for the "
            f"next {left.reset_s:,} s"
        )


def wait_line(why: str, left_s: float, left: int | None = None) -> str:
    """Why a run waits for Klaviyo, and until when by the clock on the wall.

    Args:
        why: what Klaviyo answered last.
        left_s: the seconds until the next request.
        left: the events that are left; None where none are sent.
    """
    until = datetime.now().astimezone() + timedelta(seconds=left_s)
    rest = "" if left is None else f"; events left: {left:,}"
    return f"waiting for Klaviyo until {until:%H:%M:%S}: {why}{rest}"
