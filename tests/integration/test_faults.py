"""Two hundred scenarios of faults against real processes; `make soak` plays a thousand."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.play import play
from tests.faults.scenario import KINDS, scenario
from tests.faults.starts import Server, serving

SCENARIOS = 200
A_TEST = 5


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, SCENARIOS + 1, A_TEST))
def test_recorded_is_planned_minus_refusals_whatever_happens(first: int, server: Server):
    for seed in range(first, first + A_TEST):
        play(seed, server)


def test_every_kind_of_fault_comes_several_times():
    found = Counter(kind for seed in range(1, SCENARIOS + 1) for kind in scenario(seed).kinds)

    assert found.keys() == set(KINDS)
    assert min(found.values()) >= 5


def test_the_scenarios_differ_in_what_a_fault_could_hide_behind():
    played = [scenario(seed) for seed in range(1, SCENARIOS + 1)]

    for field in ("shape", "rule", "concurrency", "refuses", "parts", "newer_first", "fresh"):
        assert min(Counter(getattr(one, field) for one in played).values()) >= 10, field
    ways = Counter(step.disk for one in played for step in one.steps if step.disk)
    assert min(ways["tmpfs"], ways["quota"]) >= 3
    mended = {step.damage.mend for one in played for step in one.steps if step.damage}
    assert mended == {"away", "alone", "copy"}


def test_a_seed_is_the_same_scenario_every_time():
    assert scenario(20261123) == scenario(20261123)
