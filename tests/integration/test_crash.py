"""What nobody foresaw, and words that cannot be written: what was done is done, and told."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backfill.account.account import Account
from backfill.errors import UnexpectedError
from backfill.running.crash import unexpected
from backfill.running.run import Backfill
from backfill.running.settings import Hooks, Options
from backfill.sandbox import Faults, Sandbox
from backfill.schema.load import load_schema
from tests.conftest import ROOT, Tool, environment
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SCHEMA = """
name: crash
columns: {Total: money}
profiles: newest
customer_properties: {$email: Email, $first_name: Name}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Total}
"""
ORDERS = 400
KEY = "CRSHKY"


@pytest.fixture
def shop(tool: Tool) -> Tool:
    (tool.folder / "s.yaml").write_text(SCHEMA)
    rows = [f"{no},p{no}@shop.example,N{no},2020-01-01T10:00:00Z,{no}.50" for no in range(ORDERS)]
    (tool.folder / "e.csv").write_text("\n".join(["No,Email,Name,At,Total", *rows]) + "\n")
    return tool


def run(sandbox: Sandbox) -> list[str]:
    return ["run", "s.yaml", "e.csv", "--url", sandbox.url, "--rate", "none"]


def shell(tool: Tool, command: str, *args: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """``command`` has ``"$@"`` where the tool's own command stands."""
    return subprocess.run(
        ["bash", "-c", command, "bash", *Tool.command(*args)],
        cwd=tool.folder,
        env=environment() | extra,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def ledger_of(tool: Tool) -> tuple[int, list[str]]:
    """How many events it holds, and the states of its runs."""
    with sqlite3.connect(tool.folder / ".backfill" / "ledger.sqlite") as connection:
        [[length]] = connection.execute("SELECT coalesce(sum(length(keys)), 0) FROM batches")
        return length // 16, [state for (state,) in connection.execute("SELECT state FROM runs")]


# words that cannot be written -------------------------------------------------------------------

OUTPUTS = [
    pytest.param('"$@" 2>&-', id="stderr is closed"),
    pytest.param('"$@" 2>/dev/full', id="stderr is full"),
    pytest.param('"$@" >&-', id="stdout is closed"),
    pytest.param('"$@" >/dev/full', id="stdout is full"),
    pytest.param('"$@" <&-', id="stdin is closed"),
    pytest.param('"$@" <&- >&- 2>&-', id="all three are closed"),
    pytest.param('"$@" >/dev/full 2>/dev/full', id="both are full"),
    pytest.param('"$@" 2>&1 | head -1; exit ${PIPESTATUS[0]}', id="the reader goes away"),
]


@pytest.mark.parametrize("command", OUTPUTS)
def test_words_that_cannot_be_written_stop_no_delivery(shop: Tool, sandbox: Sandbox, command: str):
    done = shell(shop, command, *run(sandbox), "--json")

    assert done.returncode == 0, done.stderr
    assert ledger_of(shop) == (ORDERS, ["finished"])
    assert sandbox.stats()["recorded"] == ORDERS


def test_a_run_says_where_the_json_is_that_stdout_did_not_take(shop: Tool, sandbox: Sandbox):
    done = shell(shop, '"$@" >/dev/full', *run(sandbox), "--json")

    assert "stdout cannot be written (No space left on device); see .backfill/runs/" in done.stderr
    place = done.stderr.partition("; see ")[2].split()[0]
    assert json.loads((shop.folder / place).read_text())["delivered"] == ORDERS


RESULTS = [
    pytest.param(["plan", "s.yaml", "e.csv", "--json"], id="plan"),
    pytest.param(["preview", "s.yaml", "e.csv"], id="preview"),
    pytest.param(["check", "s.yaml"], id="check"),
    pytest.param(["schemas"], id="schemas"),
    pytest.param(["schema-json"], id="schema-json"),
    pytest.param(["init", "e.csv"], id="init"),
    pytest.param(["diff", "s.yaml", "s.yaml", "e.csv"], id="diff"),
    pytest.param(["--help"], id="help"),
]


@pytest.mark.parametrize("args", RESULTS)
def test_a_command_whose_result_is_lost_says_so(shop: Tool, args: list[str]):
    done = shell(shop, '"$@" >/dev/full', *args)

    assert done.returncode == 3, done.stderr
    assert "backfill: stdout cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(shop: Tool):
    args = ["preview", "s.yaml", "e.csv", "--limit", "300"]
    done = shell(shop, '"$@" | head -1; exit ${PIPESTATUS[0]}', *args)

    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1), done.stderr


def test_an_encoding_without_the_letter_stops_nothing(shop: Tool, sandbox: Sandbox):
    (shop.folder / "s.yaml").write_text(SCHEMA.replace("name: crash", "name: Größe"))

    done = shop(*run(sandbox), "--json", PYTHONIOENCODING="ascii")

    assert done.code == 0, done.err
    assert ledger_of(shop) == (ORDERS, ["finished"])


def test_files_about_a_run_that_cannot_be_written_stop_no_delivery(shop: Tool, sandbox: Sandbox):
    state = shop.folder / ".backfill"

    def spoil(_: object) -> None:
        [folder] = (state / "runs").iterdir()
        (folder / "log.jsonl").unlink()
        for name in ("log.jsonl", "summary.json", "report.html"):
            (folder / name).mkdir(mode=0o700)

    result = backfill_of(shop, sandbox, Hooks(on_plan=spoil)).run()

    assert (result.error, result.summary.delivered) == (None, ORDERS)
    assert ledger_of(shop) == (ORDERS, ["finished"])
    for name in ("log.jsonl", "summary.json", "report.html"):
        assert f"{name} cannot be written (Is a directory)" in result.summary.notes


# errors that nobody foresaw ---------------------------------------------------------------------


