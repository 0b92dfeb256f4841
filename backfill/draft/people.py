"""The person of an order: e-mail and phone by the content of cells, an id by its name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.display import listed
from backfill.draft.facts import WHOLE_FLOATS, Column
from backfill.draft.vocabulary import KLAVIYO_NAMES, Role, address_of, mentions, rank
from backfill.draft.yaml import QUESTION, leaf, sql_name
from backfill.schema.document import YamlValue

_MOST: Final = 0.5
_FEW: Final = 10
"""A column with so many times fewer addresses than another holds the shop's, not its customers'."""

_ENOUGH_ROWS: Final = 4
"""So many orders of one address, and no other, are no evidence of a customer."""

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


@dataclass(frozen=True, slots=True)
class EmailChoice:
    """The column of the customer's e-mail address, among all that hold addresses."""

    column: Column | None
    """The likeliest one; None where no column holds addresses."""
    others: tuple[Column, ...] = ()
    """The other columns of addresses, the likeliest first."""
    doubt: str = ""
    """Why a person has to say whether ``column`` is the customer's."""


def email_of(columns: Iterable[Column]) -> EmailChoice:
    """Rank the columns of e-mail addresses by their names, and by how many addresses each has."""
    fitting = [column for column in columns if column.share("email") >= _MOST]
    most = max((column.distinct for column in fitting), default=0)
    if not fitting:
        return EmailChoice(None)
    first, *others = sorted(fitting, key=lambda column: _unlikelihood(column, most))
    return EmailChoice(first, tuple(others), _doubt(first, others, most))


def _unlikelihood(column: Column, most: int) -> tuple[bool, int, int, int, int]:
    side = ("", "billing", "shipping").index(address_of(column.label))
    filled = -(column.filled * 20 // max(column.rows, 1))
    return _has_few(column, most), _meaning(column), filled, side, -column.filled


def _has_few(column: Column, most: int) -> bool:
    """Whether it has so few addresses that they are the shop's, and not its customers'."""
    return column.distinct * _FEW <= most or (
        column.distinct == 1 and column.filled >= _ENOUGH_ROWS
    )


def _meaning(column: Column) -> int:
    """0: its name means the customer; 1: it means nobody; 2: it means someone else."""
    if mentions("no_customer", column.label):
        return 2
    return 0 if mentions("customer", column.label) else 1


def _doubt(first: Column, others: Sequence[Column], most: int) -> str:
    if _meaning(first) == 2:  # noqa: PLR2004
        return f'"{first.name}" is named like the column of another person than the customer'
    if _has_few(first, most):
        return f'each row of "{first.name}" has the same address'
    rival = any(
        not _has_few(column, most)
        and _meaning(column) == _meaning(first)
        and address_of(column.label) != "shipping"
        for column in others
    )
    return "no name says which of these columns holds the customer's address" if rival else ""


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
    choice, customer = email_of(columns), customer_of(columns)
    email = None if choice.doubt else choice.column
    phone = _best("phone", [column for column in columns if column.share("phone") >= _MOST])
    found: dict[str, Attribute] = {}
    if choice.doubt:
        found["$email"] = Attribute(QUESTION, None, _email_question(choice))
    elif email is not None:
        found["$email"] = Attribute(leaf(email.name), email, _email_evidence(choice))
    if phone is not None:
        found["$phone_number"] = _phone(phone, country, alone=choice.column is None)
    if customer is not None and not choice.doubt and (email is None or email.filled < email.rows):
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
    if first is not None and first.share("with_digits") <= _MOST:
        named = {"$first_name": first, "$last_name": last}
        return {name: _by_name(column) for name, column in named.items() if column is not None}
    if (
        whole is None
        or whole.share("several_words") <= _MOST
        or rank("order", whole.label) is not None
    ):
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


def _email_question(choice: EmailChoice) -> str:
    columns = [column for column in (choice.column, *choice.others) if column is not None]
    counts = ", ".join(f'"{column.name}" has about {column.distinct:,}' for column in columns)
    return (
        f"OPEN: {choice.doubt}: write the name of the column that holds the address of the person "
        f"who ordered (different addresses: {counts})"
    )


def _email_evidence(choice: EmailChoice) -> str:
    column = choice.column
    if column is None:
        return ""
    evidence = f"{column.cells_of('email')} are e-mail addresses"
    if not column.all("email"):
        evidence += "; orders with other cells become rejects"
    if masked := column.count("masked"):
        evidence += f"; {masked:,} are masked"
    evidence += _missing(column)
    if choice.others:
        names = listed([f'"{other.name}"' for other in choice.others], 6)
        evidence += f"; other columns with e-mail addresses: {names}"
    return evidence


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
