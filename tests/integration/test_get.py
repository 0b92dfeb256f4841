"""``--method get``: the same events, ledger and promise by Track's other request."""

import asyncio
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.sandbox import Faults, Sandbox
from backfill.transport.client import Client
from backfill.transport.retry import NoAnswer
from backfill.wire.interface import Reply
from backfill.wire.track import TrackGet
from tests.conftest import Said, Tool

pytestmark = pytest.mark.slow

SCHEMA = """
name: by-get
source: {order: No, line: [Item]}
columns: {Sum: money}
profiles: newest
customer_properties: {$email: Mail, $phone_number: Phone, $id: Id, $first_name: First, tier: Tier}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Sum, Items: {each: Item}}
  - event: Ordered Product
    per: line
    time: At
    properties: {$event_id: "{No}-{line}", Name: Item}
"""
COLUMNS = ("No", "Mail", "Phone", "Id", "First", "Tier", "At", "Sum", "Item")
PHONE_ONLY = ("7", "", "+4520123456", "", "Bo", "", "2020-01-07T00:00:00Z", "1", "pot")
LONG = ("8", "long@x.example", "", "", "Li", "", "2020-01-08T00:00:00Z", "1", "x" * 6_000)
ORDERS = (
    (
        "1",
        "a@x.example",
        "",
        "",
        "Åsa",
        "gold~?>",
        "2020-01-01T00:00:00Z",
        "10.50",
        "tea ~~~???>>>",
    ),
    (
        "1",
        "a@x.example",
        "",
        "",
        "Åsa",
        "gold~?>",
        "2020-01-01T00:00:00Z",
        "10.50",
        "5+5/6=& 日本\n",
    ),
    ("2", "A@x.example", "+4520123450", "70", "Åse", "", "2020-01-02T00:00:00Z", "-1", "'\"\\"),
    ("3", "", "+4520123451", "71", "Bo", "~", "2020-01-03T00:00:00Z", "0", "cup"),
    ("4", "", "+4520123451", "71", "Old", "", "2020-01-02T00:00:00Z", "0", "cup"),
    ("5", "", "", "72", "Cy", "~~", "2020-01-03T00:00:00Z", "0", "cup"),
)
OPENING = "eyJ0b2tlbiI6"
"""How the data of every GET begin: the base64 of ``{"token":``."""


@pytest.fixture
def shop(tool: Tool) -> Tool:
    (tool.folder / "s.yaml").write_text(SCHEMA)
    write(tool, *ORDERS)
    return tool


