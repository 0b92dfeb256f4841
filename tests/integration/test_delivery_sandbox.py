"""Deliveries into the sandbox, which judges by Klaviyo's documents and shares no code with them."""

from decimal import Decimal

import pyarrow as pa
import pytest

from backfill import event
from backfill.delivery.delivery import DeliveryOptions
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.ledger.ledger import Ledger, Target
from backfill.sandbox import Faults, Sandbox
from backfill.transport.exchange import Clocks
from backfill.wire.track import Track

TOKEN = "aB3xYz"
SCHEMA = pa.schema([*event.EVENTS, pa.field("carries", pa.bool_())])
ORDERS = [
    {
        "key": event.key("Placed Order", f"#{number} & söhne"),
        "person": event.person("email", f"ada+{number % 7}@shop.dk"),
        "metric": "Placed Order",
        "event_id": f"#{number} & söhne",
        "time": 1_500_000_000 + number,
        "value": Decimal(number) / 4,
        "email": f"ada+{number % 7}@shop.dk",
        "first_name": "Ådå",
        "properties": '{"ItemNames":["5\\" vinyl","100% wool + more"]}',
        "content": number.to_bytes(8, "big"),
        "size": 900,
        "attributes_size": 40,
        "file": 0,
        "row": number,
        "carries": number >= 293,
    }
    for number in range(300)
]


def send(sandbox, tmp_path):
    with (
        Ledger.open(tmp_path / "ledger.sqlite", Target(sandbox.url, TOKEN)) as ledger,
        refusals_file(tmp_path / "refusals.jsonl") as write_refusal,
    ):
        delivery = deliver(
            pa.Table.from_pylist(ORDERS, schema=SCHEMA).to_batches(),
            wire=Track(TOKEN),
            url=sandbox.url,
            ledger=ledger,
            run_id="r1",
            on_refusal=write_refusal,
            options=DeliveryOptions(clocks=Clocks(jitter=lambda: 0.0)),
        )
        keys = [key for batch in ledger.delivered() for key in batch["key"].to_pylist()]
    assert (tmp_path / "refusals.jsonl").read_text() == ""
    assert sorted(keys) == sorted(order["key"] for order in ORDERS)
    assert (delivery.delivered, delivery.ended) == (300, None)


def recorded(sandbox):
    return sorted(one["properties"]["$event_id"] for one in sandbox.events(token=TOKEN))


def test_all_is_recorded_as_it_was_given(tmp_path):
    with Sandbox() as sandbox:
        send(sandbox, tmp_path)

        events = {one["properties"]["$event_id"]: one for one in sandbox.events(token=TOKEN)}
        people = sandbox.profiles(token=TOKEN)

    assert sorted(events) == sorted(order["event_id"] for order in ORDERS)
    assert events["#130 & söhne"]["properties"] == {
        "ItemNames": ['5" vinyl', "100% wool + more"],
        "$event_id": "#130 & söhne",
        "$value": 32.5,
    }
    assert len(people) == 7


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([{"rate": 0.1, "answer": "500"}], id="500"),
        pytest.param([{"rate": 0.1, "answer": "403"}], id="a gateway's 403"),
        pytest.param([{"rate": 0.1, "answer": "reset"}], id="resets"),
        pytest.param([{"rate": 0.1, "answer": "half"}], id="recorded and half answered"),
        pytest.param([{"rate": 0.1, "answer": "drop"}], id="recorded and not answered"),
        pytest.param([{"at": [5, 90], "answer": "429", "retry_after": 0}], id="throttled"),
        pytest.param(
            [
                {"at": [40], "answer": "503", "retry_after": 0},
                {"rate": 0.05, "answer": "drop"},
                {"rate": 0.05, "answer": "reset"},
                {"rate": 0.05, "answer": "502"},
                {"rate": 0.02, "answer": "slow", "seconds": 0.05},
            ],
            id="all at once",
        ),
    ],
)
def test_whatever_goes_wrong_each_event_is_recorded_once(tmp_path, faults):
    with Sandbox(faults=Faults.of({"seed": 7, "faults": faults})) as sandbox:
        send(sandbox, tmp_path)

        assert recorded(sandbox) == sorted(order["event_id"] for order in ORDERS)
