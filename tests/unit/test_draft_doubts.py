"""What `init` asks about, or leaves out, where names alone would have let it pass."""

import pytest

from tests.drafts import csv_file, drafted, events, ran


def person(at):
    return f"ada{at}@shop.example"


def day(at):
    return f"2023-{at % 12 + 1:02}-{at % 28 + 1:02}T10:00:00Z"


def placed(folder, header, words):
    """How many of forty orders are placed; a quarter of them has each word."""
    rows = [(f"A{at}", person(at), day(at), f"{at}.50", words[at % 4]) for at in range(40)]
    path = csv_file(folder, ("Order", "Email", "Order date", "Total", header), rows)
    return len(events(ran(drafted(path), [path], folder / "state"), "Placed Order"))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Statut", ["Payée", "Annulée", "Remboursée", "En attente de paiement"]),
        ("Statut du paiement", ["Payé", "Annulé", "Remboursé", "Échoué"]),
        ("Bestellstatus", ["Bezahlt", "Storniert", "Erstattet", "Ausstehend"]),
        ("Situação", ["Pago", "Cancelado", "Reembolsado", "Aguardando pagamento"]),
        ("Estado del pedido", ["Pagado", "Cancelado", "Reembolsado", "Pendiente"]),
        ("Stage", ["paid", "cancelled", "refunded", "payment failed"]),
    ],
)
def test_orders_that_were_never_paid_are_found_by_name_or_by_words(tmp_path, header, words):
    assert placed(tmp_path, header, words) == 10


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Shipping", ["shipped", "pending", "delivered", "cancelled"]),
        ("Customer type", ["new", "test", "done", "open"]),
        ("Type", ["sale", "refund", "exchange", "draft"]),
    ],
)
def test_words_of_something_else_are_no_status(tmp_path, header, words):
    assert placed(tmp_path, header, words) == 40


@pytest.mark.parametrize("discount", ["1.00", "order"])
def test_a_discount_that_no_total_shows_is_asked_for(tmp_path, discount):
    rows = [
        (
            f"A{at // 2}",
            person(at // 2),
            day(at // 2),
            f"S{at % 2}",
            2,
            "10.00",
            discount if discount != "order" else f"{at // 2 % 5}.00",
        )
        for at in range(40)
    ]
    header = ("Order ID", "Email", "Date", "SKU", "Quantity", "Unit Price", "Discount")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert any('$value: "?"' in line for line in draft.questions)
    told = " ".join(draft.text.replace("#", " ").split())
    assert 'no column shows how "Discount" changes the value' in told


def test_a_discount_of_nothing_is_no_question(tmp_path):
    rows = [
        (f"A{at // 2}", person(at // 2), day(at // 2), f"S{at % 2}", 2, "10.00", "0")
        for at in range(40)
    ]
    header = ("Order ID", "Email", "Date", "SKU", "Quantity", "Unit Price", "Discount")
    assert not drafted(csv_file(tmp_path, header, rows)).questions


@pytest.mark.parametrize(
    ("amounts", "asked"),
    [
        ([1999 + at for at in range(40)], True),
        ([12990 + 10 * at for at in range(40)], False),
        ([15 + at for at in range(40)], False),
        ([f"{1999 + at}.50" for at in range(40)], False),
    ],
    ids=["cents", "round", "small", "with a fraction"],
)
def test_large_whole_numbers_without_a_currency_may_be_cents(tmp_path, amounts, asked):
    rows = [(at, person(at), day(at), amount) for at, amount in enumerate(amounts)]
    path = csv_file(tmp_path, ("id", "email", "created_at", "amount"), rows)
    assert bool(drafted(path).questions) == asked
