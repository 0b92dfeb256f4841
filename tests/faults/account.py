"""What is in the sandbox, beside what must be there."""

import json
from collections.abc import Sequence
from typing import Any

from backfill.sandbox import Sandbox
from tests.faults.model import Event, Order, Rule, key, profiles
from tests.faults.starts import Ended

_TAKEN_BUT_LOST = ("half", "drop", "slow", "surplus")
_ABORTED = 100
"""An exit code over this one is a library's that ended the process."""


class Account:
    def __init__(
        self,
        sandbox: Sandbox,
        orders: Sequence[Sequence[Order]],
        events: Sequence[Sequence[Event]],
        refused: frozenset[bytes],
        rule: Rule,
    ) -> None:
        self.sandbox = sandbox
        self.orders = orders
        self.events = events
        self.refused = refused
        self.poisoned: frozenset[bytes] = frozenset()
        """Those of ``refused`` that a gateway keeps out."""
        self._rule = rule
        self._before: dict[str, Any] = sandbox.stats()
        self._held: frozenset[bytes] = frozenset()
        self._in_flight = 0
        self._may_arrive = 0

    def begin(self, held: frozenset[bytes]) -> None:
        """A start is to come; the ledger holds so much."""
        self._before = self.sandbox.stats()
        self._held = held
        self._in_flight = len(self._recorded() - held)

    def has_losses(self, part: int) -> bool:
        rejects = any(order.flaw for order in self.orders[part])
        return rejects or any(event.key in self.refused for event in self.events[part])

    def _recorded(self) -> frozenset[bytes]:
        return frozenset(key(e["metric"], e["event_id"]) for e in self.sandbox.events())

    def _since(self, *names: str) -> int:
        faults, before = self.sandbox.stats()["faults"], self._before["faults"]
        return sum(faults.get(name, 0) - before.get(name, 0) for name in names)

    # after each start ----------------------------------------------------------------------------

    def assert_merged(self, ended: Ended) -> None:
        """What came twice was in flight when a run ended, or its answer was lost."""
        stats = self.sandbox.stats()
        merged = stats["merged"] - self._before["merged"]
        most = self._in_flight + self._since(*_TAKEN_BUT_LOST) + self._may_arrive
        summary = ended.summary if ended.code in (0, 1, 3) else None
        if summary is not None and self._since("slow"):
            # The client's time may be over for others too, on a machine that has much to do.
            most += summary["requests"] - summary["delivered"] - summary["refused"]
        assert merged <= most, f"{merged} merged, at most {most} were in flight or lost"
        assert stats["merged_different"] == 0, f"{stats['merged_different']} came in two forms"
        # What a killed process has written to its sockets may be read after we have looked.
        self._may_arrive = 64 if ended.code < 0 or ended.code > _ABORTED else 0

    def assert_adds_up(
        self, summary: dict[str, Any], part: int, now: frozenset[bytes], code: int, *, trusted: bool
    ) -> None:
        """The summary against the model and the ledger before and after the start."""
        orders, events = self.orders[part], self.events[part]
        keys = frozenset(event.key for event in events)
        rejected = sum(bool(order.flaw) for order in orders)
        wanted = {
            "orders": len(orders),
            "rejected": rejected,
            "rows": sum(len(order.lines) for order in orders),
            "events": len(keys),
        }
        wanted |= {"already": len(keys & self._held)} if trusted else {}
        told = {name: summary[name] for name in wanted}
        assert told == wanted, f"the summary says {told}, it should say {wanted}"
        assert sum(summary["reasons"].values()) == rejected
        fate = {name: summary[name] for name in ("already", "delivered", "refused", "left")}
        assert sum(fate.values()) == summary["events"], f"events do not add up: {fate}"
        requests = self.sandbox.stats()["requests"] - self._before["requests"]
        assert requests <= summary["requests"], f"{requests} came, {summary['requests']} told"
        if code in (0, 1):
            assert fate["left"] == 0, f"ended, and left some: {fate}"
            refused = len(keys & self.refused)
            assert fate["refused"] == refused, f"{refused} are refused, told were {fate}"
            assert keys - self.refused <= now, "delivered, and not in the ledger"
        if trusted and summary["state"] == "finished":
            gained = len(now & keys) - len(self._held & keys)
            assert gained == summary["delivered"], f"{gained} new in the ledger, told were {fate}"

    # in the end ----------------------------------------------------------------------------------

    def assert_refusals(self, lines: Sequence[str]) -> None:
        found = [json.loads(line) for line in lines]
        assert {bytes.fromhex(one["key"]) for one in found} <= self.refused
        for one in found:
            is_poisoned = bytes.fromhex(one["key"]) in self.poisoned
            wanted = "gateway_" if is_poisoned else "answered-no"
            assert one["code"].startswith(wanted), one

    def assert_complete(self) -> None:
        """Planned but for refusals is recorded, as it was written; so are the people."""
        planned = {e.key: e for part in self.events for e in part if e.key not in self.refused}
        found = self.sandbox.events()
        assert len(found) == len(planned), f"{len(found)} recorded, {len(planned)} expected"
        for event in found:
            wanted = planned[key(event["metric"], event["event_id"])]
            told = (event["time"], event["profile"]["email"], event["properties"])
            assert told == (wanted.time_s, wanted.email, wanted.properties), (told, wanted)
        self._assert_people()

    def _assert_people(self) -> None:
        looks = profiles(self.events, self._rule, self.refused)
        people = {person["email"]: person["attributes"] for person in self.sandbox.profiles()}
        assert people.keys() == looks.keys()
        wrong = [email for email, said in people.items() if said not in looks[email]]
        assert not wrong, f"{len(wrong)} profiles of {len(people)} differ from the model's"
