"""What a start says in the end: a documented exit code, what happened, the way on."""

import re

from tests.faults.starts import Ended

_WAY_ON = {
    2: r"--state|move it away|make room",
    3: r"run the same command|run again|go on with: backfill run|move it away",
}
_TOLD = {
    "disk full planning": r"make room|--state",
    "disk full delivery": r"make room",
    # a 403 of the same scenario may be what comes last
    "outage": r"takes no more events: (it answered 502|a gateway before it answered 403)",
}
_NEVER = ("Traceback", "Warning", "nanobind", "@shop.example")


def assert_told(ended: Ended, kind: str, codes: tuple[int, ...]) -> None:
    said = ended.err[-1500:]
    assert ended.code in codes, f"{kind}: ended with {ended.code}, not {codes}: {said}"
    for noise in _NEVER:
        assert noise not in ended.err, f"{kind}: {noise} in {said}"
    if ended.code in _WAY_ON:
        assert re.search(_WAY_ON[ended.code], ended.err), f"{kind}: no way on: {said}"
        assert re.search(_TOLD.get(kind, ""), ended.err), f"{kind}: what happened? {said}"
