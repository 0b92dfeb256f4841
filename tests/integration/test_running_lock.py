import stat
import subprocess
import sys

import pytest

from backfill.errors import BusyError, UsageError
from backfill.running.lock import hold

HOLDER = """
import sys
from pathlib import Path
from backfill.running.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def holder(state, request):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)],
        cwd=request.config.rootpath,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_that_is_held_names_the_process(state, holder):
    with pytest.raises(BusyError, match=rf"process {holder.pid} is at work"), hold(state):
        pass


def test_a_kill_leaves_no_lock(state, holder):
    holder.kill()
    holder.wait()

    with hold(state):
        pass


def test_a_folder_is_free_after_its_block(state):
    for _ in range(2):
        with hold(state), pytest.raises(BusyError, match="is at work"), hold(state):
            pass


def test_folder_and_lock_are_for_their_owner(state):
    with hold(state):
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert stat.S_IMODE((state / "lock").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_used_is_named(state):
    state.write_text("a file")

    with (
        pytest.raises(UsageError, match=r"state: the state folder cannot be used .* --state"),
        hold(state),
    ):
        pass
