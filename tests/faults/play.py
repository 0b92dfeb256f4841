"""Plays a scenario against real processes, and compares with what the model says."""

import json
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from backfill.sandbox import Faults, Sandbox
from tests.faults import bulk, disk, model
from tests.faults.account import Account
from tests.faults.arm import Arm
from tests.faults.scenario import Scenario, scenario
from tests.faults.starts import Ended, Server, Start, Starter
from tests.faults.state import LEDGER, assert_private, assert_swept, damage, held
from tests.faults.steps import CREATE, PROCESS, Step
from tests.faults.told import assert_told
from tests.waiting import HungError, wait_until

MOST_STARTS = 8


class FailedError(AssertionError):
    """A scenario that did not end as it must; says how to play it again."""


@dataclass(slots=True)
class Played:
    kinds: tuple[str, ...]
    starts: int = 0
    requests: int = 0
    recorded: int = 0
    merged: int = 0
    seconds: float = 0.0
    struck: bool = True
    """False where the fault had no occasion: the run had ended before."""
    steps: list[str] = field(default_factory=list)


def play(seed: int, server: Server) -> Played:
    """Raises FailedError; the folder of a scenario that failed is kept."""
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
    what = scenario(seed)
    if what.kinds[0] in bulk.KINDS:
        return _play_bulk(seed, what.kinds[0], folder, server)
    playing: _Playing | None = None
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            playing = _Playing(what, folder, server, stack)
            playing.play()
    except Exception as error:
        steps = "; ".join(playing.played.steps) if playing else ""
        raise FailedError(
            f"seed {seed} ({', '.join(what.kinds)}): {error!s:.1500}\n  so far: {steps}\n  {what}\n"
            f"  kept: {folder}\n  again: python -m tests.faults --seed {seed}"
        ) from error
    playing.played.seconds = time.monotonic() - began
    shutil.rmtree(folder)
    return playing.played


def _play_bulk(seed: int, kind: str, folder: Path, server: Server) -> Played:
    began = time.monotonic()
    start = Starter(folder, server, fresh=False)
    playing = bulk.BulkPlaying(seed, kind, folder, start)
    try:
        playing.play()
    except Exception as error:
        raise FailedError(
            f"seed {seed} ({kind}): {error!s:.1500}\n  so far: {'; '.join(playing.steps)}\n"
            f"  kept: {folder}\n  again: python -m tests.faults --seed {seed}"
        ) from error
    finally:
        start.kill_all()
    shutil.rmtree(folder)
    return Played(
        (kind,),
        starts=start.count,
        recorded=playing.recorded,
        seconds=time.monotonic() - began,
        struck=playing.struck,
        steps=playing.steps,
    )


def _poison(
    random: Random, events: Sequence[Sequence[model.Event]]
) -> tuple[str, frozenset[bytes]]:
    """Choose an event; give its id as it stands in JSON, and the events that have this text."""
    every = [event for part in events for event in part]
    text = json.dumps(random.choice(every).event_id)
    found = {e.key for e in every if text in json.dumps([e.event_id, e.properties])}
    return text, frozenset(found)


