"""Kills of a bulk delivery and of `verify --resend`: nothing is lost or comes in two forms."""

from pathlib import Path
from random import Random
from typing import Final

from backfill.sandbox import Faults, Sandbox
from tests.faults import model
from tests.faults.arm import Arm
from tests.faults.starts import Ended, Starter
from tests.faults.state import assert_private, assert_swept, held
from tests.faults.steps import ANSWERED, POST
from tests.faults.told import assert_told

KINDS: Final = ("kill bulk", "kill resend")

A_REQUEST: Final = 20
"""Events in one request, so that a small export makes many."""
CONCURRENCY: Final = 4
_IN_FLIGHT: Final = 500 + 20_000 // 100 + CONCURRENCY * A_REQUEST
"""What may be acknowledged and not recorded at a kill: a group, and what the connections hold."""
_MOST_STARTS: Final = 6
_STRIKING: Final = (
    "backfill.account.delivered_ids:Ids.missing_keys",
    "backfill.ledger.ledger:Ledger.strike",
    "backfill.ledger.ledger:Ledger._strike_from",
    "backfill.ledger.ledger:Ledger._strike_from",
    "backfill.ledger.ledger:Ledger.end_run",
)


class BulkPlaying:
    """One scenario in one folder."""

    def __init__(self, seed: int, kind: str, folder: Path, start: Starter) -> None:
        self._random = Random(f"bulk {seed}")
        self._kind = kind
        self._folder = folder
        self._start = start
        self._state = folder / "state"
        self.steps: list[str] = []
        self.struck = True
        self.recorded = 0
        rule: model.Rule = "none"
        orders = model.make_orders(self._random, self._random.randint(200, 500), 40, "flat", 0)
        self._wanted = {event.key: event for event in model.events_of(orders, "flat")}
        (folder / "s.yaml").write_text(model.schema("flat", rule))
        model.write_export(folder / "e0.csv", orders)
        answer = self._random.choice((500, 502, "reset", "drop", "half", "early", "surplus"))
        faults = [
            {
                "rate": self._random.choice((0.05, 0.3)),
                "answer": answer,
                **({"seconds": 0} if answer == "surplus" else {}),
            },
            {"at": [self._random.randint(1, 8)], "answer": 429, "retry_after": 0},
        ]
        self.sandbox = Sandbox(faults=Faults.of({"seed": seed, "faults": faults}))

    def play(self) -> None:
        with self.sandbox:
            if self._kind == "kill bulk":
                for _ in range(self._random.randint(1, 3)):
                    self._kill_bulk()
            if self._kind == "kill resend":
                self._deliver_in_parts()
            self._deliver()
            if self._kind == "kill resend":
                self._resend()
                self._deliver()
            self._assert_complete()
        assert_private(self._state)
        assert_swept(self._state)
        odd = [state for _, state in held(self._state).runs if state == "running"]
        assert not odd, "a run that never ended"

    def _command(self, command: str, *more: str) -> list[str]:
        where = ["--url", self.sandbox.url, "--state", "state", "--api", "bulk", "--json"]
        return [command, "s.yaml", "e0.csv", *where, *more]

    def _run(self) -> list[str]:
        return self._command("run", "--concurrency", str(CONCURRENCY), "--rate", "none")

    def _kill_bulk(self) -> None:
        point = self._random.choice((POST, ANSWERED, "sqlite:insert", *["sqlite:commit"] * 3))
        when = self._random.choice(("before", "after"))
        left = len(self._wanted) - len(held(self._state).keys)
        nth = 1 if point.startswith("sqlite") else self._random.randint(1, left // A_REQUEST or 1)
        arm = Arm(point, when, nth, "kill", a_request=A_REQUEST)
        # Less may be left to send than was there before, so that it comes through.
        self._check(self._start(self._run(), arm).end(), (-9, 0))
        self._assert_ledger()

    def _deliver(self) -> None:
        for _ in range(_MOST_STARTS):
            ended = self._start(self._run(), Arm(a_request=A_REQUEST)).end()
            self._check(ended, (0, 3))
            self._assert_ledger()
            if ended.code == 0:
                return
        raise AssertionError(f"{_MOST_STARTS} starts, and not at an end")

    def _deliver_in_parts(self) -> None:
        """So the ledger has several rows, of which a kill may find some struck."""
        for _ in range(self._random.randint(2, 3)):
            limit = str(self._random.randint(20, 60))
            ended = self._start([*self._run(), "--limit", limit], Arm(a_request=A_REQUEST)).end()
            self._check(ended, (3,))

    def _resend(self) -> None:
        """Klaviyo loses events; the command that strikes them is killed, and started again."""
        keys = sorted(self._wanted)
        lost = frozenset(self._random.sample(keys, self._random.randint(1, len(keys) // 4)))
        # The sandbox loses all events of an id, whatever their metric.
        ids = {self._wanted[key].event_id for key in lost}
        lost = frozenset(key for key in keys if self._wanted[key].event_id in ids)
        assert self.sandbox.lose(ids) == len(lost)
        before = held(self._state).keys
        verify = self._command("verify", "--resend", "--visibility-delay", "0s")
        point = self._random.choice(_STRIKING)
        when = self._random.choice(("before", "after"))
        nth = self._random.randint(1, 3) if point.endswith("_strike_from") else 1
        self._check(self._start(verify, Arm(point, when, nth, "kill")).end(), (-9, 1))
        now = held(self._state).keys
        assert now in (before, before - lost), f"{len(before - now)} of {len(lost)} are struck"
        self._check(self._start(verify).end(), (1,) if now == before else (0, 1))
        now = held(self._state).keys
        assert now == before - lost, f"{len(before - now)} of {len(lost)} are struck"

    def _check(self, ended: Ended, codes: tuple[int, ...]) -> None:
        self.steps.append(f"{self._kind} -> {ended.code}")
        self.struck &= not (-9 in codes and ended.code != -9)
        assert_told(ended, self._kind, codes, {"500", "502", "reset"})
        assert_private(self._state)

    def _recorded(self) -> dict[bytes, str]:
        return {
            model.key(event["metric"], event["event_id"]): event["profile"]["email"]
            for event in self.sandbox.events()
        }

    def _assert_ledger(self) -> None:
        """It has nothing that Klaviyo has not, and lacks no more than was in flight."""
        now, recorded = held(self._state).keys, self._recorded().keys()
        assert now <= recorded, f"{len(now - recorded)} are in the ledger, and not delivered"
        assert len(recorded - now) <= _IN_FLIGHT, f"{len(recorded - now)} are not in the ledger"

    def _assert_complete(self) -> None:
        recorded = self._recorded()
        wanted = {key: event.email for key, event in self._wanted.items()}
        assert recorded == wanted, f"{len(recorded)} recorded, {len(wanted)} expected"
        stats = self.sandbox.stats()
        self.recorded = stats["recorded"]
        assert self.recorded == len(wanted)
        assert stats["merged_different"] == 0, f"{stats['merged_different']} came in two forms"
        assert held(self._state).keys == wanted.keys()