def backfill_of(tool: Tool, sandbox: Sandbox, hooks: Hooks) -> Backfill:
    return Backfill(
        load_schema(tool.folder / "s.yaml"),
        str(tool.folder / "e.csv"),
        tool.folder / ".backfill",
        Account(sandbox.url, KEY, id=KEY),
        Options(),
        hooks,
    )


def test_an_unexpected_error_in_the_middle_keeps_what_was_delivered(shop: Tool, sandbox: Sandbox):
    hidden = "hidden.person@shop.example"

    def fail(delivery) -> None:
        local = f"local {hidden}"
        if delivery.delivered:
            raise LookupError(f"{len(local)} {KEY}")

    with pytest.raises(UnexpectedError) as caught:
        backfill_of(shop, sandbox, Hooks(on_progress=fail)).run()

    told = str(caught.value)
    assert "unexpected error: LookupError at backfill/" in told
    assert "what was delivered is in the ledger" in told
    assert KEY not in told
    [trace] = (shop.folder / ".backfill" / "runs").glob("*/crash.txt")
    assert f"the traceback is in {trace}" in told
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600
    assert "Traceback (most recent call last)" in trace.read_text()
    assert hidden not in trace.read_text()
    assert KEY not in trace.read_text()
    held, states = ledger_of(shop)
    assert (held, states) == (sandbox.stats()["recorded"], ["failed"])


LIMITED = """
import _thread, itertools, threading
count, start = itertools.count(1), _thread.start_new_thread
def limited(*args, **kwargs):
    if next(count) > {allowed}:
        raise RuntimeError("can't start new thread")
    return start(*args, **kwargs)
_thread.start_new_thread = threading._start_new_thread = limited
if hasattr(_thread, "start_joinable_thread"):
    join = _thread.start_joinable_thread
    def joinable(*args, **kwargs):
        if next(count) > {allowed}:
            raise RuntimeError("can't start new thread")
        return join(*args, **kwargs)
    _thread.start_joinable_thread = threading._start_joinable_thread = joinable
"""


def with_site(tool: Tool, text: str) -> dict[str, str]:
    """An environment in which Python runs ``text`` before everything else."""
    folder = tool.folder / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def assert_crash_told(tool: Tool, code: int, err: str, *, advice: str) -> None:
    assert code == 70, err
    last = err.splitlines()[-1]
    assert "Traceback" not in err
    assert last.startswith("backfill: unexpected error: "), err
    assert advice in last, err
    assert "@shop.example" not in err
    place = Path(last.partition("the traceback is in ")[2].partition(";")[0])
    path = tool.folder / place
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Traceback" in path.read_text()


@pytest.mark.parametrize("allowed", range(5))
def test_no_threads_is_told(shop: Tool, sandbox: Sandbox, allowed: int):
    """Python's own threads; that the limit itself binds root is not to be had."""
    done = shell(shop, '"$@"', *run(sandbox), **with_site(shop, LIMITED.format(allowed=allowed)))

    assert_crash_told(
        shop, done.returncode, done.stderr, advice="the system allows no more threads"
    )
    assert ledger_of(shop) == (sandbox.stats()["recorded"], ["failed"])


def test_a_clock_past_9999_sends_nothing_and_says_so(shop: Tool, sandbox: Sandbox):
    arm = json.dumps({"clock_s": 8_000 * 366 * 86_400})
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.victim", arm, *run(sandbox)],
        cwd=shop.folder,
        env=environment() | {"TMPDIR": str(shop.folder)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert_crash_told(shop, done.returncode, done.stderr, advice="is the clock right?")
    assert sandbox.stats()["received"] == 0


@pytest.mark.parametrize("megabytes", [60, 200, 500])
def test_too_little_memory_to_begin_is_told(shop: Tool, sandbox: Sandbox, megabytes: int):
    done = shell(shop, f'ulimit -v {megabytes * 1000}; "$@"', *run(sandbox))

    assert done.returncode == 70, done.stderr
    [line] = done.stderr.splitlines()
    assert "MB (ulimit -v), which is too little to begin; allow 4,000 MB" in line


def test_memory_that_ends_in_the_middle_is_told(shop: Tool, sandbox: Sandbox):
    spent = """
import resource, sys
class Spend:
    def find_spec(self, name, path=None, target=None):
        if name == "backfill.report.summary_text":
            sys.meta_path.remove(self)
            raise MemoryError
sys.meta_path.insert(0, Spend())
"""
    place = {"TMPDIR": str(shop.folder)} | with_site(shop, spent)
    done = shell(shop, '"$@"', *run(sandbox), **place)

    assert_crash_told(shop, done.returncode, done.stderr, advice="memory")


def test_a_traceback_that_cannot_be_written_leaves_the_sentence(tmp_path: Path):
    told = str(unexpected(ValueError("hidden"), tmp_path / "nowhere"))

    assert told.startswith("unexpected error: ValueError; the traceback cannot be written (No such")
    assert "hidden" not in told


# signals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(shop: Tool, number: signal.Signals):
    faults = Faults.of({"faults": [{"at": [20], "answer": "slow", "seconds": 2}]})
    with Sandbox(faults=faults) as sandbox:
        ignoring = f"import os, signal, sys; signal.signal({int(number)}, signal.SIG_IGN); "
        ignoring += "os.execv(sys.argv[1], sys.argv[1:])"
        process = subprocess.Popen(
            [sys.executable, "-c", ignoring, *Tool.command(*run(sandbox))],
            cwd=shop.folder,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: bool(sandbox.stats()["faults"]), "the fault that holds the run")
        process.send_signal(number)
        _, err = process.communicate()

    assert process.returncode == 0, err
    assert ledger_of(shop) == (ORDERS, ["finished"])