class _Playing:
    def __init__(self, what: Scenario, folder: Path, server: Server, stack: ExitStack) -> None:
        self.what = what
        self.folder = folder
        self.played = Played(what.kinds)
        self._stack = stack
        self._start = Starter(folder, server, fresh=what.fresh)
        stack.callback(self._start.kill_all)
        self._state = folder / "state"
        self._more: list[str] = []
        self._mounts = any(step.disk == "tmpfs" for step in what.steps) and disk.can_mount()
        if self._mounts:
            room = next((s.room for s in what.steps if s.kind == "disk full planning"), disk.ROOMY)
            stack.enter_context(disk.mounted(folder / "disk", room))
            self._state = folder / "disk" / "state"
        orders = self._write_inputs()
        events = [model.events_of(part, what.shape) for part in orders]
        limit_s = model.FIRST_S + int(model.DAYS * 0.95) * 86_400
        rules = list(what.server)
        poisoned: frozenset[bytes] = frozenset()
        if what.poison:
            text, poisoned = _poison(Random(f"poison {what.seed}"), events)
            rules.insert(0, {"contains": text, "answer": what.poison})
        faults = Faults.of({"seed": what.seed, "faults": rules})
        clock = (lambda: float(limit_s - model.A_YEAR_S)) if what.refuses else time.time
        sandbox = stack.enter_context(Sandbox(faults=faults, clock=clock))
        refused = frozenset(
            event.key
            for part in events
            for event in part
            if what.refuses and event.time_s > limit_s
        )
        self.account = Account(sandbox, orders, events, refused | poisoned, what.rule)
        self.account.poisoned = poisoned

    def _write_inputs(self) -> list[list[model.Order]]:
        what = self.what
        random = Random(f"orders {what.seed}")
        orders = model.make_orders(random, what.orders, what.people, what.shape, what.flaws)
        parts = [orders]
        if what.parts == 2:
            by_time = sorted(orders, key=lambda order: (order.time_s, order.number))
            middle = len(orders) // 2
            parts = [by_time[:middle], by_time[middle:]]
            if what.newer_first:
                parts.reverse()
        (self.folder / "s.yaml").write_text(model.schema(what.shape, what.rule))
        for place, part in enumerate(parts):
            model.write_export(self.folder / f"e{place}.csv", part)
        return parts

    def play(self) -> None:
        last = self.what.parts - 1
        first_only = any(step.arm.point == CREATE for step in self.what.steps)
        faulty = 0 if first_only or self.what.seed % 2 else last
        for part in range(self.what.parts):
            for step in self.what.steps if part == faulty else ():
                self._step(step, part)
            self._finish(part)
        self.account.assert_complete()
        assert_private(self._state)
        assert_swept(self._state)
        self._assert_runs()
        played, stats = self.played, self.account.sandbox.stats()
        played.starts = self._start.count
        played.requests, played.recorded = stats["requests"], stats["recorded"]
        played.merged = stats["merged"]

    # starts --------------------------------------------------------------------------------------

    def _arguments(self, part: int, *more: str, rate: str = "none") -> list[str]:
        state = str(self._state.relative_to(self.folder))
        url = self.account.sandbox.url
        settings = ["--concurrency", str(self.what.concurrency), "--rate", rate]
        where = ["--url", url, "--state", state]
        return ["run", "s.yaml", f"e{part}.csv", *where, *settings, "--json", *self._more, *more]

    def _step(self, step: Step, part: int) -> None:
        arm = replace(step.arm, read_s=self.what.read_s)
        if step.disk == "tmpfs" and not self._mounts:
            arm = replace(arm, quota=step.room + 40_000)
        more = []
        if step.limit is not None:
            more = ["--limit", str(len(self.account.events[part]) * step.limit // 100)]
        rate = "20/s" if step.second else "none"
        self.account.begin(held(self._state).keys)
        start = self._start(self._arguments(part, *more, rate=rate), arm)
        if step.second:
            self._second(start, part)
            start.signal(signal.SIGKILL if step.codes[0] < 0 else signal.SIGTERM)
        if step.kind == "disk full delivery" and self._mounts:
            self._fill_when_sending(start, step)
        ended = start.end()
        self._check(ended, step.kind, step.codes, part)
        self.played.struck &= ended.code == step.codes[0] or step.kind.startswith(("disk", "full"))
        if step.disk and self._mounts:
            disk.make_room(self.folder / "disk")
        if step.damage is not None:
            self._damage(step, part)

    def _fill_when_sending(self, start: Start, step: Step) -> None:
        aim = self.account.sandbox.stats()["received"] + step.arm.nth
        wait_until(
            lambda: start.poll() is not None or self.account.sandbox.stats()["received"] >= aim,
            "events to arrive",
        )
        disk.fill(self.folder / "disk", step.room)

    def _second(self, first: Start, part: int) -> None:
        before = self.account.sandbox.stats()["received"]
        wait_until(
            lambda: first.poll() is not None or self.account.sandbox.stats()["received"] > before,
            "the first of two to send",
        )
        ended = self._start(self._arguments(part)).end()
        assert first.poll() is None, "the first of two had ended before the second"
        assert ended.code == 3, f"two at once: the second ended with {ended.code}: {ended.err}"
        told = f"process {first.pid} is at work in this state folder"
        assert told in ended.err, f"{told!r} is not in {ended.err!r}"

    def _damage(self, step: Step, part: int) -> None:
        what = step.damage
        assert what is not None
        copy = self.folder / "copy"
        shutil.copy(self._state / LEDGER, copy)
        self.played.steps.append(damage(self._state, what))
        self.account.begin(held(self._state).keys)
        requests = self.account.sandbox.stats()["requests"]
        codes = (0, 1, 2, 3, 4) if what.file == LEDGER else (0, 1)
        ended = self._start(self._arguments(part), self._plain).end()
        self._check(ended, step.kind, codes, part, trusted=False)
        if ended.code == 4:
            # A byte of an id rule's text: the gate asks whether another rule is meant.
            assert "--new-ids" in ended.err, ended.err
            assert self.account.sandbox.stats()["requests"] == requests, "something was sent"
            self._more = ["--new-ids"]
        if ended.code not in (2, 3):
            return
        assert f"{LEDGER}: the ledger is damaged" in ended.err or "newer" in ended.err, ended.err
        assert re.search(r"move (it|the file) away", ended.err), f"no way on: {ended.err}"
        assert len(ended.err.splitlines()) == 1, f"more than a sentence: {ended.err}"
        assert self.account.sandbox.stats()["requests"] == requests, "something was sent"
        for path in self._state.glob(f"{LEDGER}*") if what.mend != "alone" else ():
            path.rename(self.folder / f"bad-{path.name}")
        (self._state / LEDGER).unlink(missing_ok=True)
        if what.mend == "copy":
            shutil.copy(copy, self._state / LEDGER)

    @property
    def _plain(self) -> Arm:
        return Arm(read_s=self.what.read_s)

    def _finish(self, part: int) -> None:
        """Do what each message says until nothing is left."""
        kind = "outage" if "outage" in self.what.kinds else ""
        for _ in range(MOST_STARTS):
            self.account.begin(held(self._state).keys)
            ended = self._start(self._arguments(part), self._plain).end()
            codes = (0, 1, 3) if kind else (0, 1)
            self._check(ended, kind, codes, part)
            if ended.code != 3:
                wanted = int(self.account.has_losses(part))
                assert ended.code == wanted, f"ended with {ended.code}, not {wanted}: {ended.err}"
                self._assert_refusals(ended)
                return
        raise HungError(f"{MOST_STARTS} starts, and not at an end")

    # checks --------------------------------------------------------------------------------------

    def _check(
        self,
        ended: Ended,
        kind: str,
        codes: tuple[int, ...],
        part: int,
        *,
        trusted: bool = True,
    ) -> None:
        """After each start; ``trusted`` says that the ledger was whole before it."""
        self.played.steps.append(f"{kind or 'start'} -> {ended.code}")
        assert_told(ended, kind, codes, set(self.what.kinds) - {*PROCESS, "outage"})
        assert_private(self._state)
        now = held(self._state).keys
        if ended.code >= 0 and (summary := ended.summary) is not None:
            self.account.assert_adds_up(summary, part, now, ended.code, trusted=trusted)
        self.account.assert_merged(ended)

    def _assert_refusals(self, ended: Ended) -> None:
        assert ended.summary is not None
        path = self._state / "runs" / ended.summary["run"] / "refusals.jsonl"
        self.account.assert_refusals(path.read_text().splitlines())

    def _assert_runs(self) -> None:
        """In the sequence of their starts, whatever the clock said; none is taken for running."""
        runs = held(self._state).runs
        odd = [state for _, state in runs if state == "running"]
        assert not odd, f"runs that never ended: {runs}"
        if "clock steps" not in self.what.kinds:
            return
        arguments = ["status", "--state", str(self._state.relative_to(self.folder)), "--json"]
        ended = self._start(arguments).end()
        assert ended.code == 0, ended.err
        assert ended.summary is not None
        told = [(run["run"], run["state"]) for run in ended.summary["runs"]]
        assert told == list(runs), f"status is in another sequence: {told}, {runs}"
