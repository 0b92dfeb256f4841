"""``--timezone`` where a schema leaves the shop's clock open."""

import json

import pytest

import backfill as bf
from backfill.sandbox import Sandbox
from tests.conftest import Tool

pytestmark = pytest.mark.slow

SCHEMA = """\
name: shop
source: {order: no}
columns: {at: {time: '%d/%m/%Y %H:%M'}}
customer_properties: {$id: who}
events:
  - {event: Placed Order, time: at, properties: {$event_id: "{no}"}}
"""
ORDERS = "no,who,at\n1,a,01/07/2023 12:00\n2,b,02/07/2023 00:30\n"
BERLIN = ("--timezone", "Europe/Berlin")


@pytest.fixture
def shop(tool: Tool) -> Tool:
    (tool.folder / "shop.yaml").write_text(SCHEMA)
    (tool.folder / "orders.csv").write_text(ORDERS)
    return tool


def test_check_passes_and_says_what_is_open(shop: Tool):
    said = shop("check", "shop.yaml", "orders.csv")
    assert said.code == 0, said.err
    assert "open: --timezone (times carry no offset)\n" in said.err
    assert "open:" not in shop("check", "shop.yaml", *BERLIN).err


@pytest.mark.parametrize("command", ["preview", "plan", "run", "verify"])
def test_without_a_zone_nothing_begins(shop: Tool, command: str):
    with Sandbox() as sandbox:
        into = ("shop.yaml", "orders.csv", "--url", sandbox.url)
        said = shop(command, *into, KLAVIYO_PRIVATE_KEY="pk_ABC123_0")
        assert sandbox.stats()["recorded"] == 0
    assert said.code == 2
    assert said.err.endswith(
        "pass --timezone ZONE, that of the shop's clock, such as Europe/Berlin\n"
    )
    assert not (shop.folder / ".backfill" / "runs").exists()


def test_the_zone_counts_from_times_to_until(shop: Tool):
    shown = json.loads(
        shop("preview", "shop.yaml", "orders.csv", "--as", "json", *BERLIN).out.splitlines()[0]
    )
    assert shown["payloads"][0]["time"] == 1_688_205_600  # 10:00 UTC
    planned = shop("plan", "shop.yaml", "orders.csv", "--json", "--until", "2023-07-02", *BERLIN)
    assert planned.summary["events"] == 1
    assert planned.summary["metrics"][0]["first"] == "2023-07-01T10:00:00Z"


def test_a_stopped_run_names_the_command_with_its_zone(shop: Tool):
    with Sandbox() as sandbox:
        said = shop("run", "shop.yaml", "orders.csv", "--url", sandbox.url, "--limit", 1, *BERLIN)
        assert said.code == 3
        assert (
            f"go on with: backfill run shop.yaml orders.csv --url {sandbox.url} --limit 1 "
            in said.err
        )
        assert said.err.endswith(" --timezone Europe/Berlin\n")
        verified = shop(
            "verify",
            "shop.yaml",
            "orders.csv",
            "--url",
            sandbox.url,
            *BERLIN,
            KLAVIYO_PRIVATE_KEY="pk_ABC123_0",
        )
    assert verified.code == 0, verified.err


def test_another_zone_is_another_id_rule_where_ids_are_made_of_times(shop: Tool):
    (shop.folder / "shop.yaml").write_text(SCHEMA.replace(', properties: {$event_id: "{no}"}', ""))
    with Sandbox() as sandbox:
        into = ("shop.yaml", "orders.csv", "--url", sandbox.url)
        assert shop("run", *into, *BERLIN).code == 0
        said = shop("run", *into, "--timezone", "Asia/Tokyo")
    assert said.code == 4
    assert 'the schema makes other ids for "Placed Order"' in said.err


def test_a_notebook_takes_it_too(shop: Tool):
    schema = bf.load_schema(shop.folder / "shop.yaml")
    export, state = shop.folder / "orders.csv", shop.folder / "state"
    with pytest.raises(bf.UsageError, match="pass --timezone ZONE"):
        bf.preview(schema, export)
    shown = bf.preview(schema, export, timezone="Europe/Berlin")
    assert str(shown.events["time"][0]) == "2023-07-01 10:00:00+00:00"
    plan = bf.plan(schema, export, timezone="Asia/Tokyo", state=state)
    assert plan.summary.metrics[0].first == "2023-07-01T03:00:00Z"
    with Sandbox() as sandbox:
        ran = bf.run(schema, export, timezone="Asia/Tokyo", state=state, url=sandbox.url)
    assert ran.summary.delivered == 2
    assert schema.schema.source.timezone is None
