"""What Klaviyo's OpenAPI file says of a request's body, as a check that names every fault."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from backfill.sandbox.json_api.problems import Place, Problem, pointer

Check = Callable[[object, Place, list[Problem]], None]
"""Adds what is wrong with a value, at a place, to a list."""

_NAMES: Final = {"object": "an object", "array": "a list", "string": "a text", "number": "a number"}


@cache
def document() -> dict[str, Any]:
    text = (
        resources.files("backfill.sandbox.json_api")
        .joinpath("openapi.json")
        .read_text(encoding="utf-8")
    )
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@cache
def body_check(path: str, *, without: frozenset[str] = frozenset()) -> Check:
    """The check of the body that ``path`` is posted; fields ``without`` are unknown to it."""
    content = document()["paths"][path]["post"]["requestBody"]["content"]
    (media,) = content.values()
    return _Compiler(document()["components"]["schemas"], without).check(media["schema"], "body")


class _Compiler:
    """Schemas to closures, once: interpreting them for each event takes five times as long."""

    def __init__(self, schemas: Mapping[str, Any], without: frozenset[str]) -> None:
        self._schemas = schemas
        self._without = without

    def check(self, schema: Mapping[str, Any], name: str) -> Check:
        """``name`` is the resource's, for the sentence about an unknown field."""
        nullable = bool(schema.get("nullable"))
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
            nullable = nullable or bool(schema.get("nullable"))
        found = self._not_null(schema, name)
        return _or_null(found) if nullable else found

    def _not_null(self, schema: Mapping[str, Any], name: str) -> Check:
        if "oneOf" in schema:
            return _one_of([self.check(one, name) for one in schema["oneOf"]])
        if "enum" in schema:
            return _enum(frozenset(schema["enum"]))
        kind = schema["type"]
        if kind == "object" and "properties" in schema:
            return self._fields(schema, name)
        if kind == "array":
            return _list(self.check(schema["items"], name))
        return _KINDS[kind]

    def _fields(self, schema: Mapping[str, Any], name: str) -> Check:
        inside = dict(schema["properties"])
        if "type" in inside and "attributes" in inside:
            name = _resource(self._schemas, inside["type"]) or name
        fields = {
            key: self.check(one, name) for key, one in inside.items() if key not in self._without
        }
        required = tuple(schema.get("required", ()))

        def check(value: object, place: Place, problems: list[Problem]) -> None:
            if type(value) is not dict:
                problems.append(_no_type("object", place))
                return
            for key, inner in value.items():
                field = fields.get(key)
                if field is None:
                    problems.append(_unknown(key, name, place))
                else:
                    field(inner, (place, key), problems)
            problems += [_missing(key, name, place) for key in required if key not in value]

        return check


def _resource(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    names = schemas[schema["$ref"].rpartition("/")[2]].get("enum", ())
    return str(names[0]) if names else None


def _or_null(check: Check) -> Check:
    def checked(value: object, place: Place, problems: list[Problem]) -> None:
        if value is not None:
            check(value, place, problems)

    return checked


def _one_of(checks: list[Check]) -> Check:
    def check(value: object, place: Place, problems: list[Problem]) -> None:
        for one in checks:
            found: list[Problem] = []
            one(value, place, found)
            if not found:
                return
        problems.append(Problem("schema", "Invalid input.", pointer(place)))

    return check


def _list(element: Check) -> Check:
    def check(value: object, place: Place, problems: list[Problem]) -> None:
        if type(value) is not list:
            problems.append(_no_type("array", place))
            return
        for index, one in enumerate(value):
            element(one, (place, index), problems)

    return check


def _enum(names: frozenset[str]) -> Check:
    listed = ", ".join(f"'{name}'" for name in sorted(names))

    def check(value: object, place: Place, problems: list[Problem]) -> None:
        if type(value) is not str or value not in names:
            problems.append(Problem("schema", f"Expected one of: {listed}.", pointer(place)))

    return check


def _typed(kind: str, *types: type) -> Check:
    def check(value: object, place: Place, problems: list[Problem]) -> None:
        if type(value) not in types:
            problems.append(_no_type(kind, place))

    return check


_KINDS: Final[Mapping[str, Check]] = {
    "object": _typed("object", dict),
    "string": _typed("string", str),
    "number": _typed("number", int, float),
    "boolean": _typed("boolean", bool),
}


def _no_type(kind: str, place: Place) -> Problem:
    return Problem("schema", f"Expected {_NAMES.get(kind, f'a {kind}')}.", pointer(place))


def _unknown(key: str, name: str, place: Place) -> Problem:
    """Source: klaviyo/facts.md 2.4, the sentence that other unknown fields were answered with."""
    detail = f"'{key[:60]}' is not a valid field for the resource '{name}'."
    return Problem("unknown_field", detail, pointer((place, key)))


def _missing(key: str, name: str, place: Place) -> Problem:
    detail = f"'{key}' is a required field for the resource '{name}'."
    return Problem("missing_field", detail, pointer((place, key)))