def write(tool: Tool, *rows: tuple[str, ...]) -> None:
    with (tool.folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def run(shop: Tool, sandbox: Sandbox, *args: str, **extra: str) -> Said:
    return shop("run", "s.yaml", "a.csv", "--url", sandbox.url, "--json", *args, **extra)


def landed(sandbox: Sandbox) -> list[str]:
    """Events and profiles but for the profile's number: that is by who came first."""
    found = [*sandbox.events(), *sandbox.profiles()]
    return sorted(re.sub('"id": "P[0-9]+", ', "", json.dumps(one)) for one in found)


def test_get_lands_what_post_lands(shop: Tool):
    with Sandbox() as by_post, Sandbox() as by_get:
        posted = run(shop, by_post, "--state", "one")
        got = run(shop, by_get, "--state", "two", "--method", "get")

        assert (posted.code, got.code) == (0, 0), got.err
        assert by_get.refusals() == []
        assert got.summary["delivered"] == by_get.stats()["recorded"] == 11
        assert landed(by_get) == landed(by_post)


def test_both_methods_have_one_ledger(shop: Tool, sandbox: Sandbox):
    first = run(shop, sandbox, "--method", "get", "--limit", "4")
    second = run(shop, sandbox, "--method", "post")
    third = run(shop, sandbox, "--method", "get")
    delivered = [said.summary["delivered"] for said in (first, second, third)]
    assert (delivered, sandbox.stats()["merged"]) == ([4, 7, 0], 0)


def test_what_no_get_can_say_is_a_reject_with_its_reason(shop: Tool, sandbox: Sandbox):
    write(shop, ORDERS[0], PHONE_ONLY, LONG)

    said = run(shop, sandbox, "--method", "get")

    assert (said.code, said.summary["reasons"]) == (1, {"phone_only": 1, "url_too_long": 1})
    assert "phone_only: GET identifies a person by an e-mail address or an id" in said.err
    assert "url_too_long: the event makes a URL of more than 8,000 bytes" in said.err
    [path] = (shop.folder / ".backfill" / "runs").glob("*/rejects.csv")
    with path.open(encoding="utf-8", newline="") as file:
        phone, long = ((row["No"], row["_column"]) for row in csv.DictReader(file))
    assert phone == ("7", "$phone_number")
    assert (long[0], re.fullmatch("Placed Order: 8,[0-9]{3} bytes", long[1]) is None) == (
        "8",
        False,
    )
    assert run(shop, sandbox, "--method", "post").summary["delivered"] == 4


@pytest.mark.parametrize("command", ["plan", "preview"])
def test_who_only_looks_sees_the_same_rejects(shop: Tool, command: str):
    write(shop, PHONE_ONLY, LONG)
    said = shop(command, "s.yaml", "a.csv", "--method", "get")
    assert all(reason in said.out + said.err for reason in ("phone_only", "url_too_long"))
    said = shop(command, "s.yaml", "a.csv")
    assert not any(reason in said.out + said.err for reason in ("phone_only", "url_too_long"))


def test_the_whole_url_counts(shop: Tool):
    """Scheme, host and path too: a longer host leaves less room."""
    write(shop, (*ORDERS[0][:-1], "x" * 5_710))
    rejected = [
        shop("plan", "s.yaml", "a.csv", "--method", "get", "--url", url, "--json").summary[
            "reasons"
        ]
        for url in ("https://a", f"https://{'b' * 60}.{'c' * 60}.{'d' * 60}")
    ]
    assert rejected == [{}, {"url_too_long": 1}]


def test_every_request_is_one_that_the_run_counts(shop: Tool):
    """aiohttp sends a GET again by itself where the connection broke; then nobody paced it."""
    script = {"faults": [{"at": [2, 5], "answer": "drop"}, {"at": [3, 7], "answer": "reset"}]}
    with Sandbox(faults=Faults.of(script)) as sandbox:
        said = run(shop, sandbox, "--method", "get", "--concurrency", "1")
        stats = sandbox.stats()

    assert (said.code, said.summary["delivered"]) == (0, 11)
    assert (stats["requests"], stats["merged"]) == (said.summary["requests"], 2) == (15, 2)


def test_no_url_is_told_whatever_goes_wrong(shop: Tool):
    answers = ("429", "500", "502", "503", "403", "reset", "half", "drop")
    faults = [{"at": [at], "answer": said} for at, said in enumerate(answers, 2)]
    with Sandbox(faults=Faults.of({"faults": faults})) as sandbox:
        said = run(
            shop, sandbox, "--method", "get", KLAVIYO_PUBLIC_KEY="KEY777", PYTHONASYNCIODEBUG="1"
        )
        assert (said.code, sandbox.stats()["recorded"]) == (0, 11)
    texts = [said.out, said.err, *files(shop.folder / ".backfill")]
    assert not [text for text in texts if OPENING in text or "data=" in text or "KEY777" in text]


def files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")


def exchange(answer: bytes, query: bytes) -> tuple[Reply | NoAnswer, list[bytes]]:
    """What the client makes of ``answer``, and what was sent to a server that gives it."""
    sent = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def once() -> Reply | NoAnswer:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            wire = TrackGet(url)
            client = Client(url, wire.headers)
            return await client.send(wire.method, wire.api.path, query=query)

    return asyncio.run(once()), sent


def test_a_get_goes_out_byte_by_byte_as_it_was_made():
    query = b"data=ab%2Bc/d%2B%2B%3D%3D"
    came, [sent] = exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", query)
    line, *headers = sent.lower().split(b"\r\n")
    assert (came, line) == (
        Reply(status=200, body=b"1"),
        b"get /api/track?" + query.lower() + b" http/1.1",
    )
    assert b"cache-control: no-cache" in headers
    assert not [name for name in headers if name.startswith((b"content-", b"transfer-"))]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", id="a part"),
        pytest.param(b"SSH-2.0\r\n\r\n", id="no HTTP"),
    ],
)
def test_a_silence_names_no_url_and_is_not_tried_again_by_itself(answer: bytes):
    came, sent = exchange(answer, b"data=" + OPENING.encode())
    assert isinstance(came, NoAnswer)
    assert came.why.startswith(("the connection broke (", "what came is no HTTP"))
    assert "_Broken" not in came.why
    assert (OPENING in repr(came), len(sent)) == (False, 1)
