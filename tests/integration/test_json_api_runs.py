"""The JSON:API by the command line: what lands, under whose account, and what is said."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import backfill as bf
from backfill.account.account import Keys, account_of
from backfill.report.summary import Summary
from backfill.running.run import Backfill
from backfill.running.settings import Hooks, Options
from backfill.sandbox import Behaviour, Sandbox
from backfill.schema.load import load_schema
from backfill.wire.apis import BULK
from tests.conftest import ROOT, SALES, SALES_SCHEMA, Said, Tool, environment

pytestmark = pytest.mark.slow

KEY = "pk_LOCAL1_0123456789abcdef"
DEMO = ROOT / "backfill" / "cli" / "demo"


def sent(tool: Tool, api: str, sandbox: Sandbox, *more: object, key: str = KEY) -> Said:
    return tool(
        *("run", DEMO / "orders.yaml", DEMO / "orders.csv", "--url", sandbox.url, "--api", api),
        *("--rate", "none", "--max-rejects", "6", "--json", *more),
        KLAVIYO_PRIVATE_KEY=key,
        KLAVIYO_PUBLIC_KEY="LOCAL1",
    )


def kept(sandbox: Sandbox) -> tuple[list[Any], list[Any]]:
    """All events and profiles, in an order of their own and without what Track has not."""
    events = [{k: v for k, v in one.items() if k != "backfill"} for one in sandbox.events()]
    for one in events:
        one.pop("api", None)
        one["profile"].pop("id", None)
    profiles = [{k: v for k, v in one.items() if k != "id"} for one in sandbox.profiles()]
    return sorted(map(_text, events)), sorted(map(_text, profiles))


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def test_all_three_apis_leave_the_same_events_and_profiles(tool: Tool):
    landed = {}
    for api in ("track", "events", "bulk"):
        with Sandbox() as sandbox:
            said = sent(tool, api, sandbox, "--state", f"state-{api}")
            assert said.code == 0, said.err
            stats = sandbox.stats()
            landed[api] = kept(sandbox)
        assert (said.summary["api"], said.summary["delivered"]) == (api, 1_264)
        assert (stats["recorded"], stats["merged"]) == (1_264, 0)
        assert stats["would_trigger_flows"] == 0
        assert said.summary["requests"] == (2 if api == "bulk" else 1_264)
    assert landed["events"] == landed["track"]
    assert landed["bulk"] == landed["track"]


def test_all_of_adventureworks_goes_in_bulk(tool: Tool):
    with Sandbox() as sandbox:
        said = tool(
            *("run", SALES_SCHEMA, SALES, "--url", sandbox.url, "--rate", "none", "--json"),
            KLAVIYO_PRIVATE_KEY=KEY,
        )
        stats = sandbox.stats()
    assert said.code == 0, said.err
    assert stats["metrics"] == {"Placed Order": 16_459, "Ordered Product": 32_718}
    assert (stats["received"], stats["recorded"], stats["merged"]) == (49_177, 49_177, 0)
    assert (said.summary["requests"], stats["profiles"]) == (50, 12_427)


def test_another_key_and_another_api_of_one_account_post_nothing_twice(tool: Tool):
    with Sandbox() as sandbox:
        first = sent(tool, "bulk", sandbox)
        rotated = sent(tool, "bulk", sandbox, key="pk_LOCAL1_fedcba9876543210")
        track = sent(tool, "track", sandbox)
        other = sent(tool, "bulk", sandbox, key="pk_OTHER2_0123456789abcdef")
        received = sandbox.stats()["received"]
    assert [said.code for said in (first, rotated, track, other)] == [0, 0, 0, 0]
    delivered = [said.summary["delivered"] for said in (first, rotated, track, other)]
    assert delivered == [1_264, 0, 0, 1_264]
    assert received == 2 * 1_264


def test_a_key_that_may_not_read_its_account_needs_a_name(tool: Tool):
    with Sandbox(behaviour=Behaviour(scopes=("events:write",))) as sandbox:
        without = sent(tool, "bulk", sandbox)
        named = sent(tool, "bulk", sandbox, "--account", "LOCAL1")
        track = sent(tool, "track", sandbox)
    assert (without.code, named.code, track.code) == (2, 0, 0), without.err + named.err
    assert "accounts:read" in without.err
    assert "--account NAME" in without.err
    assert (named.summary["delivered"], track.summary["delivered"]) == (1_264, 0)


def test_a_name_that_is_not_the_keys_account_is_told(tool: Tool):
    with Sandbox() as sandbox:
        said = sent(tool, "bulk", sandbox, "--account", "OTHER2")
        assert sandbox.stats()["received"] == 0
    assert said.code == 2
    assert "--account OTHER2 is not the account of the private key" in said.err


def test_flows_start_only_where_it_is_said(tool: Tool):
    with Sandbox() as sandbox:
        said = sent(tool, "bulk", sandbox, "--trigger-flows")
        assert said.code == 0, said.err
        assert sandbox.stats()["would_trigger_flows"] == 1_264
    assert "--trigger-flows: old orders may start the account's live flows" in said.err


@pytest.mark.parametrize(
    ("arguments", "keys", "told"),
    [
        pytest.param(
            ["--api", "bulk", "--url", "https://klaviyo.example"],
            {},
            "KLAVIYO_PRIVATE_KEY is not set",
            id="no private key",
        ),
        pytest.param(
            ["--url", "https://klaviyo.example"],
            {"KLAVIYO_PUBLIC_KEY": "pk_0123456789"},
            "belongs in KLAVIYO_PRIVATE_KEY",
            id="a private key as a public one",
        ),
        pytest.param(
            ["--url", "https://klaviyo.example"],
            {"KLAVIYO_PRIVATE_KEY": "ABC123"},
            "which begins with pk_",
            id="a public key as a private one",
        ),
        pytest.param(
            ["--api", "events", "--method", "get"],
            {"KLAVIYO_PRIVATE_KEY": "pk_0123456789"},
            "--method get is for --api track",
            id="a GET of the JSON:API",
        ),
        pytest.param(["--quota", "0%"], {}, "--quota '0%' is not a share", id="no share"),
    ],
)
def test_what_cannot_be_asked_is_one_line(tool: Tool, arguments, keys, told):
    said = tool("run", DEMO / "orders.yaml", DEMO / "orders.csv", *arguments, **keys)
    assert said.code == 2
    assert told in said.err
    assert "pk_0123456789" not in said.err


def test_consent_cannot_go_with_an_event_of_the_json_api(tool: Tool):
    (tool.folder / "s.yaml").write_text(
        "name: s\nprofiles: none\ncustomer_properties:\n  $email: Email\n"
        "  $consent: {value: [email]}\n"
        "events:\n  - {event: Seen, time: At, properties: {$event_id: '{No}'}}\n".replace(
            "{value: [email]}", "Consent"
        )
        + "columns: {Consent: {list: ';'}}\n"
    )
    (tool.folder / "e.csv").write_text(
        "No,Email,At,Consent\n1,a@x.example,2020-01-01T00:00:00Z,email\n"
    )
    with Sandbox() as sandbox:
        bulk = tool("run", "s.yaml", "e.csv", "--url", sandbox.url, "--api", "bulk")
        track = tool("run", "s.yaml", "e.csv", "--url", sandbox.url, "--api", "track")
    assert (bulk.code, track.code) == (2, 0), bulk.err + track.err
    assert "s.yaml:5: $consent" in bulk.err
    assert "subscri" in bulk.err.lower()


def test_a_currency_travels_by_the_json_api_alone(tool: Tool):
    (tool.folder / "s.yaml").write_text(
        "name: s\ncustomer_properties: {$email: Email}\nevents:\n"
        "  - event: Placed Order\n    time: At\n    currency: Currency\n"
        "    properties: {$event_id: '{No}', $value: {column: Total, as: money}}\n"
    )
    (tool.folder / "e.csv").write_text(
        "No,Email,At,Total,Currency\n1,a@x.example,2020-01-01T00:00:00Z,5.50,sek\n"
    )
    found = {}
    for api in ("track", "events", "bulk"):
        with Sandbox() as sandbox:
            said = tool("run", "s.yaml", "e.csv", "--url", sandbox.url, "--api", api)
            assert said.code == 0, said.err
            [event] = sandbox.events()
            found[api] = event["properties"].get("$value_currency")
    assert found == {"track": None, "events": "SEK", "bulk": "SEK"}


def test_a_line_of_curl_posts_what_the_run_posts(tool: Tool):
    export = (DEMO / "orders.yaml", DEMO / "orders.csv")
    with Sandbox() as sandbox:
        shown = tool(
            *("preview", *export, "--as", "curl", "--limit", "20", "--profiles", "none"),
            *("--api", "bulk", "--url", sandbox.url),
        )
        pasted = subprocess.run(
            ["sh", "-e"],
            input=shown.out,
            env=environment() | {"KLAVIYO_PRIVATE_KEY": KEY},
            capture_output=True,
            text=True,
            check=True,
        )
        alone = sandbox.stats()
        said = sent(tool, "bulk", sandbox, "--profiles", "none")
        stats = sandbox.stats()
    assert set(pasted.stdout.split()) == {"202"}
    assert alone["recorded"] == len(pasted.stdout.split()) > 20
    assert said.code == 0
    assert (stats["recorded"], stats["merged_different"]) == (1_264, 0)
    assert stats["merged"] == alone["recorded"]


def test_verify_finds_what_is_there_and_resend_mends_what_is_not(tool: Tool):
    export = (DEMO / "orders.yaml", DEMO / "orders.csv")
    with Sandbox() as sandbox:
        young = ("--url", sandbox.url, "--json")
        rest = (*young, "--visibility-delay", "0s")
        sent(tool, "bulk", sandbox)
        whole = tool("verify", *export, *rest, KLAVIYO_PRIVATE_KEY=KEY)
        sandbox.lose([event["event_id"] for event in sandbox.events()][100:137])
        hidden = tool("verify", *export, *young, "--resend", KLAVIYO_PRIVATE_KEY=KEY)
        lacking = tool("verify", *export, *rest, KLAVIYO_PRIVATE_KEY=KEY)
        resend = tool("verify", *export, *rest, "--resend", KLAVIYO_PRIVATE_KEY=KEY)
        mended = sent(tool, "bulk", sandbox)
        again = tool("verify", *export, *rest, KLAVIYO_PRIVATE_KEY=KEY)
    assert (whole.code, lacking.code, resend.code, again.code) == (0, 1, 1, 0), whole.err
    assert (whole.summary["found"], whole.summary["missing"]) == (1_264, 0)
    assert lacking.summary["missing"] >= 37
    assert (hidden.code, hidden.summary["missing"], hidden.summary["struck"]) == (3, 0, 0)
    assert hidden.summary["not_visible"] == lacking.summary["missing"]
    assert "delivered less than 10 min ago and not visible yet" in hidden.err
    assert resend.summary["struck"] == lacking.summary["missing"]
    assert mended.summary["delivered"] == lacking.summary["missing"]
    assert again.summary["missing"] == 0


def test_a_signal_ends_the_waiting_of_verify_at_once(tool: Tool):
    export = (DEMO / "orders.yaml", DEMO / "orders.csv")
    with Sandbox(behaviour=Behaviour(visible_after_s=3_600)) as sandbox:
        sent(tool, "bulk", sandbox)
        waiting = tool.start("verify", *export, "--url", sandbox.url, "--wait", "--resend")
        assert waiting.stderr is not None
        line = next(line for line in waiting.stderr if line.startswith("waiting"))
        waiting.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, err = waiting.communicate(timeout=60)
        ended_s = time.monotonic() - began
        again = sent(tool, "bulk", sandbox)
    assert re.match(r"waiting for Klaviyo to show 1,264 events .* at most (9|10) min", line)
    assert (waiting.returncode, ended_s < 10) == (3, True)
    assert "1,264 events delivered less than 10 min ago and not visible yet" in err
    assert again.summary["delivered"] == 0


def test_a_run_says_that_the_account_shows_what_it_delivered(tool: Tool):
    with Sandbox() as sandbox:
        said = sent(tool, "bulk", sandbox, "--verify")
        again = sent(tool, "bulk", sandbox, "--verify")
        status = tool("status")
    there = {"found": 1_264, "not_visible": 0, "missing": 0, "unexpected": 0}
    assert (said.code, said.summary["in_account"]) == (0, there)
    assert "       1,264 found in the account, all that was delivered\n" in said.err
    assert (again.code, again.summary["in_account"]) == (0, None)
    assert "1,264 delivered, 0 left, 1,264 found\n" in status.err
    folder = tool.folder / ".backfill" / "runs" / said.summary["run"]
    assert json.loads((folder / "summary.json").read_text())["in_account"] == there
    assert "found in the account" in (folder / "report.html").read_text()
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    [line] = [line for line in log if line["what"] == "verified"]
    assert (line["delivered"], line["found"], line["missing"]) == (1_264, 1_264, 0)


def test_a_run_whose_events_are_missing_ends_as_verify_does(tool: Tool):
    with Sandbox(behaviour=Behaviour(visible_after_s=3_600)) as sandbox:
        said = sent(tool, "bulk", sandbox, "--verify", "--visibility-delay", "0s")
    assert (said.code, said.summary["state"]) == (1, "finished")
    assert said.summary["in_account"]["missing"] == 1_264
    assert "0 found in the account, 1,264 missing\n" in said.err
    assert "and 8 days more" not in said.err
    assert len(said.err.splitlines()) < 60


def test_a_key_that_may_not_read_delivers_as_well(tool: Tool):
    with Sandbox(behaviour=Behaviour(scopes=["events:write", "accounts:read"])) as sandbox:
        said = sent(tool, "bulk", sandbox, "--verify")
    assert (said.code, said.summary["in_account"]) == (0, None)
    assert "whether the account shows what was delivered is not known" in said.err
    assert "metrics:read" in said.err


def test_a_signal_ends_the_waiting_of_a_run_and_not_its_delivery(tool: Tool):
    export = (DEMO / "orders.yaml", DEMO / "orders.csv")
    with Sandbox(behaviour=Behaviour(visible_after_s=3_600)) as sandbox:
        rest = ("--url", sandbox.url, "--api", "bulk", "--verify", "--max-rejects", "6")
        running = tool.start("run", *export, *rest)
        assert running.stderr is not None
        next(line for line in running.stderr if line.startswith("waiting"))
        meanwhile = tool("status")
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)
    assert "finished" in meanwhile.err
    assert running.returncode == 0
    assert "0 found in the account, 1,264 not visible yet\n" in err
    assert "1,264 events delivered and not visible yet: backfill verify looks again" in err


def test_a_notebook_takes_a_private_key(tmp_path: Path):
    with Sandbox() as sandbox:
        ran = bf.run(
            DEMO / "orders.yaml",
            DEMO / "orders.csv",
            url=sandbox.url,
            private_key=KEY,
            state=tmp_path / "state",
        )
        assert sandbox.stats()["recorded"] == 1_264
    assert (ran.summary.api, ran.summary.requests) == ("bulk", 2)


def test_before_a_live_run_twins_and_live_flows_are_named(tmp_path: Path):
    """What the confirmation shows beside the plan; a sandbox needs none, so it is called here."""
    asked: list[str] = []

    def confirm(_: Summary, remarks: Callable[[], Sequence[str]]) -> bool:
        asked.extend(remarks())
        return False

    flows = {"Placed Order": [("Thank you", "live"), ("Old one", "draft")]}
    schema = load_schema(DEMO / "orders.yaml")
    with Sandbox(behaviour=Behaviour(flows=flows)) as sandbox:
        account = account_of(sandbox.url, Keys(private=KEY), BULK)
        first = Options(limit=500)
        Backfill(schema, [DEMO / "orders.csv"], tmp_path / "a", account, first, Hooks()).run()
        hooks = Hooks(confirm=confirm)
        work = Backfill(schema, [DEMO / "orders.csv"], tmp_path / "a", account, Options(), hooks)
        ended = work.run()
        received = sandbox.stats()["received"]
    assert ended.summary.state == "gated"
    assert received == 500
    told = [line for line in asked if line.startswith('"Placed Order"')]
    assert told == [
        '"Placed Order": the account has it from the API; 1 live flow hangs on it: "Thank you"'
    ]


def test_what_klaviyo_says_of_its_window_is_shown(tool: Tool):
    with Sandbox(rate_limits=True) as sandbox:
        said = sent(tool, "bulk", sandbox)
    assert said.code == 0, said.err
    assert re.search(r"leaves 14\d of 150 requests for the next \d+ s", said.err)


def test_a_run_of_which_every_event_is_refused_ends_early(tool: Tool):
    """A clock that stands in 2001 takes all of them for the future."""
    rows = [f"{no},p{no}@x.example,2020-01-01T00:00:00Z" for no in range(4_000)]
    (tool.folder / "e.csv").write_text("\n".join(["No,Email,At", *rows]) + "\n")
    (tool.folder / "s.yaml").write_text(
        "name: s\ncustomer_properties: {$email: Email}\nevents:\n"
        "  - {event: Seen, time: At, properties: {$event_id: '{No}'}}\n"
    )
    command = ("run", "s.yaml", "e.csv", "--api", "bulk", "--concurrency", "1", "--rate", "none")
    with Sandbox(clock=lambda: 1_000_000_000.0) as sandbox:
        said = tool(*command, "--url", sandbox.url, "--json")
        assert sandbox.stats()["recorded"] == 0
    assert said.code == 5
    assert re.search(r"Klaviyo refused the first 1,0\d\d events and took none", said.err)
    assert said.summary["refused"] + said.summary["left"] == 4_000
    assert 1_000 < said.summary["refused"] < 1_100
