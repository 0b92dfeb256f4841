from dataclasses import dataclass

import pyarrow as pa
import pytest

from backfill.delivery.batch import ChunkLimits, chunk_limits, cut_chunks, encode
from backfill.event import person
from backfill.ledger.ledger import CARRIER, DeliveredBatch
from backfill.wire.apis import BULK, TRACK
from backfill.wire.bulk import Bulk
from backfill.wire.interface import Request
from backfill.wire.track import Track

EVENTS = pa.record_batch(
    {
        "key": pa.array([b"k" * 15 + bytes([n]) for n in range(3)], pa.binary(16)),
        "content": pa.array([b"c" * 7 + bytes([n]) for n in range(3)], pa.binary(8)),
        "person": pa.array([b"p" * 15 + bytes([n]) for n in range(3)], pa.binary(16)),
        "metric": ["Placed Order", "Placed Order", "Ordered Product"],
        "time": [1_500_000_000, 1_500_000_001, 1_500_000_002],
        "carries": [True, False, True],
        "email": pa.array(["a@x.example", "b@x.example", None], pa.string()),
        "phone_number": pa.array([None, None, None], pa.string()),
        "id": pa.array([None, None, "7"], pa.string()),
        "size": pa.array([3_000_000, 4_000_000, 1_500_000], pa.int32()),
        "attributes_size": pa.array([500_000, 500_000, 0], pa.int32()),
    }
)
LIMITS = ChunkLimits(2_000, 8_000_000)


@dataclass(frozen=True)
class TwoARequest(Track):
    def requests(self, events):  # noqa: ARG002
        yield Request(b"first", range(2))
        yield Request(b"second", range(2, 3))


@dataclass(frozen=True)
class OneARequest(Track):
    def requests(self, events):
        yield Request(b"only", range(len(events)))


def test_a_batch_keeps_what_the_ledger_needs_of_its_events():
    first, second = encode(EVENTS, TwoARequest("aB3xYz"))
    keys, people = EVENTS["key"].to_pylist(), EVENTS["person"].to_pylist()

    assert (first.request.body, len(first), len(second)) == (b"first", 2, 1)
    assert first.delivered().keys == b"".join(keys[:2])
    assert second.delivered().keys == keys[2]
    assert second.delivered().metrics == {"Ordered Product"}
    assert first.delivered().contents == b"".join(EVENTS["content"].to_pylist()[:2])
    assert first.delivered().carriers == CARRIER.pack(people[0], 1_500_000_000, keys[0])
    assert second.delivered().carriers == CARRIER.pack(people[2], 1_500_000_002, keys[2])


def test_acknowledged_batches_are_put_together_in_order():
    together = DeliveredBatch.joined(
        batch.delivered() for batch in encode(EVENTS, TwoARequest("aB3xYz"))
    )

    assert len(together) == 3
    assert together.keys == b"".join(EVENTS["key"].to_pylist())
    assert len(together.carriers) == 2 * CARRIER.size
    assert together.metrics == {"Placed Order", "Ordered Product"}


def test_what_is_encoded_in_one_go_fits_in_memory():
    assert [len(chunk) for chunk in cut_chunks([EVENTS, EVENTS], LIMITS)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("lengths", "encoded"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([0], [], id="an empty batch"),
        pytest.param([1, 0, 2], [3], id="small ones are joined"),
        pytest.param([1_999, 2, 1], [2_000, 2], id="a full one goes, the rest waits"),
        pytest.param([4_500], [2_000, 2_000, 500], id="a long one is cut"),
    ],
)
def test_record_batches_of_any_length_are_encoded_in_large_ones(lengths, encoded):
    pending = (
        pa.record_batch(
            {
                "size": pa.array([100] * length, pa.int32()),
                "attributes_size": pa.array([0] * length, pa.int32()),
            }
        )
        for length in lengths
    )

    assert [len(chunk) for chunk in cut_chunks(pending, LIMITS)] == encoded


def test_no_body_is_in_a_repr():
    assert "first" not in repr(encode(EVENTS, TwoARequest("aB3xYz")))


def test_a_slice_has_the_keys_of_its_own_events():
    (batch,) = encode(EVENTS.slice(1, 1), OneARequest("aB3xYz"))

    assert batch.delivered().keys == EVENTS["key"][1].as_py()
    assert batch.delivered().contents == EVENTS["content"][1].as_py()


def test_bulk_is_encoded_in_several_full_requests_at_a_time():
    assert chunk_limits(BULK).max_events >= 5 * Bulk().max_events
    assert chunk_limits(BULK).max_bytes >= 4 * Bulk().max_bytes
    assert chunk_limits(TRACK) == LIMITS


def test_a_person_is_noted_under_each_identifier_of_the_event():
    place = EVENTS.schema.get_field_index("phone_number")
    phones = pa.array(["+4512345678", None, None], pa.string())
    events = EVENTS.set_column(place, "phone_number", phones)

    (batch,) = encode(events.slice(0, 2), OneARequest("aB3xYz"))

    who = [carrier[0] for carrier in CARRIER.iter_unpack(batch.delivered().carriers)]
    assert who == [EVENTS["person"][0].as_py(), person("phone_number", "+4512345678")]
