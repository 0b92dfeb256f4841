"""A seed becomes a scenario: an export, an account, and what goes wrong in which sequence."""

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.faults import bulk
from tests.faults.model import Rule, Shape
from tests.faults.steps import PROCESS, Step


@dataclass(frozen=True, slots=True)
class Scenario:
    seed: int
    shape: Shape
    orders: int
    people: int
    flaws: float
    rule: Rule
    concurrency: int
    refuses: bool
    """The account's clock is years behind, so it refuses the latest orders, each time."""
    parts: int
    newer_first: bool
    fresh: bool
    """Every start has its own interpreter; else it is forked off one that has imported all."""
    read_s: float
    server: tuple[dict[str, Any], ...]
    poison: str | int
    """What a gateway answers to one certain event, each time; empty for none."""
    steps: tuple[Step, ...]
    kinds: tuple[str, ...]


_RATED: Final = ("reset", "half", "drop", "500", "502", "403", "early", "surplus", "reason")
SERVER: Final = ("429", "slow", "outage", "poison", *_RATED)

KINDS: Final = (*PROCESS, *SERVER, *bulk.KINDS)
"""Seeds take them in turn, so that each comes as often as every other."""


_POISON: Final = (403, 500, 400, 406, 404, 302, "reset", 502, "early")


def scenario(seed: int) -> Scenario:
    """The same for the same seed, on every machine."""
    random = Random(seed)
    main = KINDS[seed % len(KINDS)]
    shape: Shape = "orders" if main == "kill spilling" else random.choice(("flat", "orders"))
    orders = random.randint(200, 900) if shape == "flat" else random.randint(80, 250)
    concurrency = random.choice((1, 2, 4, 8, 16, 32))
    parts = random.choice((1, 1, 2)) if main in PROCESS and "byte" not in main else 1
    parts = 1 if "cut" in main else parts
    # Of two parts the first one has a third of the events, at the least.
    events = orders // 3
    steps = PROCESS[main](random, events) if main in PROCESS else []
    kinds = {main, *(random.sample(_RATED, random.randint(0, 2)))}
    if main in PROCESS and not steps[-1].damage and random.random() < 0.15:
        more = random.choice([kind for kind in PROCESS if kind.startswith("kill")])
        if shape == "orders" or more != "kill spilling":
            # Less is left to send by then, so it may come through before it is struck.
            steps = steps + [
                Step(step.kind, step.arm, codes=(*step.codes, 0, 1))
                for step in PROCESS[more](random, events)
            ]
            kinds.add(more)
    server = [
        _rule(random, kind, concurrency, orders)
        for kind in sorted(kinds - {*PROCESS, *bulk.KINDS, "poison"})
    ]
    return Scenario(
        seed=seed,
        shape=shape,
        orders=orders,
        people=random.choice((5, 40, 150)),
        flaws=random.choice((0, 0, 0.02, 0.1)),
        rule=random.choice(("newest", "newest", "newest", "none", "every")),
        concurrency=concurrency,
        refuses=random.random() < 0.25,
        parts=parts,
        newer_first=random.random() < 0.5,
        fresh=random.random() < 0.07 and "outage" not in kinds,
        read_s=0.5 if "slow" in kinds else 0.0,
        server=tuple(server),
        poison=_POISON[seed // len(KINDS) % len(_POISON)] if main == "poison" else "",
        steps=tuple(steps),
        kinds=(main,) if main in bulk.KINDS else tuple(sorted(kinds)),
    )


def _rule(random: Random, kind: str, concurrency: int, orders: int) -> dict[str, Any]:
    first = random.randint(1, orders // 3)
    if kind == "429":
        if random.random() < 0.3:
            return {"at": [first], "answer": 429, "retry_after": 1}
        last = first + random.randint(1, 3) * concurrency
        return {"from": first, "to": last, "answer": 429, "retry_after": 0}
    if kind == "outage":
        return {"from": first, "to": first + 12 * concurrency, "answer": 502}
    if kind == "slow":
        numbers = random.sample(range(1, orders), random.randint(1, 4))
        return {"at": numbers, "answer": "slow", "seconds": 1.2}
    answer: dict[str, Any] = {"answer": int(kind) if kind.isdecimal() else kind}
    if kind == "surplus":
        answer["seconds"] = random.choice((0, 0.05, 0.3))
    if random.random() < 0.5:
        return {"at": random.sample(range(1, orders), random.randint(2, 8)), **answer}
    return {"rate": random.uniform(0.005, 0.02), **answer}
