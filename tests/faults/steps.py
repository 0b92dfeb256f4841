"""Faults of a process, of its disk and of its ledger: each kind as the starts that play it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from tests.faults.arm import UNHARMED, Arm

Where = Literal["", "tmpfs", "quota"]


@dataclass(frozen=True, slots=True)
class Damage:
    """What happens to the ledger's bytes after a kill, or after a clean stop."""

    file: Literal["ledger.sqlite", "ledger.sqlite-wal"]
    how: Literal["cut", "flip"]
    share: float
    """Where: at this share of the file's bytes."""
    mask: int = 0xFF
    mend: Literal["away", "alone", "copy"] = "away"
    """How the message is obeyed if it stops; alone: without the WAL that lies beside."""


@dataclass(frozen=True, slots=True)
class Step:
    """One start, and what happens to it."""

    kind: str
    arm: Arm = UNHARMED
    limit: int | None = None
    """A share of the events in percent, for a clean stop."""
    codes: tuple[int, ...] = ()
    """How it may end; negative is a signal."""
    damage: Damage | None = None
    disk: Where = ""
    room: int = 0
    """How many bytes there are: at the beginning (tmpfs), or once events were sent."""
    second: bool = False
    """Another process is started on the same state folder; then the first one is killed or asked
    to stop."""


_KILLED: Final = (-9,)
_STOPPED: Final = (3,)

CREATE: Final = "backfill.ledger.ledger:create"
"""Called by the first start of a state folder alone."""

_PHASES: Final[dict[str, tuple[str, ...]]] = {
    "kill opening": (
        CREATE,
        "backfill.ledger.ledger:Ledger.begin_run",
        "backfill.running.folder:StateFolder.begin",
    ),
    "kill spilling": (
        "backfill.sources.spill:_append",
        "backfill.sources.spill:_read",
    ),
    "kill mapping": (
        "backfill.mapping.mapper:Mapper.map",
        "backfill.planning.map_export:_Writer.write",
        "backfill.planning.map_export:_Writer.__exit__",
    ),
    "kill judging": (
        "backfill.planning.judge:reject_duplicate_ids",
        "backfill.planning.judge:_mark_delivered",
        "backfill.planning.judge:_metrics",
        "backfill.planning.judge:_digest",
    ),
    "kill ending": (
        "backfill.ledger.ledger:Ledger.close",
        "backfill.ledger.ledger:Ledger.end_run",
        "backfill.running.folder:RunFolder.write_summary",
        "backfill.running.folder:RunFolder.drop_plan",
    ),
}

POST: Final = "backfill.transport.client:Client.send"
ANSWERED: Final = "backfill.delivery.recorder:Recorder.add"


def _phase(kind: str) -> Callable[[Random, int], list[Step]]:
    def make(random: Random, _events: int) -> list[Step]:
        when = random.choice(("before", "after"))
        arm = Arm(random.choice(_PHASES[kind]), when, action="kill")
        return [Step(kind, arm, codes=_KILLED)]

    return make


