"""What must not be sent: found by people who tried to make the tool do harm."""

import json
import sqlite3
from pathlib import Path

import pytest

from backfill.sandbox import Sandbox
from tests.conftest import Tool

pytestmark = pytest.mark.slow

ORDERS = """
name: careful
source: {order: No, line: [Item, Price]}
columns: {Price: money}
customer_properties: {$email: Mail}
events:
  - event: Placed Order
    time: At
    properties:
      {$event_id: "{No}", $value: {sum: Price}, Items: {each: Item},
       Status: {column: Status, optional: true}}
"""
HEADER = "No,Mail,At,Item,Price\n"


def write(tool: Tool, schema: str, **files: str) -> None:
    (tool.folder / "s.yaml").write_text(schema)
    for name, text in files.items():
        (tool.folder / f"{name}.csv").write_text(text)


def items(sandbox: Sandbox) -> list[object]:
    return [(e["properties"]["Items"], e["value"]) for e in sandbox.events()]


def rejects_of(tool: Tool) -> Path:
    return max(tool.folder.glob(".backfill/runs/*/rejects.csv"), key=lambda p: p.stat().st_mtime_ns)


def test_corrected_rejects_of_overlapping_files_hold_each_line_once(tool: Tool, sandbox: Sandbox):
    row = "1,a at x.example,2020-01-01T00:00:00Z,{},{}\n"
    text = HEADER + row.format("A", 5) + row.format("B", 10)
    write(tool, ORDERS, a=text, b=text)
    tool("run", "s.yaml", "a.csv", "b.csv", "--url", sandbox.url)
    first = rejects_of(tool)
    # fed in without being mended first: its rows keep the files that they came from
    tool("run", "s.yaml", first, "--url", sandbox.url)
    mended = rejects_of(tool)
    mended.write_text(mended.read_text().replace(" at ", "@"))
    assert tool("run", "s.yaml", mended, "--url", sandbox.url).code == 0
    assert items(sandbox) == [(["A", "B"], 15)]


def test_the_rejects_of_two_nights_together_hold_each_line_once(tool: Tool, sandbox: Sandbox):
    row = "1,a at x.example,2020-01-01T00:00:00Z,{},{}\n"
    write(tool, ORDERS, a=HEADER + row.format("A", 5) + row.format("B", 10))
    for night in ("one.csv", "two.csv"):
        tool("plan", "s.yaml", "a.csv", "--url", sandbox.url)
        mended = rejects_of(tool).read_text().replace(" at ", "@")
        # a person may take the reason away, and name another file first
        lines = [line.partition(",")[2] for line in mended.splitlines()]
        (tool.folder / night).write_text("\n".join(lines) + "\n")
    write(tool, ORDERS, b=HEADER)
    said = tool("run", "s.yaml", "b.csv", "one.csv", "two.csv", "--url", sandbox.url)
    assert said.code == 0, said.err
    assert items(sandbox) == [(["A", "B"], 15)]


def test_merge_takes_a_line_once_though_its_order_changed(tool: Tool, sandbox: Sandbox):
    header = HEADER.replace("\n", ",Status\n")
    row = "1,a@x.example,2020-01-01T00:00:00Z,{},{},{}\n"
    old = header + row.format("A", 5, "pending") + row.format("B", 10, "pending")
    new = header + row.format("B", 10, "paid") + row.format("C", 1, "paid")
    write(tool, ORDERS.replace("line: [", "across_files: merge, line: ["), a=old, b=new)
    said = tool("run", "s.yaml", "a.csv", "b.csv", "--url", sandbox.url)
    assert said.code == 0, said.err
    assert items(sandbox) == [(["A", "B", "C"], 16)]


def test_two_equal_lines_under_one_id_are_a_reject_and_not_one_item(tool: Tool):
    lines = ORDERS.replace("    time: At\n", "    per: line\n    time: At\n").replace(
        '"{No}", $value: {sum: Price}, Items: {each: Item}', '"{No}-{Item}", $value: Price'
    )
    row = "1,a@x.example,2020-01-01T00:00:00Z,A,5\n"
    write(tool, lines, a=HEADER + row + row)
    assert tool("plan", "s.yaml", "a.csv", "--json").summary["reasons"] == {"id_clash_in_order": 1}


PEOPLE = """
name: people
columns: {Phone: {phone: {region: US}}}
profiles: newest
customer_properties: {$email: Mail, $phone_number: Phone, $city: City}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}"}
"""
NEW = "2,a@x.example,+13239169023,2024-01-01T00:00:00Z,New\n"
OLD = "1,,+13239169023,2020-01-01T00:00:00Z,Old\n"


@pytest.mark.parametrize("runs", [[NEW + OLD], [OLD + NEW], [NEW, OLD]], ids=str)
def test_an_old_order_under_another_identifier_overwrites_nothing(
    tool: Tool, sandbox: Sandbox, runs: list[str]
):
    for rows in runs:
        write(tool, PEOPLE, e="No,Mail,Phone,At,City\n" + rows)
        assert tool("run", "s.yaml", "e.csv", "--url", sandbox.url).code == 0
    cities = [p["attributes"].get("$city") for p in sandbox.profiles() if p["email"]]
    assert cities == ["New"]


def test_what_went_without_attributes_is_newer_than_an_old_order(tool: Tool, sandbox: Sandbox):
    header = "No,Mail,Phone,At,City\n"
    write(tool, PEOPLE, e=header + NEW)
    tool("run", "s.yaml", "e.csv", "--url", sandbox.url, "--profiles", "none")
    old = "1,a@x.example,,2019-01-01T00:00:00Z,Old\n"
    write(tool, PEOPLE, e=header + old)
    tool("run", "s.yaml", "e.csv", "--url", sandbox.url)
    assert [p["attributes"] for p in sandbox.profiles()] == [{}]


