"""Who the person of an order is: e-mail and phone by content, an id by its name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.vocabulary import Role, address_of, mentions, rank
from backfill.draft.yaml import QUESTION, leaf, sql_name
from backfill.schema.document import Plain

_MOST: Final = 0.5
_FEW: Final = 10
"""A column with so many times fewer addresses than another holds the shop's, not its customers'."""

_ATTRIBUTES: Final[tuple[tuple[str, Role], ...]] = (
    ("$first_name", "first_name"),
    ("$last_name", "last_name"),
    ("$organization", "company"),
    ("$address1", "address1"),
    ("$address2", "address2"),
    ("$city", "city"),
    ("$zip", "zip"),
    ("$region", "region"),
    ("$country", "country"),
)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A line of the schema: what stands there, and why."""

    leaf: Plain
    columns: tuple[Column, ...]
    evidence: str
    spec: Plain = None
    """The type that its column needs under ``columns``."""


@dataclass(frozen=True, slots=True)
class Person:
    properties: Mapping[str, Mapped]
    """By Klaviyo's name; identifiers first, the strongest first."""
    identity: tuple[Column, ...]
    """The columns that say who it is."""

    @property
    def columns(self) -> set[str]:
        return {column.name for mapped in self.properties.values() for column in mapped.columns}


def email_of(columns: Iterable[Column]) -> Column | None:
    fitting = [column for column in columns if column.share("email") >= _MOST]
    most = max((column.distinct for column in fitting), default=0)
    return min(fitting, key=lambda column: _unlikely(column, most), default=None)


def _unlikely(column: Column, most: int) -> tuple[bool, int, int, int]:
    """``most``: how many different addresses the column has that has the most of them."""
    few = column.distinct * _FEW <= most
    other = few or mentions("no_customer", column.called)
    sides = ("", "billing", "shipping").index(address_of(column.called))
    return other, -(column.filled * 20 // max(column.rows, 1)), sides, -column.filled


def customer_of(columns: Iterable[Column]) -> Column | None:
    """The id that a shop gives its customers; a column that is only called Customer holds names."""
    found = [
        (order, -column.filled, column)
        for column in columns
        if (order := rank("customer", column.called)) is not None
        and column.filled
        and not column.share("email")
        and not column.formats
        and (order != _BARE or column.share("integer") > _MOST)
    ]
    return min(found, key=lambda some: some[:2])[2] if found else None


_BARE: Final = 2
"""The rank in names.NAMES of ``customer`` alone."""


def phone_of(columns: Iterable[Column]) -> Column | None:
    found = [
        (order, -column.filled, column)
        for column in columns
        if (order := rank("phone", column.called)) is not None and column.share("phone") >= _MOST
    ]
    return min(found, key=lambda some: some[:2])[2] if found else None


def person_of(columns: Sequence[Column], country: Column | None) -> Person:
    email, phone, customer = email_of(columns), phone_of(columns), customer_of(columns)
    found: dict[str, Mapped] = {}
    if email is not None:
        found["$email"] = Mapped(leaf(email.name), (email,), _email_told(email))
    if phone is not None:
        found["$phone_number"] = _phone(phone, country, alone=email is None)
    if customer is not None and (email is None or email.filled < email.rows):
        found["$id"] = _id(customer, email)
    if not found:
        found["$id"] = Mapped(
            QUESTION,
            (),
            "OPEN: no column holds e-mail addresses or phone numbers, none is called a customer's "
            "id; put the column that says who ordered",
        )
    identity = tuple(column for mapped in found.values() for column in mapped.columns[:1])
    taken = {column.name for column in identity}
    found |= _names(columns, taken)
    for key, role in _ATTRIBUTES[2:]:
        best = _best(role, columns, taken)
        if best is not None:
            found[key] = _by_name(best)
    return Person(found, identity)


def _names(columns: Sequence[Column], taken: set[str]) -> dict[str, Mapped]:
    first, last = _best("first_name", columns, taken), _best("last_name", columns, taken)
    if first is not None:
        found = {"$first_name": _by_name(first)}
        if last is not None:
            found["$last_name"] = _by_name(last)
        return found
    whole = _best("name", columns, taken)
    if whole is None or whole.share("number") > _MOST or rank("order", whole.called) is not None:
        return {}
    told = f"taken out of a whole name; {cells(whole)}"
    return {
        f"${part}": Mapped({"column": whole.name, "take": part}, (whole,), told)
        for part in ("first_name", "last_name")
    }


def _by_name(column: Column) -> Mapped:
    return Mapped(leaf(column.name), (column,), f"by its name; {cells(column)}")


def _best(role: Role, columns: Sequence[Column], taken: set[str]) -> Column | None:
    found = [
        (address_of(column.called) == "shipping", order, -column.filled, column)
        for column in columns
        if (order := rank(role, column.called)) is not None
        and column.filled
        and column.name not in taken
        and not column.share("email") > _MOST
    ]
    return min(found, key=lambda some: some[:3])[3] if found else None


def _email_told(column: Column) -> str:
    hits = column.fits.get("email", 0)
    told = f"{hits:,} of {column.filled:,} cells are e-mail addresses"
    if hits < column.filled:
        told += "; orders with another one become rejects"
    if masked := column.fits.get("masked", 0):
        told += f"; {masked:,} are masked"
    if column.filled < column.rows:
        told += f"; {column.rows - column.filled:,} rows have none"
    return told


def _phone(column: Column, country: Column | None, *, alone: bool) -> Mapped:
    hits, plus = column.fits.get("phone", 0), column.fits.get("plus", 0)
    told = f"{hits:,} of {column.filled:,} cells look like phone numbers, {plus:,} with a country"
    here: Plain = leaf(column.name)
    if not alone:
        here = {"column": column.name, "unfit": "leave_out"}
        told += "; junk is left out, its order stays"
    if country is not None:
        told += "; the others by the order's country"
        return Mapped(here, (column,), told, {"phone": {"country": country.name}})
    if plus == column.filled or not alone:
        more = "" if plus == column.filled else "; {phone: {region: US}} reads those of one country"
        return Mapped(here, (column,), told + more, "phone")
    unsaid = f"{column.filled - plus:,} numbers name no country"
    told = f"OPEN: {told}; {unsaid}: say which one they are of (US, DE …)"
    return Mapped(here, (column,), told, {"phone": {"region": QUESTION}})


def _id(column: Column, email: Column | None) -> Mapped:
    told = f"by its name; {cells(column)}, about {column.distinct:,} different"
    if column.filled < column.rows:
        told += f"; {column.rows - column.filled:,} rows have none"
    spec = None
    if column.share("doubles") == 1:
        spec = "integer"
        told += "; each ends in .0, which integer takes off"
    if ruined := column.fits.get("ruined", 0):
        told += f"; a spreadsheet ruined {ruined:,} (5.27763E+12): rejects"
    if email is None:
        return Mapped(leaf(column.name), (column,), told, spec)
    missing = f"case when {sql_name(email.name)} is null then {sql_name(column.name)} end"
    return Mapped({"sql": missing}, (column,), f"only where no e-mail is: {told}", spec)


def cells(column: Column) -> str:
    of = column.rows if not column.looked else max(column.looked, column.rows)
    return f"{column.filled:,} of {of:,} rows have it"
