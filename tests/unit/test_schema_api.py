"""The problems of a schema that only the JSON:API has."""

import pyarrow as pa
import pytest

from backfill.errors import SchemaError
from backfill.running.prepare import bind_export
from backfill.schema.api_rules import api_problems
from backfill.schema.load import load_schema
from backfill.wire.apis import BULK, TRACK

SCHEMA = """\
name: shop
customer_properties:
  $email: Email
  $consent: Consent
events:
  - event: {metric}
    time: At
"""


def problems(api, metric="Placed Order", schema=SCHEMA):
    loaded = load_schema(schema.replace("{metric}", metric))
    return [str(problem) for problem in api_problems(loaded, api)]


def test_only_the_json_api_is_asked_for_its_rules():
    loaded = load_schema(SCHEMA.replace("{metric}", "m" * 128))
    export = pa.table({name: ["1"] for name in ("Email", "Consent", "At")})

    bind_export(loaded, export, TRACK)
    with pytest.raises(SchemaError, match="at most 127"):
        bind_export(loaded, export, BULK)


@pytest.mark.parametrize("api", ["events", "bulk"])
def test_consent_is_named_with_the_way_out(api):
    assert problems(api) == [
        f"schema:4: $consent cannot go with events through --api {api}: take it out, and subscribe "
        "people by a list import in Klaviyo or by its API Bulk Subscribe Profiles"
    ]


def test_a_schema_without_it_has_no_problem():
    assert problems("bulk", schema=SCHEMA.replace("  $consent: Consent\n", "")) == []


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        pytest.param("ß" * 127, [], id="127 characters"),
        pytest.param(
            "m" * 128,
            ["schema:6: the metric's name has 128 characters; Klaviyo takes at most 127"],
            id="128 characters",
        ),
        pytest.param('"  "', ["schema:6: the metric's name is blank"], id="blanks"),
    ],
)
def test_a_metric_has_a_name_that_klaviyo_takes(metric, told):
    assert (
        problems(
            "bulk",
            metric,
            SCHEMA.replace("  $consent: Consent\n", "").replace(
                "  $email: Email\n", "  $email: Email\n  $id: Number\n"
            ),
        )
        == told
    )
