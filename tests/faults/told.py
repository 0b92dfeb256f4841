"""What a start says in the end: a documented exit code, what happened, the way on."""

import re
from collections.abc import Collection

from tests.faults.starts import Ended

_WAY_ON = {
    70: r"unexpected error: .* the traceback is in .*run the same command to go on",
    2: r"--state|move it away|make room",
    3: r"run the same command|run again|go on with: backfill run|move it away",
}
_TOLD = {
    "disk full planning": r"make room|--state",
    "disk full delivery": r"make room",
}
_SILENT = r"the connection broke|the answer broke off|no answer in time|not plain what was answered"
_NEVER = ("Traceback", "Warning", "nanobind", "@shop.example")


def _told_of_outage(faults: Collection[str]) -> str:
    """What may come last: the outage's 502, or another fault of the same scenario."""
    statuses = ["502", *(fault for fault in faults if re.fullmatch("5..", fault))]
    last = [f"it answered ({'|'.join(statuses)})"]
    if "403" in faults:
        last.append("a gateway before it answered 403")
    if not all(fault.isdecimal() for fault in faults):
        last.append(_SILENT)
    return f"takes no more events: ({'|'.join(last)})"


def assert_told(ended: Ended, kind: str, codes: tuple[int, ...], faults: Collection[str]) -> None:
    """``faults``: the kinds of answers that the account of the scenario gives beside the outage."""
    said = ended.err[-1500:]
    assert ended.code in codes, f"{kind}: ended with {ended.code}, not {codes}: {said}"
    for noise in _NEVER:
        assert noise not in ended.err, f"{kind}: {noise} in {said}"
    if ended.code in _WAY_ON and kind != "full stderr":
        assert re.search(_WAY_ON[ended.code], ended.err), f"{kind}: no way on: {said}"
        told = _told_of_outage(faults) if kind == "outage" else _TOLD.get(kind, "")
        assert re.search(told, ended.err), f"{kind}: what happened? {said}"
