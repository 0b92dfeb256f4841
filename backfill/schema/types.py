"""What a column can be besides text, as a schema says it under ``columns`` and ``as``."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal, get_args
from zoneinfo import available_timezones

import phonenumbers
from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from backfill.schema.suggest import did_you_mean

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
    "pairs",
]
KINDS: Final = tuple(kind for kind in get_args(Kind) if kind != "pairs")
"""Those that a word alone can name."""
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
    country: str | None = None
    """Of phone: the column whose country comes before ``region``."""
    separator: str = ","
    """Of list, and between pairs."""
    sign: str = ":"
    """Of pairs: between a key and its value."""
    lines: str | None = None
    """Of pairs: between the lines of a cell that holds several."""
    keys: tuple[str, ...] = ()
    """Of pairs: what every line begins with, in this order; values between may hold the signs."""
    file_name: str | tuple[tuple[str, str], ...] | None = None
    """Of a column that is no cell: a regular expression over the file's name, or each name's value.
    """

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
    return {"words": ", ".join((*KINDS, "pairs", "epoch", "file_name"))}


def _plain(word: str) -> Type:
    for kind in KINDS:
        if word == kind:
            return Type(kind)
    hint = did_you_mean(word, KINDS)
    if word == "epoch":
        hint = "; write {epoch: s} or {epoch: ms}"
    if word == "pairs":
        hint = ' without its sign; write {pairs: "|"}'
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
        case "pairs", str() if options:
            return Type("pairs", separator=options)
        case "pairs", dict():
            return _pairs(options)
        case "file_name", str() if options:
            return Type("text", file_name=_pattern(options))
        case "file_name", dict() if options:
            return Type("text", file_name=_constants(options))
        case "money", dict():
            return _money(options)
        case "phone", dict() if options and set(options) <= {"country", "region"}:
            return _phone(options)
    raise PydanticCustomError(
        "type",
        '"{word}" does not take these options; the forms are {time: FORMAT}, {date: FORMAT}, '
        '{epoch: s|ms|us|ns}, {money: {decimal: ",", currency: EUR}}, '
        '{phone: {country: COLUMN, region: US}}, {list: ";"}, '
        '{pairs: {between: "|", sign: ":", lines: ";"}}, {file_name: PATTERN}',
        {"word": str(word)},
    )


def _pairs(options: dict[str, object]) -> Type:
    keys = options.get("keys", [])
    options = {name: value for name, value in options.items() if name != "keys"}
    signs = {"between": "|", "sign": ":", "lines": None, **options}
    texts = [sign for sign in signs.values() if sign is not None]
    if len(signs) > 3 or not all(isinstance(sign, str) and sign for sign in texts):  # noqa: PLR2004
        raise PydanticCustomError(
            "type",
            "pairs takes between (a sign such as |), sign (such as :) and, where a cell holds "
            "several lines, lines (such as ;)",
            {},
        )
    if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
        raise PydanticCustomError(
            "type", "keys lists what every line of pairs begins with, such as [name, sku]", {}
        )
    if len(set(texts)) < len(texts):
        raise PydanticCustomError("type", "the signs of pairs differ from each other", {})
    return Type(
        "pairs",
        separator=str(signs["between"]),
        sign=str(signs["sign"]),
        lines=None if signs["lines"] is None else str(signs["lines"]),
        keys=tuple(keys),
    )


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise PydanticCustomError(
            "type",
            "file_name is a regular expression; this one is none: {why}",
            {"why": str(error)},
        ) from error
    if groups > 1:
        raise PydanticCustomError("type", "file_name has one group, the part that counts", {})
    return text


def _constants(names: dict[str, object]) -> tuple[tuple[str, str], ...]:
    if not all(isinstance(value, str) and value.strip() for value in names.values()):
        raise PydanticCustomError(
            "type", "file_name names each file's value, such as eu.csv: EU", {}
        )
    return tuple((name, str(value).strip()) for name, value in names.items())


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


def _phone(options: dict[str, object]) -> Type:
    region, country = options.get("region"), options.get("country")
    if "country" in options and not (isinstance(country, str) and country):
        raise PydanticCustomError("type", "country is the column that holds each row's country", {})
    return Type(
        "phone",
        region=_region(region) if "region" in options else None,
        country=country if isinstance(country, str) else None,
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
                        "pairs": {
                            "anyOf": [
                                {"type": "string", "minLength": 1},
                                {
                                    "type": "object",
                                    "properties": {
                                        "between": {"type": "string", "minLength": 1},
                                        "sign": {"type": "string", "minLength": 1},
                                        "lines": {"type": "string", "minLength": 1},
                                        "keys": {
                                            "type": "array",
                                            "items": {"type": "string", "minLength": 1},
                                        },
                                    },
                                    "additionalProperties": False,
                                },
                            ]
                        },
                        "file_name": {
                            "anyOf": [
                                {"type": "string", "minLength": 1},
                                {"type": "object", "additionalProperties": {"type": "string"}},
                            ]
                        },
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
                            "properties": {
                                "country": {"type": "string", "minLength": 1},
                                "region": {"type": "string", "pattern": "^[A-Z]{2}$"},
                            },
                            "minProperties": 1,
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


def swap_day_and_month(form: str) -> str | None:
    """The same format with day and month changed over, where both stand as numbers.

    Behind the year nobody writes the day before the month.
    """
    if form.startswith(("%Y", "%y")) or not (re.search("%-?m", form) and re.search("%-?d", form)):
        return None
    return re.sub("%(-?)([dm])", lambda sign: f"%{sign[1]}{'m' if sign[2] == 'd' else 'd'}", form)
