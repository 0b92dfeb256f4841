"""The JSON Schema that editors use says what the program says."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from backfill.schema.load import load_schema
from backfill.schema.model import json_schema

SCHEMAS = sorted((Path(__file__).parents[2] / "schemas").glob("*.yaml"))
LEAF = ("events", 0, "properties", "X")


def good():
    return {
        "name": "shop",
        "source": {"order": "Number", "line": ["Item"], "timezone": "UTC"},
        "columns": {
            "A": "integer",
            "B": {"time": "%Y"},
            "C": {"phone": {"region": "US"}},
            "D": "currency",
        },
        "profiles": "newest",
        "customer_properties": {"$email": "Email", "$city": {"column": "City", "optional": True}},
        "events": [
            {
                "event": "Placed Order",
                "time": "At",
                "currency": {"column": "Paid in", "default": "EUR"},
                "properties": {"X": {"each": {"a": "Item", "b": {"sql": "A"}}}, "Y": {"value": 5}},
            }
        ],
    }


def errors(document):
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(document)]


def with_at(path, value):
    document = good()
    node = document
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return document


def test_it_is_a_json_schema_and_says_which():
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_it_accepts_every_schema_that_is_shipped(path):
    assert errors(YAML(typ="safe", pure=True).load(path)) == []
    assert load_schema(path).schema.name


def test_it_accepts_a_schema_with_everything():
    assert errors(good()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("colour",), "red", id="a key of the file"),
        pytest.param(("source", "colour"), "red", id="a key of source"),
        pytest.param(("events", 0, "colour"), "red", id="a key of an event"),
        pytest.param(LEAF, {"column": "A", "colour": "red"}, id="a key of a leaf"),
        pytest.param(("columns", "A"), "integr", id="a type"),
        pytest.param(("columns", "A"), {"money": {"colour": "red"}}, id="an option of a type"),
        pytest.param(("profiles",), "newst", id="one of three"),
        pytest.param(("events", 0, "per"), "row", id="one of two"),
        pytest.param(("events",), [], id="no events"),
        pytest.param(("source", "across_files"), "both", id="another one of three"),
    ],
)
def test_it_refuses_what_the_program_refuses(path, value):
    assert errors(with_at(path, value))


@pytest.mark.parametrize("key", ["name", "customer_properties", "events"])
def test_it_wants_what_the_program_wants(key):
    document = good()
    del document[key]
    assert errors(document)


def undescribed(name, part):
    """The keys within a part of the JSON Schema that say nothing about themselves."""
    for key, inner in part.get("properties", {}).items():
        if not inner.get("description"):
            yield f"{name}.{key}"
        yield from undescribed(f"{name}.{key}", inner)
    for at in ("anyOf", "additionalProperties"):
        below = part.get(at)
        for inner in below if isinstance(below, list) else [below]:
            if isinstance(inner, dict):
                yield from undescribed(name, inner)


def test_every_key_is_described_for_editors():
    document = json_schema()
    parts = {"": document, **document["$defs"]}
    assert [key for name, part in parts.items() for key in undescribed(name, part)] == []
    assert "Klaviyo" in document["$defs"]["Event"]["properties"]["event"]["description"]
