"""Exports of invented shops: headers in six languages, with traps that are drawn at random.

Each knows what its orders are worth, so a test can compare what a draft makes of it.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from tests.drafts import csv_file

HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "order": "Order ID",
        "time": "Order date",
        "email": "Customer email",
        "staff": "Created by",
        "total": "Total",
        "net": "Subtotal",
        "tax": "Tax",
        "shipping": "Shipping",
        "status": "Status",
        "due": "Due date",
        "sku": "SKU",
        "quantity": "Quantity",
        "price": "Unit price",
        "currency": "Currency",
    },
    "de": {
        "order": "Bestellnummer",
        "time": "Bestelldatum",
        "email": "Kunden E-Mail",
        "staff": "Verkäufer E-Mail",
        "total": "Gesamtbetrag",
        "net": "Zwischensumme",
        "tax": "MwSt",
        "shipping": "Versandkosten",
        "status": "Status",
        "due": "Fälligkeitsdatum",
        "sku": "Artikelnummer",
        "quantity": "Menge",
        "price": "Einzelpreis",
        "currency": "Währung",
    },
    "es": {
        "order": "Número de pedido",
        "time": "Fecha",
        "email": "Correo del cliente",
        "staff": "Correo del vendedor",
        "total": "Total",
        "net": "Subtotal",
        "tax": "IVA",
        "shipping": "Envío",
        "status": "Estado",
        "due": "Fecha de vencimiento",
        "sku": "SKU",
        "quantity": "Cantidad",
        "price": "Precio unitario",
        "currency": "Moneda",
    },
    "fr": {
        "order": "Numéro de commande",
        "time": "Date de commande",
        "email": "E-mail acheteur",
        "staff": "E-mail vendeur",
        "total": "Montant total",
        "net": "Sous-total",
        "tax": "TVA",
        "shipping": "Frais de port",
        "status": "Etat",
        "due": "Date échéance",
        "sku": "SKU",
        "quantity": "Quantité",
        "price": "Prix unitaire",
        "currency": "Devise",
    },
    "it": {
        "order": "Numero ordine",
        "time": "Data ordine",
        "email": "Email cliente",
        "staff": "Email venditore",
        "total": "Totale",
        "net": "Subtotale",
        "tax": "IVA",
        "shipping": "Spedizione",
        "status": "Stato",
        "due": "Scadenza",
        "sku": "SKU",
        "quantity": "Quantita",
        "price": "Prezzo unitario",
        "currency": "Valuta",
    },
    "pt": {
        "order": "Número do pedido",
        "time": "Data",
        "email": "Email do comprador",
        "staff": "Email do vendedor",
        "total": "Valor total",
        "net": "Subtotal",
        "tax": "Impostos",
        "shipping": "Frete",
        "status": "Status",
        "due": "Vencimento",
        "sku": "SKU",
        "quantity": "Quantidade",
        "price": "Preço unitário",
        "currency": "Moeda",
    },
}

UNPAID: Final[Mapping[str, tuple[str, str]]] = {
    "en": ("Completed", "Failed"),
    "de": ("Abgeschlossen", "Storniert"),
    "es": ("Pagado", "Rechazado"),
    "fr": ("Payée", "Annulé"),
    "it": ("Pagato", "Annullato"),
    "pt": ("Pago", "Cancelado"),
}
"""A status of paid orders, and one of the others."""

TRAPS: Final = (
    "staff",
    "due",
    "net",
    "status",
    "returns",
    "lines",
    "totals_per_row",
    "minor",
    "no_parts",
    "footer",
)


@dataclass(frozen=True, slots=True)
class GeneratedExport:
    """An export, and what is true of it."""

    path: Path
    traps: frozenset[str]
    truth: Mapping[str, Decimal]
    """The value of all purchases, by currency; "" where the export names none."""


_Cell = Callable[["_Order", tuple[str, int, Decimal]], str]


@dataclass(frozen=True, slots=True)
class _Order:
    number: int
    lines: tuple[tuple[str, int, Decimal], ...]
    """SKU, quantity and unit price."""
    tax: Decimal
    shipping: Decimal
    is_paid: bool
    is_return: bool
    currency: str

    @property
    def net(self) -> Decimal:
        return sum((quantity * price for _, quantity, price in self.lines), Decimal(0))

    @property
    def total(self) -> Decimal:
        sign = -1 if self.is_return else 1
        return sign * (self.net + self.tax + self.shipping)


def generate(seed: int, folder: Path) -> GeneratedExport:
    """The export of a seed; the same seed gives the same bytes."""
    draw = random.Random(seed)
    language = draw.choice(list(HEADERS))
    traps = frozenset(trap for trap in TRAPS if draw.random() < 0.35)
    if "lines" not in traps:
        traps -= {"totals_per_row"}
    if "lines" in traps:
        traps -= {"returns", "minor", "no_parts"}
    if "minor" in traps:
        traps -= {"footer"}
    orders = [_order(draw, number, traps) for number in range(draw.randrange(30, 80))]
    header, rows = _table(language, traps, orders)
    if "footer" in traps:
        total = sum((order.total for order in orders), Decimal(0))
        rows.append([{"en": "Total"}.get(language, "Summe"), *[""] * (len(header) - 2), str(total)])
    truth: Counter[str] = Counter()
    for order in orders:
        if order.is_paid and not order.is_return:
            truth[order.currency] += order.total
    path = csv_file(folder, header, rows, name=f"export-{seed}.csv")
    return GeneratedExport(path, traps, truth)


def _order(draw: random.Random, number: int, traps: frozenset[str]) -> _Order:
    count = draw.randrange(1, 4) if "lines" in traps else 1
    lines = tuple(
        (f"S{line}", draw.randrange(1, 4), Decimal(line * 350 + 499) / 100) for line in range(count)
    )
    return _Order(
        number=number,
        lines=lines,
        tax=Decimal(draw.randrange(50, 900)) / 100,
        shipping=Decimal(draw.choice([0, 490, 990])) / 100,
        is_paid="status" not in traps or draw.random() > 0.2,
        is_return="returns" in traps and draw.random() < 0.1,
        currency=draw.choice(["EUR", "USD"]) if "minor" in traps else "",
    )


def _table(
    language: str, traps: frozenset[str], orders: list[_Order]
) -> tuple[list[str], list[list[str]]]:
    """The header and the rows; with lines, a row for each."""
    names = HEADERS[language]
    scale = 100 if "minor" in traps else 1
    paid, unpaid = UNPAID[language]
    columns: list[tuple[str, _Cell]] = [(names["order"], lambda order, _: f"A{order.number}")]
    if "due" in traps:
        columns.append((names["due"], lambda order, _: f"2024-02-{order.number % 28 + 1:02d}"))
    columns.append(
        (names["time"], lambda order, _: f"2024-01-{order.number % 28 + 1:02d}T10:00:00Z")
    )
    if "staff" in traps:
        columns.append((names["staff"], lambda order, _: f"staff{order.number % 5}@shop.example"))
    columns.append((names["email"], lambda order, _: f"person{order.number}@mail.example"))
    if "status" in traps:
        columns.append((names["status"], lambda order, _: paid if order.is_paid else unpaid))
    if "lines" in traps:
        columns += [
            (names["sku"], lambda _, line: line[0]),
            (names["quantity"], lambda _, line: str(line[1])),
            (names["price"], lambda _, line: f"{line[2]:.2f}"),
        ]
    if "minor" in traps:
        columns.append((names["currency"], lambda order, _: order.currency))
    if "no_parts" not in traps:
        sign = {True: -1, False: 1}
        columns += [
            (names["net"], lambda order, _: _text(sign[order.is_return] * order.net * scale)),
            (names["tax"], lambda order, _: _text(sign[order.is_return] * order.tax * scale)),
            (
                names["shipping"],
                lambda order, _: _text(sign[order.is_return] * order.shipping * scale),
            ),
        ]
    total = "total_cents" if "minor" in traps and language == "en" else names["total"]
    columns.append((total, lambda order, _: _text(order.total * scale)))
    rows = [[cell(order, line) for _, cell in columns] for order in orders for line in order.lines]
    return [name for name, _ in columns], rows


def _text(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount != amount.to_integral_value() else f"{amount:.0f}"
