"""What must be in Klaviyo in the end, reckoned from the orders and without code of `backfill`."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

Shape = Literal["flat", "orders"]
Rule = Literal["newest", "none", "every"]
Flaw = Literal["", "Email", "At", "Price"]

FIRST_S = 1_546_300_800  # 2019-01-01
DAYS = 1_100
A_YEAR_S = 366 * 86_400

_HEAD = """
name: faults
{source}
columns: {{Price: money{quantity}}}
profiles: {rule}
customer_properties: {{$email: Email, $first_name: Name, $city: City}}
events:
  - event: Cancelled Order
    where: Status = 'cancelled'
    time: At
    properties: {{$event_id: "{{No}}", Reason: {{value: customer}}}}
"""
_FLAT = """
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Price, Item: SKU}
"""
_ORDERS = """
  - event: Placed Order
    time: At
    properties:
      $event_id: "{No}"
      $value: {sum: "Quantity * Price"}
      Items: {each: SKU}
  - event: Ordered Product
    per: line
    time: At
    properties:
      $event_id: "{No}-{SKU}"
      $value: {sql: "Quantity * Price"}
      Item: SKU
"""


@dataclass(frozen=True, slots=True)
class Line:
    sku: str
    quantity: int
    cents: int


@dataclass(frozen=True, slots=True)
class Order:
    number: int
    email: str
    name: str
    city: str
    time_s: int
    cancelled: bool
    lines: tuple[Line, ...]
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class Event:
    metric: str
    event_id: str
    time_s: int
    email: str
    properties: dict[str, Any]
    attributes: dict[str, str]

    @property
    def key(self) -> bytes:
        return key(self.metric, self.event_id)


def key(metric: str, event_id: str) -> bytes:
    """README: the identity of an event, which the ledger keeps; written down anew here."""
    return hashlib.sha256(f"1\x1f{metric}\x1f{event_id}".encode()).digest()[:16]


def make_orders(random: Random, count: int, people: int, shape: Shape, flaws: float) -> list[Order]:
    """Orders in the sequence of the export; several share a day, and a person."""
    return [
        Order(
            number,
            f"p{random.randrange(people)}@shop.example",
            f"Name{number}",
            random.choice(("Ulm", "Bath", "Åre")) + str(number % 7),
            FIRST_S + 86_400 * random.randrange(DAYS) + 3_600 * random.randrange(3),
            random.random() < 0.05,
            tuple(
                Line(f"SKU{place}", random.randint(1, 4), random.randint(1, 99_999))
                for place in range(1 if shape == "flat" else random.randint(1, 4))
            ),
            random.choice(("Email", "At", "Price")) if random.random() < flaws else "",
        )
        for number in range(1, count + 1)
    ]


def schema(shape: Shape, rule: Rule) -> str:
    line = "source: {order: No, line: [SKU, Quantity, Price]}" if shape == "orders" else ""
    quantity = ", Quantity: integer" if shape == "orders" else ""
    head = _HEAD.format(source=line, quantity=quantity, rule=rule)
    return head.rstrip("\n") + (_FLAT if shape == "flat" else _ORDERS)


def write_export(path: Path, orders: Sequence[Order]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["No", "Email", "Name", "City", "At", "Status", "SKU", "Quantity", "Price"])
        for order in orders:
            email = "nobody" if order.flaw == "Email" else order.email
            at = datetime.fromtimestamp(order.time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            at = "soon" if order.flaw == "At" else at
            status = "cancelled" if order.cancelled else "shipped"
            for line in order.lines:
                price = "free" if order.flaw == "Price" else f"{line.cents / 100:.2f}"
                person = (order.number, email, order.name, order.city, at, status)
                writer.writerow([*person, line.sku, line.quantity, price])


def events_of(orders: Iterable[Order], shape: Shape) -> list[Event]:
    """The events of all orders that are no rejects."""
    return [event for order in orders if not order.flaw for event in _events(order, shape)]


def _events(order: Order, shape: Shape) -> Iterable[Event]:
    who = (order.time_s, order.email)
    attributes = {"$first_name": order.name, "$city": order.city}
    number = str(order.number)
    if order.cancelled:
        said = {"$event_id": number, "Reason": "customer"}
        yield Event("Cancelled Order", number, *who, said, attributes)
    if shape == "flat":
        [line] = order.lines
        said = {"$event_id": number, "$value": line.cents / 100, "Item": line.sku}
        yield Event("Placed Order", number, *who, said, attributes)
        return
    worth = sum(line.quantity * line.cents for line in order.lines)
    skus = [line.sku for line in order.lines]
    said = {"$event_id": number, "$value": worth / 100, "Items": skus}
    yield Event("Placed Order", number, *who, said, attributes)
    for line in order.lines:
        name = f"{number}-{line.sku}"
        said = {"$event_id": name, "$value": line.quantity * line.cents / 100, "Item": line.sku}
        yield Event("Ordered Product", name, *who, said, attributes)


def profiles(
    parts: Sequence[Sequence[Event]], rule: Rule, refused: frozenset[bytes]
) -> dict[str, list[dict[str, str]]]:
    """What each person may look like once all parts came, one after the other.

    ``newest`` leaves one look, and so does ``none``; with ``every`` it is that of any event.
    """
    looks: dict[str, list[dict[str, str]]] = {}
    latest: dict[str, tuple[int, bytes]] = {}
    for part in parts:
        newest: dict[str, Event] = {}
        for event in part:
            known = newest.get(event.email)
            if known is None or (event.time_s, event.key) > (known.time_s, known.key):
                newest[event.email] = event
        taken = [event for event in part if event.key not in refused]
        for event in taken:
            look = looks.setdefault(event.email, [{}])
            if rule == "every":
                looks[event.email] = [event.attributes, *(one for one in look if one)]
        if rule == "newest":
            for email, event in newest.items():
                this = (event.time_s, event.key)
                if event.key not in refused and this > latest.get(email, (0, b"")):
                    latest[email] = this
                    looks[email] = [event.attributes]
    return looks
