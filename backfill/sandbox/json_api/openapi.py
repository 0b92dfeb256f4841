"""Checks a request's body by Klaviyo's OpenAPI file, and names every problem."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from backfill.sandbox.json_api.documents import document
from backfill.sandbox.json_api.problems import Place, Problems

Check = Callable[[object, Place, Problems], None]
"""Adds what is wrong with a value, at its place, to the problems."""


@cache
def body_check(path: str, *, without: frozenset[str] = frozenset()) -> Check:
    """The check of a body that is posted to ``path``; ``without`` are fields it does not know."""
    content = document("openapi.json")["paths"][path]["post"]["requestBody"]["content"]
    (media,) = content.values()
    schemas = document("openapi.json")["components"]["schemas"]
    return _Compiler(schemas, without).check(media["schema"], "body")


class _Compiler:
    """Schemas to closures, once: interpreting them for each event takes five times as long."""

    def __init__(self, schemas: Mapping[str, Any], without: frozenset[str]) -> None:
        self._schemas = schemas
        self._without = without

    def check(self, schema: Mapping[str, Any], resource: str) -> Check:
        """``resource`` is the name for the sentence about an unknown field."""
        nullable = schema.get("nullable")
        if "$ref" in schema:
            schema = self._referenced(schema)
            nullable = nullable or schema.get("nullable")
        check = self._check_not_null(schema, resource)
        return _or_null(check) if nullable else check

    def _referenced(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        referenced: Mapping[str, Any] = self._schemas[schema["$ref"].rpartition("/")[2]]
        return referenced

    def _check_not_null(self, schema: Mapping[str, Any], resource: str) -> Check:
        if "oneOf" in schema:
            return _one_of([self.check(one, resource) for one in schema["oneOf"]])
        if "enum" in schema:
            return _enum(frozenset(schema["enum"]))
        if "properties" in schema:
            return self._fields(schema, resource)
        if schema["type"] == "array":
            return _list(self.check(schema["items"], resource))
        return _TYPES[schema["type"]]

    def _fields(self, schema: Mapping[str, Any], resource: str) -> Check:
        properties = schema["properties"]
        if "type" in properties and "attributes" in properties:
            resource = self._referenced(properties["type"])["enum"][0]
        fields = {
            key: self.check(field, resource)
            for key, field in properties.items()
            if key not in self._without
        }
        required = tuple(schema.get("required", ()))

        def check(value: object, place: Place, problems: Problems) -> None:
            if type(value) is not dict:
                _TYPES["object"](value, place, problems)
                return
            for key, inner in value.items():
                field = fields.get(key)
                if field is None:
                    # Source: docs/klaviyo.md, "Unknown fields".
                    detail = f"'{key[:60]}' is not a valid field for the resource '{resource}'."
                    problems.add("unknown_field", detail, (place, key))
                else:
                    field(inner, (place, key), problems)
            for key in required:
                if key not in value:
                    detail = f"'{key}' is a required field for the resource '{resource}'."
                    problems.add("missing_field", detail, (place, key))

        return check


def _or_null(check: Check) -> Check:
    def checked(value: object, place: Place, problems: Problems) -> None:
        if value is not None:
            check(value, place, problems)

    return checked


def _one_of(checks: list[Check]) -> Check:
    def check(value: object, place: Place, problems: Problems) -> None:
        for one in checks:
            found = Problems()
            one(value, place, found)
            if not found:
                return
        problems.add("schema", "Invalid input.", place)

    return check


def _list(element: Check) -> Check:
    def check(value: object, place: Place, problems: Problems) -> None:
        if type(value) is not list:
            problems.add("schema", "Expected a list.", place)
            return
        for index, one in enumerate(value):
            element(one, (place, index), problems)

    return check


def _enum(names: frozenset[str]) -> Check:
    listed = ", ".join(f"'{name}'" for name in sorted(names))

    def check(value: object, place: Place, problems: Problems) -> None:
        if type(value) is not str or value not in names:
            problems.add("schema", f"Expected one of: {listed}.", place)

    return check


def _typed(expected: str, *types: type) -> Check:
    def check(value: object, place: Place, problems: Problems) -> None:
        if type(value) not in types:
            problems.add("schema", f"Expected {expected}.", place)

    return check


_TYPES: Final[Mapping[str, Check]] = {
    "object": _typed("an object", dict),
    "string": _typed("a text", str),
    "number": _typed("a number", int, float),
    "boolean": _typed("a boolean", bool),
}
