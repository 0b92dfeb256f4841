"""A plan needs no network where the account is known, and waits a few seconds where it is not."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import backfill as bf
from backfill.account.account import Account, Keys, account_of, account_to_plan
from backfill.errors import UsageError
from backfill.running.known_accounts import known_account, remember_account
from backfill.sandbox import Sandbox
from backfill.wire.apis import BULK
from tests.conftest import Tool

KEY = "pk_ABC123_0123456789"
SCHEMA = """
name: offline
profiles: none
customer_properties: {$email: Email}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}"}
"""
UNKNOWN = "note: Klaviyo did not say whose key this is"


@pytest.fixture
def shop(tool: Tool) -> Tool:
    (tool.folder / "s.yaml").write_text(SCHEMA)
    rows = "".join(f"{no},p{no}@shop.example,2020-01-01T00:00:00Z\n" for no in range(5))
    (tool.folder / "e.csv").write_text("No,Email,At\n" + rows)
    return tool


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """It takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url_of(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_plan_leaves_out_what_was_delivered_without_asking_again(shop: Tool):
    with Sandbox() as sandbox:
        sent = shop("run", "s.yaml", "e.csv", "--url", sandbox.url, KLAVIYO_PRIVATE_KEY=KEY)
        url = sandbox.url
    assert sent.code == 0, sent.err

    began = time.monotonic()  # nobody listens there any more
    plan = shop("plan", "s.yaml", "e.csv", "--url", url, "--json", KLAVIYO_PRIVATE_KEY=KEY)

    assert plan.code == 0, plan.err
    assert plan.summary["already"] == 5
    assert UNKNOWN not in plan.err
    assert time.monotonic() - began < 30
    held = (shop.folder / ".backfill" / "accounts.json").read_text()
    assert KEY not in held


@pytest.mark.parametrize("rotated", [True, False], ids=["another key", "another state folder"])
def test_without_an_answer_it_goes_on_and_says_what_that_means(shop: Tool, mute, *, rotated: bool):
    url = url_of(mute)
    known = shop.folder / (".backfill" if rotated else "other")
    known.mkdir(mode=0o700)
    remember_account(known, url, KEY, "ABC123")
    key = KEY + "x" if rotated else KEY

    began = time.monotonic()
    plan = shop("plan", "s.yaml", "e.csv", "--url", url, KLAVIYO_PRIVATE_KEY=key)

    assert plan.code == 0, plan.err
    assert f"{UNKNOWN} (no answer in 5 s): what was delivered before is not looked at" in plan.err
    assert "--account NAME" in plan.err
    assert time.monotonic() - began < 30


def test_with_account_it_does_not_ask(shop: Tool, mute):
    args = ["plan", "s.yaml", "e.csv", "--url", url_of(mute), "--account", "ABC123"]
    plan = shop(*args, KLAVIYO_PRIVATE_KEY=KEY)
    mute.setblocking(False)

    assert plan.code == 0, plan.err
    assert UNKNOWN not in plan.err
    with pytest.raises(BlockingIOError):
        mute.accept()


def test_preview_does_not_ask(shop: Tool, mute):
    shown = shop("preview", "s.yaml", "e.csv", "--url", url_of(mute), KLAVIYO_PRIVATE_KEY=KEY)
    mute.setblocking(False)

    assert shown.code == 0, shown.err
    with pytest.raises(BlockingIOError):
        mute.accept()


def test_a_notebook_plans_offline_too(shop: Tool, mute):
    state = shop.folder / "state"
    where = {"state": state, "url": url_of(mute), "private_key": KEY}

    report = bf.plan(shop.folder / "s.yaml", str(shop.folder / "e.csv"), **where)

    assert any("did not say whose key" in note for note in report.summary.notes)


def test_a_name_that_is_not_the_known_account_is_refused():
    with pytest.raises(UsageError, match="--account OTHER1 is not the account of the private key"):
        account_to_plan("https://a.klaviyo.com", Keys("", KEY, "OTHER1"), BULK, lambda _: "ABC123")


def test_only_what_klaviyo_said_is_remembered():
    with Sandbox() as sandbox:
        asked = account_of(sandbox.url, Keys("", KEY), BULK)
    named = account_to_plan(URL, Keys("", KEY, "N"), BULK)

    assert (asked.id, asked.is_confirmed) == ("ABC123", True)
    assert (named.id, named.is_confirmed) == ("N", False)


# accounts.json ----------------------------------------------------------------------------------

URL = "https://a.klaviyo.com"


def test_an_account_is_known_by_key_and_url(tmp_path: Path):
    remember_account(tmp_path, URL, KEY, "ABC123")
    remember_account(tmp_path, URL, KEY + "2", "OTHER1")

    assert known_account(tmp_path, URL, KEY) == "ABC123"
    assert known_account(tmp_path, URL, KEY + "2") == "OTHER1"
    assert known_account(tmp_path, URL, KEY + "3") is None
    assert known_account(tmp_path, "http://127.0.0.1:1", KEY) is None
    assert KEY not in (tmp_path / "accounts.json").read_text()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text.replace("ABC123", "OTHER1"), id="another id"),
        pytest.param(lambda text: text[: len(text) // 2], id="half a file"),
        pytest.param(lambda _: "[1, null, {}]", id="other JSON"),
        pytest.param(lambda _: '{"id": "ABC123"}', id="no list"),
        pytest.param(lambda _: "[" * 100_000, id="deep JSON"),
    ],
)
def test_a_file_that_was_changed_tells_nothing(tmp_path: Path, spoil):
    remember_account(tmp_path, URL, KEY, "ABC123")
    path = tmp_path / "accounts.json"
    path.write_text(spoil(path.read_text()))

    assert known_account(tmp_path, URL, KEY) is None


def test_an_account_without_a_key_shows_nothing():
    assert "pk_" not in repr(Account(URL, KEY, BULK, "ABC123"))
