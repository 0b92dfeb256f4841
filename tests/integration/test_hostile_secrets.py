"""Planted keys, addresses and names are found where they must be, and nowhere else."""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from backfill.account.account import Account
from backfill.errors import BackfillError
from backfill.ledger.ledger import Target
from backfill.running.run import Backfill
from backfill.running.settings import Hooks, Options
from backfill.schema.load import load_schema
from backfill.transport.client import Client
from backfill.wire.track import Track, TrackGet
from tests.conftest import Said, Tool
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

KEY = "PLNTKY"
MARKERS = ("planted.mail", "secret.example", "3239169023", "Plantina", "Markerson", "ORD-PLANTED")
HOLDERS = ("rejects.csv", "plan")
"""Where a person's cells may stand; the key may not even there."""

SCHEMA = """name: shop
source: {order: No, line: [Item, Price]}
columns: {Price: money, Phone: {phone: {region: US}}}
profiles: every
customer_properties: {$email: Mail, $phone_number: Phone, $first_name: Name}
events:
  - event: Placed Order
    time: At
    properties:
      $event_id: "{No}"
      $value: {sum: Price}
      Cast: {sql: "\\"Name\\"::varchar || Phone::bigint::varchar"}
      Items: {each: {sql: "regexp_matches('x', Item)"}}
"""
GOOD = "ORD-PLANTED-{},planted.mail@secret.example,{},Plantina Markerson,{},x,{}\n"
HEADER = "No,Mail,Phone,Name,At,Item,Price\n"
AT = "2020-01-01T00:00:00Z"
ROWS = HEADER + "".join(
    [
        *(GOOD.format(n, "+13239169023", AT, 5) for n in range(4)),
        GOOD.format("time", "+13239169023", "planted.mail o'clock", 5),
        GOOD.format("price", "+13239169023", AT, "3239169023 Plantina"),
        GOOD.format("phone", "not 3239169023", AT, 5),
        GOOD.format("sql", "", AT, 5).replace(",x,", ",(Plantina,"),
        GOOD.format(1, "+13239169023", AT, 6),
        GOOD.format("address", "+13239169023", AT, 6).replace("@secret", " at secret"),
    ]
)
BAD_FILES = {
    "an open quote": ROWS + '"ORD-PLANTED-9,planted.mail@secret.example\n',
    "text behind a quote": ROWS + '"ORD-PLANTED-9"Plantina,planted.mail@secret.example\n',
    "a NUL": ROWS + "ORD-PLANTED-9\0,planted.mail@secret.example\n",
    "no encoding": ROWS + "Plantina é 日\udce9,",
    "a header of people": ROWS.split("\n", 1)[1],
}


def found(text: str | bytes, *markers: str) -> list[str]:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [marker for marker in markers if marker in text]


def nothing_told(said: Said) -> None:
    assert found(said.out + said.err, KEY, *MARKERS) == []


