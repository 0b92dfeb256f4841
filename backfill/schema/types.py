"""What a column can be besides text, as a schema says it under ``columns`` and ``as``."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, get_args
from zoneinfo import available_timezones

import phonenumbers
from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from backfill.schema.nearest import did_you_mean

Kind = Literal[
    "text",
    "integer",
    "number",
    "money",
    "boolean",
    "time",
    "date",
    "email",
    "phone",
    "country",
    "currency",
    "list",
    "json",
]
KINDS: Final = get_args(Kind)
Unit = Literal["s", "ms", "us", "ns"]
UNITS: Final = get_args(Unit)

TIME_DIRECTIVES: Final = "YmdHMSfzZbBjypIaAe-%"
"""What may follow a ``%`` in a format: what DuckDB's strptime reads without doubt."""


@dataclass(frozen=True, slots=True)
class Type:
    kind: Kind
    format: str | None = None
    """Of time and date; None is ISO 8601."""
    unit: Unit | None = None
    """Of time: the cell counts from 1970 in this unit."""
    decimal: Literal[".", ","] = "."
    """Of money."""
    currency: str | None = None
    """Of money: its ISO 4217 code says how many places are written."""
    region: str | None = None
    """Of phone: the ISO 3166 code of numbers without a country prefix."""
    separator: str = ","
    """Of list."""

    @property
    def has_offset(self) -> bool:
        """Does the format itself say which zone a time is in?"""
        return self.unit is not None or (self.format is not None and "%z" in self.format)


TEXT: Final = Type("text")


def parse_type(spec: object) -> Type:
    """A type from its YAML form: a word, or a mapping of one word to its options."""
    match spec:
        case Type():
            return spec
        case str():
            return _plain(spec)
        case dict() if len(spec) == 1:
            [(word, options)] = spec.items()
            return _with_options(word, options)
    raise PydanticCustomError(
        "type", "a type is one word or a mapping of one word to its options: {words}", _words()
    )


def _words() -> dict[str, object]:
    return {"words": ", ".join((*KINDS, "epoch"))}


def _plain(word: str) -> Type:
    for kind in KINDS:
        if word == kind:
            return Type(kind)
    hint = did_you_mean(word, KINDS)
    if word == "epoch":
        hint = "; write {epoch: s} or {epoch: ms}"
    raise PydanticCustomError(
        "type", 'there is no type "{word}"{hint}', {"word": word, "hint": hint}
    )


def _with_options(word: object, options: object) -> Type:
    match word, options:
        case "time" | "date", str():
            return Type("time" if word == "time" else "date", format=_format(options))
        case "epoch", "s" | "ms" | "us" | "ns":
            return Type("time", unit=options)
        case "list", str() if options:
            return Type("list", separator=options)
        case "money", dict():
            return _money(options)
        case "phone", dict() if set(options) == {"region"}:
            return Type("phone", region=_region(options["region"]))
    raise PydanticCustomError(
        "type",
        '"{word}" does not take these options; the forms are {time: FORMAT}, {date: FORMAT}, '
        '{epoch: s|ms|us|ns}, {money: {decimal: ",", currency: EUR}}, {phone: {region: US}}, '
        '{list: ";"}',
        {"word": str(word)},
    )


def _format(text: str) -> str:
    for position, sign in enumerate(text):
        if sign != "%" or (position and text[position - 1] == "%"):
            continue
        directive = text[position + 1 : position + 2]
        if not directive or directive not in TIME_DIRECTIVES:
            raise PydanticCustomError(
                "type", 'a time format cannot hold "%{sign}"', {"sign": directive}
            )
    if "%I" in text and "%p" not in text:
        raise PydanticCustomError("type", "%I counts twelve hours and needs %p; %H counts 24", {})
    if "%" not in text:
        raise PydanticCustomError("type", "a time format has signs such as %Y-%m-%d %H:%M:%S", {})
    return text


def _money(options: dict[str, object]) -> Type:
    unknown = set(options) - {"decimal", "currency"}
    decimal, currency = options.get("decimal", "."), options.get("currency")
    if unknown or decimal not in (".", ","):
        raise PydanticCustomError(
            "type", 'money takes decimal: "." or "," and currency: a code such as EUR', {}
        )
    if currency is not None and not (
        isinstance(currency, str) and len(currency) == 3 and currency.isascii()  # noqa: PLR2004
    ):
        raise PydanticCustomError("type", "currency is a code of three letters, such as EUR", {})
    return Type(
        "money",
        decimal="," if decimal == "," else ".",
        currency=currency.upper() if isinstance(currency, str) else None,
    )


def _region(region: object) -> str:
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise PydanticCustomError(
            "type", "region is a country code of two capital letters, such as US", {}
        )
    return str(region)


ColumnType = Annotated[
    Type,
    BeforeValidator(parse_type),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(KINDS)},
                {
                    "type": "object",
                    "properties": {
                        "time": {"type": "string"},
                        "date": {"type": "string"},
                        "epoch": {"enum": list(UNITS)},
                        "list": {"type": "string", "minLength": 1},
                        "money": {
                            "type": "object",
                            "properties": {
                                "decimal": {"enum": [".", ","]},
                                "currency": {"type": "string", "pattern": "^[A-Za-z]{3}$"},
                            },
                            "additionalProperties": False,
                        },
                        "phone": {
                            "type": "object",
                            "properties": {"region": {"type": "string", "pattern": "^[A-Z]{2}$"}},
                            "required": ["region"],
                            "additionalProperties": False,
                        },
                    },
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


def parse_zone(name: object) -> str:
    if isinstance(name, str) and name in available_timezones():
        return name
    zones = available_timezones()
    raise PydanticCustomError(
        "zone",
        '"{name}" is no time zone of the IANA list{hint}',
        {"name": str(name), "hint": did_you_mean(str(name), zones)},
    )


Zone = Annotated[str, BeforeValidator(parse_zone)]
