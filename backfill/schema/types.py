"""The types that a schema gives to columns, under ``columns`` and ``as``."""

import json
import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import phonenumbers
from pydantic import BeforeValidator, WithJsonSchema

from backfill.schema.currencies import currency_code
from backfill.schema.suggest import did_you_mean
from backfill.schema.zones import iana_zones

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
"""The kinds that one word names, without options."""
_WITH_OPTIONS: Final = ("time", "date", "epoch", "money", "phone", "list", "pairs", "file_name")
Unit = Literal["s", "ms", "us", "ns"]

TIME_DIRECTIVES: Final = frozenset("YmdHMSfzZbBjypIaA%") | {f"-{sign}" for sign in "dmyHIMSj"}
"""What may follow ``%`` in a format: DuckDB's strptime reads it, and in one way."""

_FORMS_WITH_OPTIONS: Final = Path(__file__).with_name("types.json")
"""The JSON Schema of types with options, for editors."""


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type.

    The names of the fields and their values are part of an id's rule, which ledgers keep: another
    name stops the next run.
    """

    kind: Kind
    _: KW_ONLY
    format: str | None = None
    """The strptime format of a time or date; None is ISO 8601."""
    unit: Unit | None = None
    """The unit of a time that counts from 1970; None for other times."""
    decimal: Literal[".", ","] | None = None
    """The decimal mark of an amount; None is a point, where the column's cells do not deny it."""
    currency: str | None = None
    """The ISO 4217 code of an amount: it says to how many places the amount is rounded."""
    currency_column: str | None = None
    """The column that holds this code row by row; None where ``currency`` or nothing says it."""
    minor: bool = False
    """Is an amount a count of the currency's smallest units, such as cents?"""
    stripe: bool = False
    """Do the smallest units have the places of Stripe, not those of ISO 4217?"""
    region: str | None = None
    """The ISO 3166 code of the country of phone numbers without a country prefix."""
    country: str | None = None
    """The column that holds this country row by row; ``region`` is for rows without one."""
    separator: str = ","
    """The sign between the values of a list, or between pairs."""
    sign: str = ":"
    """The sign between the key and the value of a pair."""
    lines: str | None = None
    """The sign between the lines of a cell of pairs; None where a cell is one line."""
    keys: tuple[str, ...] = ()
    """The keys that every line of pairs begins with, in this order. Their values may hold signs."""
    file_name: str | tuple[tuple[str, str], ...] | None = None
    """The rule for a value from the file's name: a regular expression, or each name's value."""

    @property
    def decimal_mark(self) -> str:
        """The mark that amounts are read with."""
        return self.decimal or "."

    @property
    def is_utc(self) -> bool:
        """Does the format say, in its own letters, that the time is UTC?"""
        return self.format is not None and _UTC.search(self.format) is not None

    @property
    def has_zone(self) -> bool:
        """Does each cell hold the offset or the name of its zone?"""
        return self.format is not None and re.search("%[zZ]", self.format) is not None

    @property
    def has_offset(self) -> bool:
        """Is a time known without the zone of the shop?"""
        return self.unit is not None or self.is_utc or self.has_zone


_UTC: Final = re.compile(r"(?<![%A-Za-z])(?:UTC|GMT)\)?$|(?<=%[SMf])Z$")

TEXT: Final = Type("text")


def parse_type(spec: object) -> Type:
    """A type from its YAML form: a word, or a mapping of one word to its options.

    Raises:
        ValueError: the schema's problem, as one sentence.
    """
    match spec:
        case Type():
            return spec
        case str():
            return _type_of_word(spec)
        case dict() if len(spec) == 1:
            [(word, options)] = spec.items()
            return _type_with_options(word, options)
    words = ", ".join((*KINDS, "pairs", "epoch", "file_name"))
    raise ValueError(f"a type is one word or a mapping of one word to its options: {words}")


def _type_of_word(word: str) -> Type:
    for kind in KINDS:
        if word == kind:
            return Type(kind)
    hint = did_you_mean(word, KINDS)
    if word == "epoch":
        hint = "; write {epoch: s} or {epoch: ms}"
    if word == "pairs":
        hint = ' without its sign; write {pairs: "|"}'
    raise ValueError(f'there is no type "{word}"{hint}')


def _type_with_options(word: object, options: object) -> Type:
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
            return Type("text", file_name=_file_name_pattern(options))
        case "file_name", dict() if options:
            return Type("text", file_name=_file_name_values(options))
        case "money", dict():
            return _money(options)
        case "phone", dict() if options and set(options) <= {"country", "region"}:
            return _phone(options)
    raise ValueError(_option_problem(word, options))


def _option_problem(word: object, options: object) -> str:
    if word not in _WITH_OPTIONS:
        hint = did_you_mean(str(word), _WITH_OPTIONS)
        if options in KINDS:
            hint = f"; write {options} alone"
        return f'there is no type "{word}" with options{hint}'
    return (
        f'"{word}" does not take these options; the forms are '
        "{time: FORMAT}, {date: FORMAT}, "
        '{epoch: s|ms|us|ns}, {money: {decimal: ",", currency: EUR, minor: true}}, '
        '{phone: {country: COLUMN, region: US}}, {list: ";"}, '
        '{pairs: {between: "|", sign: ":", lines: ";"}}, {file_name: PATTERN}'
    )


