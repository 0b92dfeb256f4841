"""Our reading of Klaviyo's OpenAPI file against another's, jsonschema's."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from backfill import limits
from backfill.sandbox.json_api import openapi
from backfill.sandbox.json_api.documents import document
from backfill.sandbox.json_api.problems import BODY, Problems

METRIC = {"data": {"type": "metric", "attributes": {"name": "Placed Order", "service": None}}}
EVENT = {
    "properties": {"Items": [{"Name": "x"}]},
    "metric": METRIC,
    "time": "2022-11-08T00:00:00Z",
    "value": 9.5,
    "value_currency": "EUR",
    "unique_id": "o1",
    "backfill": True,
}
WHO = {
    "type": "profile",
    "id": None,
    "attributes": {
        "email": "anna@shop.test",
        "location": {"latitude": 1.5, "longitude": "2", "city": None},
        "properties": {"a": [1]},
    },
}
META = {"patch_properties": {"append": {"a": 1}, "unset": ["b"]}}
SINGLE = {"data": {"type": "event", "attributes": {**EVENT, "profile": {"data": WHO}}}}
BULK = {
    "data": {
        "type": "event-bulk-create-job",
        "attributes": {
            "events-bulk-create": {
                "data": [
                    {
                        "type": "event-bulk-create",
                        "attributes": {
                            "backfill": None,
                            "profile": {"data": {**WHO, "meta": META}},
                            "events": {"data": [{"type": "event", "attributes": EVENT}]},
                        },
                    }
                ]
            }
        },
    }
}
BODIES = {limits.EVENTS_PATH: SINGLE, limits.BULK_PATH: BULK}
PATHS = pytest.mark.parametrize("path", list(BODIES))
ITEM = "/data/attributes/events-bulk-create/data/0"


def problems(path, body, **without):
    found = Problems()
    openapi.body_check(path, **without)(body, BODY, found)
    return found


def as_json_schema(node):
    """OpenAPI 3.0 to JSON Schema; what Klaviyo does with unknown fields is in no schema of it."""
    if isinstance(node, list):
        return [as_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: as_json_schema(one) for key, one in node.items() if key != "nullable"}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made["additionalProperties"] = False
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


def judge(path):
    described = document("openapi.json")
    schema = described["paths"][path]["post"]["requestBody"]["content"][limits.JSON_API]["schema"]
    components = as_json_schema(described["components"])
    return Draft202012Validator({**schema, "components": components})


JUDGES = {path: judge(path) for path in BODIES}


def places(node, at=()):
    """Every place of a body."""
    yield at
    inner = {dict: dict.items, list: enumerate}.get(type(node), lambda _: ())
    for key, one in inner(node):
        yield from places(one, (*at, key))


def holder(body, place):
    for key in place[:-1]:
        body = body[key]
    return body


VALUES = st.sampled_from([None, True, 1, 1.5, "", "metric", "event", [], ["a"], [1], {}, {"a": 1}])


@PATHS
def test_a_valid_body_has_no_problems(path):
    assert problems(path, BODIES[path]) == []
    assert JUDGES[path].is_valid(BODIES[path])


@PATHS
@given(data=st.data())
def test_it_agrees_with_jsonschema(path, data):
    body = copy.deepcopy(BODIES[path])
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from([one for one in places(body) if one] or [("data",)]))
        inside = holder(body, place)
        match data.draw(st.sampled_from(["put", "drop", "add"])):
            case "put":
                inside[place[-1]] = copy.deepcopy(data.draw(VALUES))
            case "drop" if place[-1] in inside or isinstance(inside, list):
                del inside[place[-1]]
            case "add" if isinstance(inside, dict):
                inside["extra"] = copy.deepcopy(data.draw(VALUES))

    assert (problems(path, body) == []) == JUDGES[path].is_valid(body), json.dumps(body)


@pytest.mark.parametrize(
    ("path", "change", "pointer", "detail"),
    [
        pytest.param(
            limits.BULK_PATH,
            lambda item: item["attributes"].update(foo=1),
            f"{ITEM}/attributes/foo",
            "'foo' is not a valid field for the resource 'event-bulk-create'.",
            id="an unknown field of an item",
        ),
        pytest.param(
            limits.BULK_PATH,
            lambda item: item["attributes"]["events"]["data"][0]["attributes"].pop("metric"),
            f"{ITEM}/attributes/events/data/0/attributes/metric",
            "'metric' is a required field for the resource 'event'.",
            id="a field that is not there",
        ),
        pytest.param(
            limits.BULK_PATH,
            lambda item: item["attributes"]["profile"]["data"].update(type="person"),
            f"{ITEM}/attributes/profile/data/type",
            "Expected one of: 'profile'.",
            id="another type",
        ),
        pytest.param(
            limits.BULK_PATH,
            lambda item: item["attributes"]["events"]["data"][0]["attributes"].update(
                {"a/b~c": None}
            ),
            f"{ITEM}/attributes/events/data/0/attributes/a~1b~0c",
            "'a/b~c' is not a valid field for the resource 'event'.",
            id="a name that a pointer has to escape",
        ),
    ],
)
def test_a_problem_has_a_pointer_and_a_sentence(path, change, pointer, detail):
    body = copy.deepcopy(BODIES[path])
    change(body["data"]["attributes"]["events-bulk-create"]["data"][0])

    assert [(one.pointer, one.detail) for one in problems(path, body)] == [(pointer, detail)]


def test_a_field_can_be_unknown_to_an_older_revision():
    found = problems(limits.BULK_PATH, BULK, without=frozenset({"backfill"}))

    assert [one.pointer for one in found] == [
        f"{ITEM}/attributes/backfill",
        f"{ITEM}/attributes/events/data/0/attributes/backfill",
    ]


def test_the_openapi_file_names_its_source():
    info = document("openapi.json")["info"]

    assert (info["version"], info["license"]["name"]) == ("2026-07-15", "MIT")
    assert "klaviyo/openapi" in info["x-source"]
