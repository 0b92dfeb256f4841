"""The role that a header names, and Klaviyo's name for it, by ``vocabulary.toml``."""

import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Final, Literal, get_args

KeyRole = Literal["order", "shop", "clock", "zone"]
SoldRole = Literal["line_id", "sku", "product_id", "product", "quantity", "price", "row_total"]
ProductRole = Literal["category", "brand", "url", "image"]
AmountRole = Literal["total", "subtotal", "shipping", "tax", "discount", "refund"]
OrderRole = Literal["discount_code", "currency", "status", "country"]
PersonRole = Literal["customer", "phone", "first_name", "last_name", "name", "company"]
AddressRole = Literal["address1", "address2", "city", "zip", "region"]
TimeRole = Literal["ordered", "cancelled", "fulfilled", "refunded"]
Role = Literal[
    KeyRole, SoldRole, ProductRole, AmountRole, OrderRole, PersonRole, AddressRole, TimeRole
]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
SOLD_ROLES: Final[tuple[SoldRole, ...]] = get_args(SoldRole)
"""What only lines have."""

LINE_ROLES: Final[tuple[Role, ...]] = (*SOLD_ROLES, *get_args(ProductRole))
ORDER_ROLES: Final[tuple[Role, ...]] = (*get_args(AmountRole), *get_args(OrderRole))
AMOUNT_ROLES: Final[tuple[Role, ...]] = (*get_args(AmountRole), "price", "row_total")
TIME_ROLES: Final[tuple[TimeRole, ...]] = get_args(TimeRole)

Topic = Literal[
    "birthday",
    "cents",
    "customer",
    "fee",
    "id",
    "items",
    "no_customer",
    "no_items",
    "order",
    "row_id",
    "taxes",
    "time",
    "unit",
    "utc",
]
"""A topic that words of a header show, whatever the role of its column."""

_LISTS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _pattern(names: list[str]) -> str:
    """The names as one regular expression; ``<word>`` is one of the words of that list."""
    return re.sub(
        "<([a-z_0-9]+)>",
        lambda found: f"(?:{_pattern(_LISTS['words'][found[1]])})",
        "|".join(names),
    )


NAMES: Final[dict[Role, tuple[str, ...]]] = {
    role: tuple(_pattern(names) for names in _LISTS["names"][role]) for role in ROLES
}
"""Regular expressions that a header matches as a whole, the surest first."""

KLAVIYO_NAMES: Final[dict[str, dict[str, Role]]] = _LISTS["klaviyo"]
"""Properties of an ``item``, of ``lists``, an ``order``, an ``address`` and a ``person``."""

_EXCLUSIONS: Final[dict[str, str]] = {
    role: _pattern(words) for role, words in _LISTS["exclusions"].items()
}
_TOPICS: Final[dict[str, str]] = {
    topic: _pattern(words) for topic, words in _LISTS["topics"].items()
}
_STATUSES: Final[dict[str, str]] = {
    meaning: _pattern(words) for meaning, words in _LISTS["statuses"].items()
}
_ROW_TYPES: Final[dict[str, str]] = {
    kind: _pattern(words) for kind, words in _LISTS["row_types"].items()
}
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS: Final = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "№": "no"})


def normal(header: str) -> str:
    """``SalesOrderID``, ``sales_order_id`` and ``Sales order ID:`` are all ``sales order id``."""
    spaced = _CAMEL.sub(" ", header).translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", spaced.casefold())
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    name = " ".join(re.findall(r"[^\W_]+", letters.replace("#", " number ")))
    name = re.sub(r"^(.+) (billing|shipping)$", r"\2 \1", name)  # First Name (Billing)
    return re.sub(r"^[oclp] (?=[a-z])", "", name)  # o_orderkey, l_quantity


def rank(role: Role, header: str) -> int | None:
    """How surely a header names this role: 0 is the surest, None is not at all."""
    name = normal(header)
    if is_excluded(role, header):
        return None
    ranks = (at for at, pattern in enumerate(NAMES[role]) if re.fullmatch(pattern, name))
    return next(ranks, None)


def is_excluded(role: Role, header: str) -> bool:
    """Whether a header holds a word that no header of this role holds."""
    return role in _EXCLUSIONS and _holds_word(_EXCLUSIONS[role], header)


def mentions(topic: Topic, header: str) -> bool:
    """Whether a header holds a word of this topic."""
    return _holds_word(_TOPICS[topic], header)


def _holds_word(words: str, header: str) -> bool:
    return re.search(rf"\b(?:{words})\b", normal(header)) is not None


def may_be_row_id(header: str) -> bool:
    """Whether a header may be that of an id which each row of a table has for itself."""
    name = normal(header)
    first = rf"(?:(?:{_TOPICS['row_id']}) ?)?"
    last = "(?:id|uuid|guid|key|no|nr|num|number|nummer|numero|reference|ref)"
    return re.fullmatch(rf"{first}(?:unique )?{last}", name) is not None


def status_of(value: str) -> str:
    """What a status means for a purchase: "paid", "unpaid", "cancelled", "refunded"; "" unknown."""
    name = normal(value)
    found = (meaning for meaning, words in _STATUSES.items() if re.fullmatch(words, name))
    return next(found, "")


def row_type_of(value: str) -> str:
    """Which row of an order a cell means: "product", "other", or "" for neither."""
    name = normal(value)
    found = (kind for kind, words in _ROW_TYPES.items() if re.fullmatch(words, name))
    return next(found, "")


def address_of(header: str) -> Literal["", "billing", "shipping"]:
    """Which of an order's addresses a column belongs to; empty where the header does not say."""
    name = normal(header)
    if re.match(r"bill(?:ing|to)?\b|rechnungs", name):
        return "billing"
    if re.match(r"ship(?:ping|to)?\b|delivery\b|liefer|versand|envio", name):
        return "shipping"
    return ""
