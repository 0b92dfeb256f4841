import json
import stat

import pytest

from backfill.delivery.refusals import Refusal, refusals_file
from backfill.errors import StoppedError


def test_a_refusal_is_a_line_that_only_its_owner_reads(tmp_path):
    path = tmp_path / "refusals.jsonl"
    for code in ("invalid", "answered-no"):
        with refusals_file(path) as write_refusal:
            write_refusal(
                Refusal(key="00ff", metric="Placed Order é", status=400, code=code, detail="why")
            )
            assert path.read_text("utf-8").endswith("\n"), "it is there at once"

    assert [json.loads(line)["code"] for line in path.read_text("utf-8").splitlines()] == [
        "invalid",
        "answered-no",
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_refusal_that_cannot_be_written_stops_the_run(tmp_path):
    with (
        pytest.raises(StoppedError, match=r"refusals\.jsonl: refusals cannot be written"),
        refusals_file(tmp_path / "missing" / "refusals.jsonl"),
    ):
        pass


def test_a_full_disk_stops_the_run():
    with pytest.raises(OSError, match="No space"), refusals_file("/dev/full") as write_refusal:  # noqa: SIM117
        with pytest.raises(StoppedError, match="No space left on device"):
            write_refusal(
                Refusal(key="00ff", metric="Placed Order", status=400, code="invalid", detail="why")
            )
