"""The text of an id's rule stays the same from version to version, as ledgers keep it."""

import json

from backfill.schema.id_rule import id_rules
from backfill.schema.load import load_schema

SCHEMA = """\
name: shop
source: {order: [Shop, No], timezone: UTC}
columns:
  At: {time: "%d/%m/%Y"}
  Total: {money: {decimal: ",", currency: EUR}}
  Phone: {phone: {country: Land, region: US}}
  Bits: {pairs: {between: "|", lines: ";", keys: [a]}}
customer_properties: {$email: Mail, $phone_number: Phone}
events:
  - event: Own
    time: At
    properties:
      $event_id: {template: "{No}-{Total}-{Bits}", map: {a: b}, else: c, as: integer}
  - {event: Documented, time: {column: At, default: 01/01/2020}}
"""


def test_the_rule_names_leaves_and_options_as_ledgers_hold_them():
    rules = {
        metric: json.loads(rule) for metric, rule in id_rules(load_schema(SCHEMA).schema).items()
    }
    assert rules == {
        "Own": {
            "leaves": {
                "$event_id": {
                    "template": "{No}-{Total}-{Bits}",
                    "map": {"a": "b"},
                    "else": "c",
                    "as": {"kind": "integer"},
                }
            },
            "types": {
                "Total": {"kind": "money", "decimal": ",", "currency": "EUR"},
                "Bits": {"kind": "pairs", "separator": "|", "lines": ";", "keys": ["a"]},
            },
            "timezone": None,
        },
        "Documented": {
            "leaves": {
                "$email": {"column": "Mail"},
                "$phone_number": {"column": "Phone"},
                "time": {"column": "At", "default": "01/01/2020"},
            },
            "types": {
                "At": {"kind": "time", "format": "%d/%m/%Y"},
                "Phone": {"kind": "phone", "region": "US", "country": "Land"},
            },
            "timezone": "UTC",
        },
    }