def nothing_kept(state: Path) -> list[Path]:
    """The files that hold a person, all of them where they may; none holds the key."""
    holding = []
    for path in (path for path in state.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert found(content, KEY) == [], path
        if found(content, *MARKERS):
            assert path.name in HOLDERS or path.parent.name in HOLDERS, path
            holding.append(path)
    return holding


@contextmanager
def answering(status: int, said: bytes | None = None) -> Iterator[tuple[str, Callable[[], int]]]:
    """A server that says back what was sent, as some do in their errors."""
    count = [0]

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = body if said is None else said
            count[0] += 1
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", lambda: count[0]
    finally:
        server.shutdown()
        server.server_close()


def prepared(tool: Tool, rows: str = ROWS) -> None:
    (tool.folder / "s.yaml").write_text(SCHEMA, encoding="utf-8")
    (tool.folder / "e.csv").write_bytes(rows.encode("utf-8", "surrogateescape"))


def test_no_command_prints_a_key_or_a_person(tool: Tool):
    prepared(tool)
    nothing_told(tool("check", "s.yaml", "e.csv", KLAVIYO_PUBLIC_KEY=KEY))
    shown = tool("preview", "s.yaml", "e.csv", "--limit", "99", KLAVIYO_PUBLIC_KEY=KEY)
    assert found(shown.out + shown.err, KEY) == []
    planned = tool("plan", "s.yaml", "e.csv", "--keep-plan", "--json", KLAVIYO_PUBLIC_KEY=KEY)
    nothing_told(planned)
    assert planned.summary["rejected"] == 5, planned.summary["reasons"]
    assert {path.name for path in nothing_kept(tool.folder / ".backfill")} >= {"rejects.csv"}
    for answer in (b"0", b"1"):  # refused, taken
        with answering(200, answer) as (url, _):
            command = ("run", "s.yaml", "e.csv", "--url", url, "--json")
            nothing_told(tool(*command, KLAVIYO_PUBLIC_KEY=KEY))
            nothing_told(tool(*command, "--max-rejects", "0", KLAVIYO_PUBLIC_KEY=KEY))
            nothing_told(tool(*command, "--expect", "no", KLAVIYO_PUBLIC_KEY=KEY))
    nothing_told(tool("status", "--json"))
    assert list(tool.folder.glob(".backfill/runs/*/refusals.jsonl"))
    nothing_kept(tool.folder / ".backfill")


@pytest.mark.parametrize("why", BAD_FILES)
def test_a_file_that_cannot_be_read_is_not_quoted(tool: Tool, why: str):
    prepared(tool, BAD_FILES[why])
    for command in ("check", "plan"):
        said = tool(command, "s.yaml", "e.csv", KLAVIYO_PUBLIC_KEY=KEY)
        nothing_told(said)
    assert said.code == 2, said.err
    assert found(tool("preview", "s.yaml", "e.csv").err, *MARKERS) == []
    assert nothing_kept(tool.folder / ".backfill") == []


@pytest.mark.parametrize("status", [500, 429, 403])
def test_a_run_that_is_killed_leaves_nothing_behind(tool: Tool, status: int):
    prepared(tool)
    with answering(status) as (url, count):
        command = tool.command("run", "s.yaml", "e.csv", "--url", url)
        process = tool.start(*command[3:])
        wait_until(lambda: count() >= 4 or process.poll() is not None, "four requests")
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()
        out, err = process.communicate()
    assert found(out + err, *MARKERS) == found(arguments, KEY, *MARKERS) == []
    nothing_kept(tool.folder / ".backfill")


def test_what_is_shown_of_an_object_holds_no_key(tmp_path: Path):
    (path := tmp_path / "s.yaml").write_text(SCHEMA, encoding="utf-8")
    loaded = load_schema(path)
    account = Account("http://127.0.0.1:1", KEY)
    shown = [
        account,
        Target(account.url, KEY),
        Track(KEY),
        TrackGet(account.url, KEY),
        Client(account.url, Track(KEY).headers),
        Options(),
        loaded,
        Backfill(loaded, frame(), tmp_path / "state", account, Options(), Hooks()),
    ]
    for one in shown:
        assert found(f"{one!r} {one!s} {[one]}", KEY, *MARKERS) == []


def frame(**cells: object) -> pd.DataFrame:
    own = dict(
        zip(HEADER.strip().split(","), GOOD.format(1, "", AT, 5).strip().split(","), strict=True)
    )
    return pd.DataFrame({name: [cell] for name, cell in {**own, **cells}.items()})


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(frame(Mail=b"planted.mail\xff@secret.example"), id="bytes that are no text"),
        pytest.param(frame().drop(columns="Mail"), id="a column that is not there"),
        pytest.param(
            pa.table({n: pa.array([b"Plantina\xff"]) for n in HEADER.strip().split(",")}), id="all"
        ),
    ],
)
def test_the_whole_traceback_of_a_frame_quotes_no_cell(tmp_path: Path, rows: object):
    (path := tmp_path / "s.yaml").write_text(SCHEMA, encoding="utf-8")
    account = Account("http://127.0.0.1:1", KEY)
    with pytest.raises(BackfillError) as caught:
        Backfill(load_schema(path), rows, tmp_path / "state", account, Options(), Hooks()).plan()
    assert found("".join(traceback.format_exception(caught.value)), KEY, *MARKERS) == []
    assert nothing_kept(tmp_path / "state") == []


def test_the_whole_traceback_of_sql_that_fails_quotes_no_cell(tmp_path: Path):
    failing = SCHEMA.replace("regexp_matches('x', Item)", 'Item like Item escape \\"Name\\"')
    failing = failing.replace("line: [Item, Price]", "line: [Item, Price, Name]").replace(
        ", $first_name: Name", ""
    )
    failing = "\n".join(line for line in failing.splitlines() if "Cast:" not in line)
    (path := tmp_path / "s.yaml").write_text(failing, encoding="utf-8")
    account = Account("http://127.0.0.1:1", KEY)
    work = Backfill(load_schema(path), frame(), tmp_path / "state", account, Options(), Hooks())
    with pytest.raises(BackfillError, match="cannot be computed") as caught:
        work.plan()
    assert found("".join(traceback.format_exception(caught.value)), KEY, *MARKERS) == []
