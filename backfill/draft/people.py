"""The person of an order: e-mail and phone by the content of cells, an id by its name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import WHOLE_FLOATS, Column
from backfill.draft.vocabulary import KLAVIYO_NAMES, Role, address_of, mentions, rank
from backfill.draft.yaml import QUESTION, leaf, sql_name
from backfill.schema.document import YamlValue

_MOST: Final = 0.5
_FEW: Final = 10
"""A column with so many times fewer addresses than another holds the shop's, not its customers'."""

_BARE: Final = 2
"""The rank of ``customer`` alone: such a column may hold names."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An identifier or another property of a person, as the schema maps it."""

    leaf: YamlValue
    column: Column | None
    """None where the user has to name the column."""
    evidence: str
    spec: YamlValue = None
    """The type that its column needs under ``columns``."""


@dataclass(frozen=True, slots=True)
class Person:
    attributes: Mapping[str, Attribute]
    """By Klaviyo's name; identifiers first, the strongest first."""
    identity: tuple[Column, ...]
    """The columns of its identifiers."""

    @property
    def columns(self) -> set[str]:
        """The names of the columns that are used."""
        return {some.column.name for some in self.attributes.values() if some.column is not None}


def email_of(columns: Iterable[Column]) -> Column | None:
    fitting = [column for column in columns if column.share("email") >= _MOST]
    most = max((column.distinct for column in fitting), default=0)

    def unlikelihood(column: Column) -> tuple[bool, int, int, int]:
        other = column.distinct * _FEW <= most or mentions("no_customer", column.label)
        side = ("", "billing", "shipping").index(address_of(column.label))
        return other, -(column.filled * 20 // max(column.rows, 1)), side, -column.filled

    return min(fitting, key=unlikelihood, default=None)


def customer_of(columns: Iterable[Column]) -> Column | None:
    """The id that a shop gives its customers; a column that is only called Customer holds names."""
    fitting = [
        column
        for column in columns
        if not column.share("email")
        and not column.formats
        and (rank("customer", column.label) != _BARE or column.share("integer") > _MOST)
    ]
    return _best("customer", fitting)


def person_of(columns: Sequence[Column], country: Column | None) -> Person:
    """The person of an order, by the order's columns.

    ``country`` is the order's: phone numbers without a prefix are of it.
    """
    email, customer = email_of(columns), customer_of(columns)
    phone = _best("phone", [column for column in columns if column.share("phone") >= _MOST])
    found: dict[str, Attribute] = {}
    if email is not None:
        found["$email"] = Attribute(leaf(email.name), email, _email_evidence(email))
    if phone is not None:
        found["$phone_number"] = _phone(phone, country, alone=email is None)
    if customer is not None and (email is None or email.filled < email.rows):
        found["$id"] = _id(customer, email)
    if not found:
        why = (
            "OPEN: no column holds e-mail addresses or phone numbers, and none is named like a "
            "customer id: write the column that says who ordered"
        )
        found["$id"] = Attribute(QUESTION, None, why)
    identity = tuple(a.column for a in found.values() if a.column is not None)
    others = [
        column for column in columns if column not in identity and column.share("email") <= _MOST
    ]
    found |= _names(others)
    for name, role in KLAVIYO_NAMES["person"].items():
        if (column := _best(role, others, billing_first=True)) is not None:
            found[name] = _by_name(column)
    return Person(found, identity)


def _names(columns: Sequence[Column]) -> dict[str, Attribute]:
    first, last, whole = (
        _best(role, columns, billing_first=True) for role in ("first_name", "last_name", "name")
    )
    if first is not None:
        named = {"$first_name": first, "$last_name": last}
        return {name: _by_name(column) for name, column in named.items() if column is not None}
    if whole is None or whole.share("number") > _MOST or rank("order", whole.label) is not None:
        return {}
    why = f"split from a full name; {whole.rows_filled}"
    return {
        f"${part}": Attribute({"column": whole.name, "take": part}, whole, why)
        for part in ("first_name", "last_name")
    }


def _by_name(column: Column) -> Attribute:
    return Attribute(leaf(column.name), column, f"by name; {column.rows_filled}")


def _best(role: Role, columns: Iterable[Column], *, billing_first: bool = False) -> Column | None:
    """The column whose name fits this role best; of several, the one with the most filled cells."""
    ranks = {column.name: rank(role, column.label) for column in columns if column.filled}

    def unlikelihood(column: Column) -> tuple[bool, int, int]:
        is_shipping = billing_first and address_of(column.label) == "shipping"
        return is_shipping, ranks[column.name] or 0, -column.filled

    named = [column for column in columns if ranks.get(column.name) is not None]
    return min(named, key=unlikelihood, default=None)


def _email_evidence(column: Column) -> str:
    evidence = f"{column.cells_of('email')} are e-mail addresses"
    if not column.all("email"):
        evidence += "; orders with other cells become rejects"
    if masked := column.count("masked"):
        evidence += f"; {masked:,} are masked"
    return evidence + _missing(column)


def _missing(column: Column) -> str:
    missing = column.rows - column.filled
    return f"; {missing:,} rows have none" if missing else ""


def _phone(column: Column, country: Column | None, *, alone: bool) -> Attribute:
    """``alone``: the person has no e-mail."""
    prefixed = column.count("country_prefix")
    here: YamlValue = leaf(column.name)
    evidence = (
        f"{column.cells_of('phone')} look like phone numbers, {prefixed:,} with a country prefix"
    )
    if not alone:
        here = {"column": column.name, "unfit": "leave_out"}
        evidence += "; other cells are left out, and their orders stay"
    if country is not None:
        evidence += "; without a prefix, the order's country counts"
        return Attribute(here, column, evidence, {"phone": {"country": country.name}})
    if prefixed == column.filled:
        return Attribute(here, column, evidence, "phone")
    if not alone:
        evidence += "; {phone: {region: US}} reads numbers without a prefix"
        return Attribute(here, column, evidence, "phone")
    evidence = (
        f"OPEN: {evidence}; {column.filled - prefixed:,} have none: write the country that they "
        "belong to (US, DE …)"
    )
    return Attribute(here, column, evidence, {"phone": {"region": QUESTION}})


def _id(column: Column, email: Column | None) -> Attribute:
    evidence = f"by name; {column.rows_filled}, about {column.distinct:,} different values"
    evidence += _missing(column) + column.ruined
    spec: YamlValue = None
    if column.all("whole_float"):
        spec = "integer"
        evidence += f"; {WHOLE_FLOATS}"
    if email is None:
        return Attribute(leaf(column.name), column, evidence, spec)
    missing = f"case when {sql_name(email.name)} is null then {sql_name(column.name)} end"
    return Attribute(
        {"sql": missing}, column, f"only in rows without an e-mail address: {evidence}", spec
    )
