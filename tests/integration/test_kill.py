"""Real kills at random moments under scripted faults: nothing lost, nothing recorded twice."""

import random
import signal
import subprocess
from pathlib import Path

import pytest

from backfill.event import key
from backfill.sandbox import Faults, Sandbox
from tests.conftest import Tool
from tests.waiting import HOLD_FAULT, wait_until

pytestmark = pytest.mark.slow

KILLS = 10
ORDERS = 3_000
IN_FLIGHT = 500 + 200 + 2 * 16
"""What may be acknowledged and not in the ledger yet: a batch of 500, the events of 200 ms, and
what the connections hold."""

SCHEMA = """
name: killed
columns: {Total: money}
profiles: newest
customer_properties: {$email: Email, $first_name: Name}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Total}
"""

FAULTS = {
    "seed": 11,
    "faults": [
        {"rate": 0.01, "answer": 500},
        {"rate": 0.01, "answer": 502},
        {"rate": 0.01, "answer": "reset"},
        {"rate": 0.01, "answer": "drop"},
        {"rate": 0.002, "answer": 429, "retry_after": 0},
        {"rate": 0.01, "answer": "half"},
    ],
}


def write_export(path: Path) -> None:
    rows = [
        f"{no},p{no % 700}@shop.example,N{no},2020-01-{1 + no % 28:02}T10:00:00Z,{no}.50"
        for no in range(ORDERS)
    ]
    path.write_text("\n".join(["No,Email,Name,At,Total", *rows]) + "\n")


def killed_at(request: int, process: subprocess.Popen[str], sandbox: Sandbox) -> bool:
    """Whether the run was still there to be killed."""
    wait_until(
        lambda: process.poll() is not None or sandbox.stats()["received"] >= request,
        f"request {request} or the end of the run",
    )
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def test_ten_kills_lose_nothing_and_double_nothing(tool: Tool):
    (tool.folder / "s.yaml").write_text(SCHEMA)
    write_export(tool.folder / "e.csv")
    moments = random.Random(20261123)
    with Sandbox(faults=Faults.of(FAULTS)) as sandbox:
        command = ("run", "s.yaml", "e.csv", "--url", sandbox.url, "--rate", "none", "--json")
        killed = 0
        for _ in range(KILLS):
            aim = moments.randrange(ORDERS // (KILLS + 2)) + sandbox.stats()["received"]
            process = tool.start(*command)
            killed += killed_at(aim, process, sandbox)
        assert killed, "every run had ended before it was killed"
        last = tool(*command)
        stats = sandbox.stats()
        assert last.code == 0, last.err
        assert last.summary["already"] + last.summary["delivered"] == ORDERS
        assert stats["recorded"] == ORDERS
        dropped = stats["faults"].get("drop", 0) + stats["faults"].get("half", 0)
        assert stats["merged"] <= KILLS * IN_FLIGHT + dropped
        assert stats["merged_different"] == 0
        names = {
            profile["email"]: profile["attributes"].get("$first_name")
            for profile in sandbox.profiles()
        }
    assert names == _newest_names()


def _newest_names() -> dict[str, str]:
    newest: dict[str, tuple[int, bytes, str]] = {}
    for no in range(ORDERS):
        email = f"p{no % 700}@shop.example"
        this = (1 + no % 28, key("Placed Order", str(no)), f"N{no}")
        newest[email] = max(newest.get(email, this), this)
    return {email: name for email, (_, _, name) in newest.items()}


def held_at(request: int) -> Sandbox:
    """A sandbox that lets a run wait for an hour from this request on."""
    return Sandbox(faults=Faults.of({"faults": [{"at": [request], **HOLD_FAULT}]}))


def wait_until_held(sandbox: Sandbox, process: subprocess.Popen[str]) -> None:
    def held() -> bool:
        assert process.poll() is None, process.communicate()
        return bool(sandbox.stats()["faults"])

    wait_until(held, "the fault that holds the run")


def test_sigterm_finishes_what_is_in_flight_and_the_same_command_goes_on(tool: Tool):
    (tool.folder / "s.yaml").write_text(SCHEMA)
    write_export(tool.folder / "e.csv")
    with held_at(51) as sandbox:
        command = ("run", "s.yaml", "e.csv", "--url", sandbox.url, "--rate", "400/s", "--json")
        process = tool.start(*command)
        wait_until_held(sandbox, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
        assert process.returncode == 3, err
        assert "go on with: backfill run s.yaml e.csv" in err
        assert "Traceback" not in err
        second = tool("run", "s.yaml", "e.csv", "--url", sandbox.url, "--rate", "none", "--json")
        assert second.code == 0
        stats = sandbox.stats()
        assert (stats["recorded"], stats["merged"]) == (ORDERS, 0)


def test_a_second_process_on_the_same_state_is_told_who_holds_it(tool: Tool):
    (tool.folder / "s.yaml").write_text(SCHEMA)
    write_export(tool.folder / "e.csv")
    with held_at(2) as sandbox:
        command = ("run", "s.yaml", "e.csv", "--url", sandbox.url, "--rate", "100/s")
        first = tool.start(*command)
        wait_until_held(sandbox, first)
        second = tool(*command)
        assert second.code == 3
        assert f"process {first.pid}" in second.err
        first.send_signal(signal.SIGTERM)
        first.communicate()
        assert first.returncode == 3


def test_status_knows_a_killed_run_and_how_to_go_on(tool: Tool):
    (tool.folder / "s.yaml").write_text(SCHEMA)
    write_export(tool.folder / "e.csv")
    with held_at(2) as sandbox:
        process = tool.start("run", "s.yaml", "e.csv", "--url", sandbox.url, "--rate", "100/s")
        wait_until_held(sandbox, process)
        assert tool("status", "--json").summary["runs"][0]["state"] == "running"
        process.kill()
        process.communicate()
        [run] = tool("status", "--json").summary["runs"]
        assert (run["state"], run["next"].split(" --")[0]) == (
            "killed",
            "backfill run s.yaml e.csv",
        )