def _pairs(options: dict[str, object]) -> Type:
    keys = options.get("keys", [])
    options = {name: value for name, value in options.items() if name != "keys"}
    signs = {"between": "|", "sign": ":", "lines": None, **options}
    texts = [sign for sign in signs.values() if sign is not None]
    if len(signs) > 3 or not all(isinstance(sign, str) and sign for sign in texts):  # noqa: PLR2004
        raise ValueError(
            "pairs takes between (a sign such as |), sign (such as :) and, where a cell holds "
            "several lines, lines (such as ;)"
        )
    if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
        raise ValueError("keys lists what every line of pairs begins with, such as [name, sku]")
    if len(set(texts)) < len(texts):
        raise ValueError("the signs of pairs must differ from each other")
    return Type(
        "pairs",
        separator=str(signs["between"]),
        sign=str(signs["sign"]),
        lines=None if signs["lines"] is None else str(signs["lines"]),
        keys=tuple(keys),
    )


def _file_name_pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(
            f"file_name is a regular expression, and this is not one: {error}"
        ) from error
    if groups > 1:
        raise ValueError("file_name has at most one group, the part of the name to take")
    return text


def _file_name_values(names: dict[str, object]) -> tuple[tuple[str, str], ...]:
    if not all(isinstance(value, str) and value.strip() for value in names.values()):
        raise ValueError("file_name names each file's value, such as eu.csv: EU")
    return tuple((name, str(value).strip()) for name, value in names.items())


def _format(text: str) -> str:
    for directive in re.findall("%(-?.?)", text, re.DOTALL):
        if directive not in TIME_DIRECTIVES:
            raise ValueError(f'a time format cannot hold "%{directive}"')
    if "%I" in text and "%p" not in text:
        raise ValueError("%I counts twelve hours and needs %p; %H counts 24")
    if "%" not in text:
        raise ValueError("a time format has signs such as %Y-%m-%d %H:%M:%S")
    return text


def _money(options: dict[str, object]) -> Type:
    unknown = set(options) - {"decimal", "currency", "minor"}
    decimal, currency = options.get("decimal"), options.get("currency")
    minor = {"true": True, "stripe": True, "false": False}.get(
        str(options.get("minor", "false")).lower()
    )
    if unknown or decimal not in (None, ".", ",") or minor is None:
        raise ValueError(
            'money takes decimal: "." or ",", minor: true for cents (or minor: stripe), and '
            "currency: a code such as EUR, or the column that holds it"
        )
    if currency is not None and not (isinstance(currency, str) and currency.strip()):
        raise ValueError("currency is a code such as EUR, or the column that holds each row's code")
    if minor and currency is None:
        raise ValueError(
            "minor units need currency: a code such as EUR, or the column that holds each row's "
            "code (a yen has no smaller unit, a dinar a thousand)"
        )
    code = currency_code(currency) if isinstance(currency, str) else None
    return Type(
        "money",
        decimal=decimal,
        currency=code,
        currency_column=currency if isinstance(currency, str) and code is None else None,
        minor=minor,
        stripe=options.get("minor") == "stripe",
    )


def _phone(options: dict[str, object]) -> Type:
    region, country = options.get("region"), options.get("country")
    if "country" in options and not (isinstance(country, str) and country):
        raise ValueError("country is the column that holds each row's country")
    if "region" in options and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("region is a country code of two capital letters, such as US")
    return Type(
        "phone",
        region=region if isinstance(region, str) else None,
        country=country if isinstance(country, str) else None,
    )


ColumnType = Annotated[
    Type,
    BeforeValidator(parse_type),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(KINDS)},
                json.loads(_FORMS_WITH_OPTIONS.read_text(encoding="utf-8")),
            ]
        }
    ),
]


def parse_zone(name: object) -> str:
    """The name itself, if it is an IANA time zone. Raises ValueError."""
    if isinstance(name, str) and name in iana_zones():
        return name
    if name in _CLOCKS:
        raise ValueError(
            f'"{name}" is the clock of whichever machine reads it and not a time zone of the IANA '
            "list; name the shop's, such as Europe/Berlin"
        )
    plain = str(name).strip().removeprefix("posix/").removeprefix("right/")
    hint = did_you_mean(plain, iana_zones())
    raise ValueError(f'"{name}" is not a time zone of the IANA list{hint}')


_CLOCKS: Final = ("localtime", "posixrules", "Factory", "local")
"""Files of the tz database, and a word for them, that name no place."""

Zone = Annotated[str, BeforeValidator(parse_zone)]


def swap_day_and_month(form: str) -> str | None:
    """The same format with day and month exchanged; None where that is not a likely format.

    Both must be numbers, and after the year nobody writes the day before the month.
    """
    if form.startswith(("%Y", "%y")) or not (re.search("%-?m", form) and re.search("%-?d", form)):
        return None
    return re.sub("%(-?)([dm])", lambda sign: f"%{sign[1]}{'m' if sign[2] == 'd' else 'd'}", form)


def with_and_without_fraction(form: str) -> tuple[str, ...]:
    """A format with a fraction of a second, and the same without: programs leave out ``.000``."""
    plain = re.sub("%S[.,]%f", "%S", form)
    return (form,) if plain == form else (form, plain)
