"""Cells as people have them, from the file to the sandbox."""

import pytest

from backfill.sandbox import Sandbox
from tests.conftest import Tool

pytestmark = pytest.mark.slow

SHOP = """
name: dirty
source: {order: No, null_values: [NA, NULL]}
columns: {Phone: {phone: {country: Land}}, Total: money}
profiles: every
customer_properties:
  $email: Mail
  $phone_number: {column: Phone, unfit: leave_out}
  Zip: Zip
events:
  - event: Placed Order
    time: {template: "{Date} {Time}", as: {time: "%m/%d/%Y %H:%M"}, zone: Zone}
    properties: {$event_id: "{No}", $value: Total}
"""
EXPORT = '''No,Mail,Phone,Land,Zip,Total,Date,Time,Zone
="0001",ada@shop.example,'030 901820,Deutschland,'10115,(5.00),07/01/2024,14:00,Berlin
"=""0002""",bo@shop.example,call me,USA,NA,$8.00,07/01/2024,05:00,Pacific Time (US & Canada)
0003,cy@shop.example,x,USA,null,8,07/01/2024,12:00,UTC
0004,d***@shop.example,,USA,,8,07/01/2024,12:00,UTC
5.2E+12,ed@shop.example,,USA,,8,07/01/2024,12:00,UTC
0006,fi@shop.example,,USA,,8,07/01/2024,12:00,Narnia
'''


@pytest.fixture
def dirty(tool: Tool) -> Tool:
    (tool.folder / "dirty.yaml").write_text(SHOP)
    (tool.folder / "orders.csv").write_text(EXPORT)
    return tool


def test_what_can_be_read_is_sent_and_the_rest_is_told(dirty: Tool, sandbox: Sandbox):
    command = ("run", "dirty.yaml", "orders.csv", "--url", sandbox.url, "--api", "track")
    said = dirty(*command, "--json")
    assert said.summary["reasons"] == {"masked_email": 1, "ruined_by_excel": 1, "not_a_zone": 1}
    assert said.summary["left_out_cells"] == {"Phone": {"not_a_phone": 2}}
    assert 'note: 2 orders with a "Phone" that is not_a_phone: left out' in said.err
    sent = {event["event_id"]: event for event in sandbox.events()}
    assert [(key, event["time"], event["value"]) for key, event in sorted(sent.items())] == [
        ("0001", 1719835200, -5),
        ("0002", 1719835200, 8),
        ("0003", 1719835200, 8),
    ]
    people = {person["email"]: person for person in sandbox.profiles()}
    ada, bo = people["ada@shop.example"], people["bo@shop.example"]
    assert (ada["phone_number"], ada["attributes"]) == ("+4930901820", {"Zip": "10115"})
    assert (bo["phone_number"], bo["attributes"]) == (None, {})