def _at_post(kind: str, point: str) -> Callable[[Random, int], list[Step]]:
    def make(random: Random, events: int) -> list[Step]:
        when = random.choice(("before", "after"))
        nth = random.randint(1, events // 2)
        return [Step(kind, Arm(point, when, nth, "kill"), codes=_KILLED)]

    return make


def _in_ledger(random: Random, _events: int) -> list[Step]:
    when = random.choice(("before", "after", "during"))
    point = random.choice(("sqlite:insert", "sqlite:commit"))
    delay_s = random.uniform(0, 0.004)
    arm = Arm(point, when, 1, "kill", delay_s=delay_s)
    return [Step("kill writing the ledger", arm, codes=_KILLED)]


def _anywhere(random: Random, _events: int) -> list[Step]:
    nth = int(10 ** random.uniform(1, 4.5))
    arm = Arm("anywhere", nth=nth, action="kill")
    return [Step("kill anywhere", arm, codes=(-9, 0, 1))]


def _signalled(kind: str, action: str) -> Callable[[Random, int], list[Step]]:
    def make(random: Random, events: int) -> list[Step]:
        phase = random.choice(("kill mapping", "kill judging", "post", "post"))
        if phase == "post":
            point, nth = POST, random.randint(1, events // 2)
        else:
            point, nth = random.choice(_PHASES[phase]), 1
        return [Step(kind, Arm(point, "before", nth, action), codes=_STOPPED)]

    return make


def _disk_planning(random: Random, _events: int) -> list[Step]:
    where: Where = random.choice(("tmpfs", "quota"))
    room = random.choice((4, 8, 16, 32, 48, 64, 80, 96, 128)) * 1024
    room += random.randrange(4096) if where == "quota" else 0
    arm = Arm(quota=room) if where == "quota" else Arm()
    return [Step("disk full planning", arm, codes=(0, 1, 2, 3), disk=where, room=room)]


def _disk_delivery(random: Random, events: int) -> list[Step]:
    where: Where = random.choice(("tmpfs", "quota"))
    nth = random.randint(1, events // 4)
    room = random.randrange(6_000)
    arm = Arm(POST, "before", nth, "quota", quota=room) if where == "quota" else Arm()
    # What is left to write may fit into the room, so a run may come through.
    return [Step("disk full delivery", arm, codes=(0, 1, 3), disk=where, room=room)]


def _damaged(file: Any, how: Any) -> Callable[[Random, int], list[Step]]:
    kind = f"{'WAL' if file.endswith('wal') else 'ledger'} {'cut' if how == 'cut' else 'byte'}"

    def make(random: Random, events: int) -> list[Step]:
        mend = random.choice(("away", "alone", "copy"))
        damage = Damage(file, how, random.random(), 1 << random.randrange(8), mend)
        first = Step("", limit=random.randint(5, 40), codes=_STOPPED)
        arm = Arm(ANSWERED, "after", random.randint(events // 4, events // 2), "kill")
        killed = Step(kind, arm, codes=_KILLED, damage=damage)
        stopped = Step(kind, limit=random.randint(50, 90), codes=_STOPPED, damage=damage)
        if file.endswith("wal"):
            return [*([first] if random.random() < 0.5 else []), killed]
        return random.choice(([first, killed], [killed], [stopped]))

    return make


def _clock(random: Random, events: int) -> list[Step]:
    steps = []
    for _ in range(2):
        offset_s = random.choice((-1, 1)) * random.randrange(700 * 86_400)
        step_s = random.choice((-1, 1)) * random.choice((1, 3_600, 90_000, 9_000_000))
        nth = random.randint(1, events // 8)
        arm = Arm(POST, "before", nth, "clock", clock_s=offset_s, step_s=step_s)
        percent = random.randint(20, 45)
        steps.append(Step("clock steps", arm, limit=percent, codes=_STOPPED))
    return steps


_UNEXPECTED: Final = 70


def _no_memory(random: Random, events: int) -> list[Step]:
    phase = random.choice(("kill mapping", "kill judging", "post", "post"))
    if phase == "post":
        point, nth = random.choice((POST, ANSWERED)), random.randint(1, events // 2)
    else:
        point, nth = random.choice(_PHASES[phase]), 1
    if random.random() < 0.6:
        arm = Arm(point, "before", nth, "MemoryError")
        return [Step("no memory", arm, codes=(_UNEXPECTED,))]
    # What is left may be enough. A library may end the process, as a kill does.
    arm = Arm(point, "before", nth, "memory", quota=random.choice((0, 1, 4, 16)) * 1_000_000)
    return [Step("no memory", arm, codes=(_UNEXPECTED, 0, 1, 2, -6, -11, 127))]


def _no_threads(random: Random, _events: int) -> list[Step]:
    phase = random.choice(("kill opening", "kill mapping", "kill judging"))
    arm = Arm(random.choice(_PHASES[phase][-2:]), "before", 1, "threads")
    return [Step("no threads", arm, codes=(_UNEXPECTED,))]


def _full_stderr(random: Random, events: int) -> list[Step]:
    arm = Arm(POST, "before", random.randint(1, events // 2), "TERM", mute=True)
    return [
        Step("full stderr", arm, codes=_STOPPED),
        Step("full stderr", Arm(mute=True), codes=(0, 1)),
    ]


def _two(random: Random, _events: int) -> list[Step]:
    code = random.choice((*_KILLED, *_STOPPED))
    return [Step("two at once", codes=(code,), second=True)]


PROCESS: Final[dict[str, Callable[[Random, int], list[Step]]]] = {
    **{kind: _phase(kind) for kind in _PHASES},
    "kill posting": _at_post("kill posting", POST),
    "kill between answer and ledger": _at_post("kill between answer and ledger", ANSWERED),
    "kill writing the ledger": _in_ledger,
    "kill anywhere": _anywhere,
    "Ctrl-C": _signalled("Ctrl-C", "INT"),
    "Ctrl-C twice": _signalled("Ctrl-C twice", "INT INT"),
    "SIGTERM": _signalled("SIGTERM", "TERM"),
    "SIGHUP": _signalled("SIGHUP", "HUP"),
    "disk full planning": _disk_planning,
    "disk full delivery": _disk_delivery,
    "ledger cut": _damaged("ledger.sqlite", "cut"),
    "ledger byte": _damaged("ledger.sqlite", "flip"),
    "WAL cut": _damaged("ledger.sqlite-wal", "cut"),
    "WAL byte": _damaged("ledger.sqlite-wal", "flip"),
    "clock steps": _clock,
    "two at once": _two,
    "no memory": _no_memory,
    "no threads": _no_threads,
    "full stderr": _full_stderr,
}
