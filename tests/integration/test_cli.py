"""The command line as a person meets it: bad exports, gates, exit codes, what is printed."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill.sandbox import Sandbox
from tests.conftest import Tool

SCHEMA = """
name: small
source: {order: No, line: [Item]}
columns: {Sum: money}
customer_properties: {$email: Mail}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Sum, Items: {each: Item}}
"""
HEADER = "No,Mail,At,Sum,Item\n"
GOOD = HEADER + "1,a@x.example,2020-01-01T00:00:00Z,10,tea\n"
PARQUET = pa.table({"No": ["1"], "Mail": ["a@x.example"], "At": ["x"], "Sum": ["1"], "Item": ["y"]})


def parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(PARQUET, sink)
    return sink.getvalue().to_pybytes()


def wrong_checksum() -> bytes:
    packed = bytearray(gzip.compress(GOOD.encode()))
    packed[-8] ^= 0xFF
    return bytes(packed)


@pytest.fixture
def small(tool: Tool) -> Tool:
    (tool.folder / "s.yaml").write_text(SCHEMA)
    (tool.folder / "good.csv").write_text(GOOD)
    return tool


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="an empty file"),
        pytest.param(HEADER.replace("Mail", "Mial").encode(), '"Mail"', id="no such column"),
        pytest.param(b"No,Mail,At,Sum,Item,Sum\n", "2 times", id="a used name twice"),
        pytest.param(bytes(range(256)) * 40, "", id="binary"),
        pytest.param(b"PK\x03\x04" + bytes(200), "CSV", id="an Excel workbook"),
        pytest.param(gzip.compress(GOOD.encode() * 50)[:-30], "", id="a truncated gzip"),
        pytest.param(wrong_checksum(), "", id="a wrong gzip checksum"),
        pytest.param(parquet_bytes()[:-20], "", id="a truncated Parquet"),
        pytest.param((GOOD + '2,"b@x.example,z,1,x\n').encode(), "quote", id="an open quote"),
        pytest.param((GOOD + '2,b@x.example,z,1,"x\n').encode(), "quote", id="open in the last"),
    ],
)
def test_an_export_that_cannot_be_right_is_one_clear_line(
    small: Tool, sandbox: Sandbox, content: bytes, reason: str
):
    (small.folder / "bad.csv").write_bytes(content)
    said = small("run", "s.yaml", "bad.csv", "good.csv", "--url", sandbox.url, "--json")
    assert said.code == 2, said.err
    [line] = [line for line in said.err.splitlines() if line.startswith("backfill: ")]
    assert reason in line
    assert sandbox.stats()["requests"] == 0
    assert "bad.csv" in line


def test_a_file_that_is_not_there(small: Tool):
    said = small("plan", "s.yaml", "nowhere.csv")
    assert (said.code, "nowhere.csv" in said.err) == (2, True)


def test_a_header_without_rows_is_a_whole_export_with_nothing_in_it(small: Tool, sandbox: Sandbox):
    (small.folder / "none.csv").write_text(HEADER)
    said = small("run", "s.yaml", "none.csv", "--url", sandbox.url, "--json")
    assert (said.code, said.summary["rows"], said.summary["events"]) == (0, 0, 0)


def test_a_ragged_row_makes_its_order_a_reject(small: Tool):
    (small.folder / "r.csv").write_text(
        GOOD + "1,a@x.example,2020-01-01T00:00:00Z,10\n2,b@x.example,2020-01-01T00:00:00Z,5,cup\n"
    )
    said = small("plan", "s.yaml", "r.csv", "--json")
    assert said.code == 1
    assert said.summary["reasons"] == {"ragged_row": 1}
    assert (said.summary["orders"], said.summary["events"]) == (2, 1)


def test_short_rows_are_filled_where_the_schema_says_so(small: Tool):
    padded = SCHEMA.replace("line: [Item]", "line: [Item], ragged: pad")
    (small.folder / "s.yaml").write_text(padded)
    (small.folder / "r.csv").write_text(GOOD + "1,,,\n")
    said = small("plan", "s.yaml", "r.csv", "--json")
    assert (said.code, said.summary["events"]) == (0, 1)


def test_the_summary_has_what_is_promised(small: Tool, sandbox: Sandbox):
    said = small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--json")
    promised = (
        "rows orders events delivered already refused left rejected reasons requests bytes "
        "seconds run state"
    )
    assert said.code == 0
    assert set(promised.split()) <= said.summary.keys()
    assert len(said.out.splitlines()) == 1


@pytest.mark.slow
def test_too_many_rejects_send_nothing(small: Tool, sandbox: Sandbox):
    (small.folder / "bad.csv").write_text(GOOD + "2,nobody,2020-01-01T00:00:00Z,10,tea\n")
    command = ("run", "s.yaml", "bad.csv", "--url", sandbox.url)
    said = small(*command, "--max-rejects", "0")
    assert (said.code, sandbox.stats()["requests"]) == (4, 0)
    assert "more than --max-rejects 0" in said.err
    assert small(*command, "--max-rejects", "50%").code == 0
    assert small(*command).code == 1


@pytest.mark.slow
def test_only_the_expected_plan_is_sent(small: Tool, sandbox: Sandbox):
    digest = small("plan", "s.yaml", "good.csv", "--json").summary["digest"]
    (small.folder / "more.csv").write_text(GOOD.replace(",10,", ",11,"))
    changed = small("run", "s.yaml", "more.csv", "--url", sandbox.url, "--expect", digest)
    assert (changed.code, sandbox.stats()["requests"]) == (4, 0)
    same = small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--expect", digest)
    assert (same.code, sandbox.stats()["recorded"]) == (0, 1)


@pytest.mark.slow
def test_an_edited_id_rule_stops_the_run_unless_it_is_meant(small: Tool, sandbox: Sandbox):
    command = ("run", "s.yaml", "good.csv", "--url", sandbox.url)
    assert small(*command).code == 0
    (small.folder / "s.yaml").write_text(SCHEMA.replace('"{No}"', '"order-{No}"'))
    said = small(*command)
    assert (said.code, sandbox.stats()["requests"]) == (4, 1)
    assert "--new-ids" in said.err
    assert small(*command, "--new-ids").code == 0


@pytest.mark.slow
def test_an_order_that_changed_is_named_and_stays_as_it_was(small: Tool, sandbox: Sandbox):
    small("run", "s.yaml", "good.csv", "--url", sandbox.url)
    (small.folder / "good.csv").write_text(GOOD.replace(",10,", ",12,"))
    said = small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--json")
    assert (said.code, said.summary["already"], said.summary["changed_orders"]) == (0, 1, 1)
    assert "1 order changed since delivered" in said.err


@pytest.mark.slow
def test_a_limit_is_reached_and_the_same_command_goes_on(small: Tool, sandbox: Sandbox):
    rows = "".join(f"{no},a@x.example,2020-01-01T00:00:00Z,10,tea\n" for no in range(5))
    (small.folder / "five.csv").write_text(HEADER + rows)
    command = ("run", "s.yaml", "five.csv", "--url", sandbox.url, "--limit", "2", "--json")
    said = [small(*command) for _ in range(3)]
    assert [one.code for one in said] == [3, 3, 0]
    assert [one.summary["left"] for one in said] == [3, 1, 0]
    assert sandbox.stats()["recorded"] == 5


def test_until_leaves_out_what_is_later(small: Tool):
    (small.folder / "two.csv").write_text(GOOD + "2,a@x.example,2021-01-01T00:00:00Z,10,tea\n")
    said = small("plan", "s.yaml", "two.csv", "--until", "2021-01-01", "--json")
    assert (said.summary["events"], said.summary["rows_left_out"]) == (1, 1)


def test_a_live_account_is_asked_for(small: Tool):
    said = small(
        "run", "s.yaml", "good.csv", "--url", "https://klaviyo.invalid", KLAVIYO_PUBLIC_KEY="ABC123"
    )
    assert said.code == 4
    assert "--yes" in said.err
    assert "2024-06-30" in said.err


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("", "KLAVIYO_PUBLIC_KEY is not set", id="no key"),
        pytest.param("pk_0123456789", "six letters and digits", id="a private key"),
    ],
)
def test_beyond_this_machine_a_public_key_is_needed(small: Tool, key: str, words: str):
    said = small("run", "s.yaml", "good.csv", KLAVIYO_PUBLIC_KEY=key)
    assert said.code == 2
    assert words in said.err
    assert not key or key not in said.err


def test_plain_http_beyond_this_machine_is_refused(small: Tool):
    said = small(
        "run",
        "s.yaml",
        "good.csv",
        "--url",
        "http://klaviyo.invalid",
        "--yes",
        KLAVIYO_PUBLIC_KEY="ABC123",
    )
    assert (said.code, "https" in said.err) == (2, True)


def test_what_klaviyo_refuses_is_recorded_and_sent_again_next_time(small: Tool):
    (small.folder / "f.yaml").write_text("{seed: 1, faults: []}")
    with Sandbox() as sandbox:
        # Track answers 0 for an e-mail that it takes for none; ours accepts the longest label
        address = "a@" + "b" * 63 + ".example"
        (small.folder / "good.csv").write_text(GOOD.replace("a@x.example", address))
        said = small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--json")
    assert said.code == 0


def test_an_endpoint_that_is_gone_ends_with_its_own_code(small: Tool, sandbox: Sandbox):
    said = small("run", "s.yaml", "good.csv", "--url", sandbox.url + "/nothing", "--json")
    assert said.code == 5
    assert "retired the Track API" in said.err
    assert said.summary["left"] == 1


def test_no_private_thing_is_printed_or_readable_by_others(small: Tool, sandbox: Sandbox):
    (small.folder / "good.csv").write_text(
        GOOD + "2,marker-person at x,2020-01-01T00:00:00Z,1,tea\n"
    )
    said = small(
        "run", "s.yaml", "good.csv", "--url", sandbox.url, "--json", KLAVIYO_PUBLIC_KEY="KEY777"
    )
    state = small.folder / ".backfill"
    shown = (
        said.out
        + said.err
        + "".join(
            path.read_text(errors="replace")
            for path in state.rglob("*")
            if path.is_file() and path.name != "rejects.csv"
        )
    )
    assert "marker-person" not in shown
    assert "a@x.example" not in shown
    assert "KEY777" not in shown
    modes = {path.stat().st_mode & 0o777 for path in [state, *state.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    files = {path.stat().st_mode & 0o777 for path in state.rglob("*") if path.is_file()}
    assert files == {0o600}


def test_status_lists_runs_and_the_command_that_goes_on(small: Tool, sandbox: Sandbox):
    rows = "".join(f"{no},a@x.example,2020-01-01T00:00:00Z,10,tea\n" for no in range(3))
    (small.folder / "good.csv").write_text(HEADER + rows)
    small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--limit", "1")
    said = small("status", "--json")
    [run] = json.loads(said.out.splitlines()[-1])["runs"]
    assert run["state"] == "stopped"
    assert run["next"] == f"backfill run s.yaml good.csv --url {sandbox.url} --limit 1"
    assert "go on with" in said.err


def test_preview_shows_whole_orders_and_rejects_beside_them(small: Tool):
    (small.folder / "good.csv").write_text(
        f"{GOOD}2,nobody,2020-01-01T00:00:00Z,10,cup\n1,,,,pot\n"
        "3,c@x.example,2020-01-01T00:00:00Z,1,pot\n"
    )
    said = small("preview", "s.yaml", "good.csv", "--limit", "2")
    assert said.code == 0
    assert "good.csv row 2: 1 event\n" in said.out
    assert "Items      [tea, pot]\n" in said.out
    assert 'good.csv row 3: reject not_an_email ("Mail")' in said.out
    assert "c@x.example" not in said.out


def test_check_shows_all_problems_with_their_lines(small: Tool):
    (small.folder / "s.yaml").write_text(
        SCHEMA.replace("Mail}", "Mial}").replace("$value: Sum", "$value: Smu")
    )
    said = small("check", "s.yaml", "good.csv")
    assert said.code == 2
    there = "is not in good.csv (comma between cells, ascii)"
    assert f's.yaml:5: column "Mial" {there}; did you mean "Mail"?' in said.err
    assert f'column "Smu" {there}; did you mean "Sum"?' in said.err


def test_profiles_must_be_chosen_where_a_schema_maps_more_than_an_identifier(small: Tool):
    (small.folder / "s.yaml").write_text(
        SCHEMA.replace("$email: Mail", "$email: Mail, $city: Item").replace(", line: [Item]", "")
    )
    text = (small.folder / "s.yaml").read_text().replace("Items: {each: Item}", "Item: Item")
    (small.folder / "s.yaml").write_text(text)
    assert "--profiles newest" in small("plan", "s.yaml", "good.csv").err
    assert small("plan", "s.yaml", "good.csv", "--profiles", "none").code == 0


def test_the_sandbox_says_its_url_on_the_first_line(tool: Tool):
    process = tool.start("sandbox")
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    assert url.startswith("http://127.0.0.1:")
    process.terminate()
    process.communicate()
    assert process.returncode == 0


def test_the_demo_records_what_it_planned(tool: Tool):
    said = tool("demo")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()[-4:]]
    assert all(row[-1] == row[-2] for row in rows)
    assert not list(tool.folder.iterdir())


def test_help_has_a_line_for_every_command(tool: Tool):
    said = tool("--help", COLUMNS="80")
    for name in ("check", "preview", "plan", "run", "status", "schema-json", "sandbox", "demo"):
        assert name in said.out
    _usage, *lines = said.out.splitlines()
    assert [line for line in lines if line.endswith("...")] == []  # none is cut


def test_the_json_schema_is_printed(tool: Tool):
    assert "customer_properties" in json.loads(tool("schema-json").out)["properties"]


def test_a_state_folder_that_is_a_file_is_refused(small: Tool, sandbox: Sandbox):
    (small.folder / "file").write_text("")
    said = small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--state", "file")
    assert (said.code, "file" in said.err) == (2, True)


@pytest.mark.slow
def test_a_plan_is_kept_where_asked_and_else_removed(small: Tool, sandbox: Sandbox):
    runs = small.folder / ".backfill" / "runs"
    small("run", "s.yaml", "good.csv", "--url", sandbox.url)
    assert not list(runs.glob("*/plan"))
    small("run", "s.yaml", "good.csv", "--url", sandbox.url, "--keep-plan")
    small("run", "s.yaml", "good.csv", "--url", sandbox.url)
    [kept] = runs.glob("*/plan")
    assert list(kept.glob("events-*.parquet"))


def test_two_files_and_a_glob_are_one_export(small: Tool):
    Path(small.folder / "b.csv").write_text(
        "Item,Sum,At,Mail,No\ncup,5,2020-01-02T00:00:00Z,b@x.example,9\n"
    )
    said = small("plan", "s.yaml", "*.csv", "--json")
    assert (said.code, said.summary["events"]) == (0, 2)
