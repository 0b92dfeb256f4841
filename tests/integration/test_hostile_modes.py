"""What the state folder holds is its owner's alone, whatever the umask."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from backfill.sandbox import Sandbox
from tests.conftest import Tool, environment
from tests.integration.test_hostile import order, write

pytestmark = pytest.mark.slow


def modes_under(folder: Path) -> dict[str, str]:
    """What is not 0600 (a file) or 0700 (a folder)."""
    return {
        str(path.relative_to(folder)): oct(mode)
        for path in folder.rglob("*")
        if (mode := stat.S_IMODE(path.stat().st_mode)) != (0o700 if path.is_dir() else 0o600)
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
@pytest.mark.parametrize("before", [None, 0o755], ids=["a new folder", "a folder of 0755"])
def test_what_is_in_the_state_folder_is_its_owners_alone(
    tool: Tool, sandbox: Sandbox, umask: int, before: int | None
):
    """A folder that somebody made keeps the mode that it was given: it may hold other things."""
    write(tool, [order("1"), order("2", mail="no address")])
    state = tool.folder / "state"
    if before is not None:
        state.mkdir()
        state.chmod(before)
    command = ["run", "s.yaml", "e.csv", "--url", sandbox.url, "--keep-plan", "--state", state]
    subprocess.run(
        tool.command(*command),
        cwd=tool.folder,
        env=environment(),
        capture_output=True,
        check=False,
        preexec_fn=lambda: os.umask(umask),
    )
    assert len(list(state.glob("runs/*/plan/*.parquet"))) >= 2
    assert len(list(state.glob("runs/*/rejects.csv"))) == 1
    assert modes_under(state) == {}
    assert stat.S_IMODE(state.stat().st_mode) == (before or 0o700)
