"""What our limits let through the sandbox takes, and what they keep out it refuses."""

import httpx
import pytest

from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from tests.unit.test_wire_json_api import EVERYTHING, KEY, requests
from tests.unit.test_wire_limits import FITS_AND_NOT

pytestmark = pytest.mark.slow

WIRES = [pytest.param(Events(KEY), id="events"), pytest.param(Bulk(KEY), id="bulk")]
OURS_ALONE = ("100 KB a name",)
"""Klaviyo says how long strings are; that a name is one is our reading."""


def posted(sandbox, wire, *events):
    [request] = requests(wire, *events)
    return httpx.post(sandbox.url + wire.api.path, content=request.body, headers=dict(wire.headers))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("fits", "breaks"),
    [
        pytest.param(*case.values[:2], id=case.id)
        for case in FITS_AND_NOT
        if case.id not in OURS_ALONE
    ],
)
def test_both_see_the_same_limit(sandbox, wire, fits, breaks):
    who = {"id": "7"}

    assert posted(sandbox, wire, who | fits).status_code == 202
    assert posted(sandbox, wire, who | breaks).status_code == 400


def test_a_refusal_of_bulk_names_rows_that_its_wire_finds(sandbox):
    wire = Bulk(KEY)
    people = [EVERYTHING, EVERYTHING | {"metric": "m" * 128}, {"id": "8"}, {"email": "no"}]
    events = [who | {"key": bytes([at]) * 16, "event_id": str(at)} for at, who in enumerate(people)]
    [request] = requests(wire, *events)

    refused = posted(sandbox, wire, *events)

    assert refused.status_code == 400
    pointers = [error["source"]["pointer"] for error in refused.json()["errors"]]
    assert [wire.rows_at(pointer, request) for pointer in pointers] == [range(1, 2), range(3, 4)]