def test_an_id_that_excel_ruined_is_refused(tool: Tool):
    row = "5.27763E+12,a@x.example,2020-01-01T00:00:00Z,A,5\n"
    write(tool, ORDERS, a=HEADER + row)
    assert tool("plan", "s.yaml", "a.csv", "--json").summary["reasons"] == {"ruined_by_excel": 1}


def test_a_condition_that_fails_is_a_reject_and_not_left_out(tool: Tool):
    condition = """    where: >-
      "At"::date > '2019-01-01'
"""
    failing = ORDERS.replace("    time: At\n", condition + "    time: At\n")
    write(tool, failing, a=HEADER + "1,a@x.example,first of May,A,5\n")
    said = tool("plan", "s.yaml", "a.csv", "--json")
    assert (said.code, said.summary["reasons"]) == (1, {"sql_failed": 1})


@pytest.mark.parametrize("at", [0, 1], ids=["the first rule", "the second rule"])
def test_every_id_rule_of_a_metric_is_guarded(tool: Tool, sandbox: Sandbox, at: int):
    event = (
        "  - {event: Placed Order, where: Item = '%s', time: At, properties: {$event_id: '%s'}}\n"
    )
    head = "name: two\ncustomer_properties: {$email: Mail}\nevents:\n"
    write(
        tool,
        head + event % ("A", "{No}-a") + event % ("B", "{No}-b"),
        e=HEADER
        + "1,a@x.example,2020-01-01T00:00:00Z,A,5\n2,a@x.example,2020-01-01T00:00:00Z,B,5\n",
    )
    assert tool("run", "s.yaml", "e.csv", "--url", sandbox.url).code == 0
    path = tool.folder / "s.yaml"
    path.write_text(path.read_text().replace("{No}-" + "ab"[at], "{No}-new"))
    assert tool("run", "s.yaml", "e.csv", "--url", sandbox.url).code == 4
    assert sandbox.stats()["recorded"] == 2


def test_a_damaged_ledger_is_one_clear_line(tool: Tool, sandbox: Sandbox):
    write(tool, ORDERS, a=HEADER + "1,a@x.example,2020-01-01T00:00:00Z,A,5\n")
    tool("run", "s.yaml", "a.csv", "--url", sandbox.url)
    ledger = tool.folder / ".backfill" / "ledger.sqlite"
    known = tool("plan", "s.yaml", "a.csv", "--url", sandbox.url, "--json")
    assert known.summary["already"] == 1
    key = _key_in(ledger)
    content = ledger.read_bytes()
    assert key in content
    ledger.write_bytes(content.replace(key, bytes(16)))
    said = tool("run", "s.yaml", "a.csv", "--url", sandbox.url)
    assert (said.code, "ledger.sqlite" in said.err) == (2, True), said.err


def _key_in(ledger: Path) -> bytes:
    with sqlite3.connect(ledger) as connection:
        [(keys,)] = connection.execute("SELECT keys FROM batches")
    return bytes(keys)


def test_an_empty_until_is_no_bound_but_a_mistake(tool: Tool):
    write(tool, ORDERS, a=HEADER)
    said = tool("plan", "s.yaml", "a.csv", "--until", "")
    assert (said.code, "--until" in said.err) == (2, True)


def test_a_gated_run_says_that_it_sent_nothing(tool: Tool, sandbox: Sandbox):
    write(tool, ORDERS, a=HEADER + "1,a@x.example,2020-01-01T00:00:00Z,A,5\n")
    said = tool("run", "s.yaml", "a.csv", "--url", sandbox.url, "--expect", "other", "--json")
    figures = {name: said.summary[name] for name in ("requests", "bytes", "delivered", "left")}
    assert (said.code, figures) == (4, {"requests": 0, "bytes": 0, "delivered": 0, "left": 1})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(("$email: Mail", "email: Mail, $id: No"), 'did you mean "$email"', id="no $"),
        pytest.param(
            ("time: At", "time: {sql: 'strptime(\"At\", ''%Y'')'}"), "template", id="SQL time"
        ),
        pytest.param(("Price: money", "Price: money, At: {time: '%I:%M %z'}"), "%p", id="12 hours"),
    ],
)
def test_a_schema_that_would_do_harm_is_refused(tool: Tool, edit: tuple[str, str], words: str):
    write(tool, ORDERS.replace(*edit), a=HEADER)
    said = tool("check", "s.yaml", "a.csv")
    assert (said.code, words in said.err) == (2, True), said.err


def test_mixed_amounts_come_out_right(tool: Tool):
    cells = ["-kr. 500", "1.00499995", "0.0049999999", "-$1,234.50"]
    rows = "".join(f'{n},a@x.example,2020-01-01T00:00:00Z,A,"{c}"\n' for n, c in enumerate(cells))
    write(tool, ORDERS, a=HEADER + rows)
    out = tool("preview", "s.yaml", "a.csv", "--limit", "9", "--as", "json").out
    payloads = [json.loads(line)["payloads"] for line in out.splitlines()]
    values = [payload["properties"]["$value"] for [payload] in payloads]
    assert values == [-500, 1, 0, -1234.5]


def test_a_plan_that_fails_and_should_be_kept_is_one_clear_line(tool: Tool):
    write(tool, ORDERS, a=HEADER + '1,"a@x.example,2020-01-01T00:00:00Z,A,5\n')
    said = tool("plan", "s.yaml", "a.csv", "--keep-plan")
    assert (said.code, "a.csv:2" in said.err) == (2, True)
