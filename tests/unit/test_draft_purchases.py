"""Which rows a draft takes for purchases: not what was never paid, nor what came back."""

import pytest

from tests.drafts import csv_file, drafted, events, person, ran

pytestmark = pytest.mark.slow


def with_statuses(folder, statuses):
    rows = [
        (f"A{at}", person(at), "2023-05-01T10:00:00Z", statuses[at % len(statuses)], f"{at + 1}.50")
        for at in range(len(statuses) * 3)
    ]
    return csv_file(folder, ("Order ID", "Email", "Order date", "Status", "Total"), rows)


@pytest.mark.parametrize(
    ("paid", "out"),
    [
        (["Completed", "processing"], ["failed", "pending payment", "Draft", "cancelled"]),
        (["Versandt", "Abgeschlossen"], ["Storniert", "erstattet", "Entwurf"]),
        (["Payée", "Expédiée"], ["Annulé", "Remboursée", "Échouée"]),
        (["Pagado", "Enviado"], ["Cancelado", "Pendiente de pago", "Rechazado"]),
        (["Spedito", "Pagato"], ["Annullato", "In attesa di pagamento"]),
        (["Voltooid", "Verzonden"], ["Geannuleerd", "Wacht op betaling"]),
        (["Entregue parcialmente", "Pago"], ["Cancelado", "Aguardando pagamento"]),
        (["partially refunded", "paid"], ["Refunded", "Declined", "test", "Quote", "abandoned"]),
    ],
)
def test_orders_that_were_never_paid_are_no_placed_orders(tmp_path, paid, out):
    path = with_statuses(tmp_path, [*paid, *out])
    draft = drafted(path)
    found = ran(draft, [path], tmp_path / "state")
    assert found["rejects"] == []
    statuses = {event["properties"]["Status"] for event in events(found, "Placed Order")}
    assert statuses == set(paid)
    assert all(f"{word} (3)" in draft.text.replace("\n    #", "") for word in out)


def test_unknown_statuses_are_listed_with_their_counts(tmp_path):
    draft = drafted(with_statuses(tmp_path, ["paid", "zed", "limbo", "a note of several words"]))
    assert "limbo (3), zed (3)" in draft.text.replace("\n    #", "")
    assert "several words" not in draft.text


def test_an_order_of_a_negative_amount_is_a_refund(tmp_path):
    rows = [
        (f"A{at}", person(at), "2023-05-01T10:00:00Z", "-99.00" if at % 5 == 4 else "20.00")
        for at in range(20)
    ]
    path = csv_file(tmp_path, ("Order ID", "Email", "Order date", "Total"), rows)
    draft = drafted(path)
    found = ran(draft, [path], tmp_path / "state")
    assert {event["properties"]["$value"] for event in events(found, "Placed Order")} == {20}
    assert [event["properties"]["$value"] for event in events(found, "Refunded Order")] == [99] * 4
    assert "4 amounts are negative: returns" in draft.text.replace("\n    #", "")


def test_negative_refund_amounts_are_refunds(tmp_path):
    rows = [
        (f"A{at}", person(at), "2023-05-01T10:00:00Z", "20.00", "-5.00" if at % 5 == 4 else "0.00")
        for at in range(20)
    ]
    path = csv_file(tmp_path, ("Order ID", "Email", "Order date", "Total", "Refund amount"), rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert [event["properties"]["$value"] for event in events(found, "Refunded Order")] == [5] * 4


def test_rows_of_several_kinds_are_asked_about(tmp_path):
    rows = []
    for at in range(12):
        order = (f"A{at}", person(at), "2023-05-01T10:00:00Z")
        rows += [(*order, "product", "2", "10.00"), (*order, "shipping", "1", "4.90")]
        rows += [(*order, "refund", "-1", "-5.00")] * (at % 4 == 0)
    header = ("Order ID", "Email", "Created at", "Line type", "Line quantity", "Line total")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert {text for _, text in draft.questions} == {'$value: "?"'}
    assert '"Line type" (product, refund, shipping)' in draft.text.replace("\n      #", "")
    assert """where: '"Line type" in (''product'')""" in draft.text


def test_order_columns_on_the_first_row_alone_are_asked_about(tmp_path):
    rows = []
    for at in range(10):
        rows += [(f"A{at}", person(at), "2023-05-01T10:00:00Z", "7.00", "S1", "4.00")]
        rows += [("", "", "", "", "S2", "3.00")]
    header = ("Order ID", "Email", "Order date", "Total", "SKU", "Price")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert 'time: "?"' in [text for _, text in draft.questions]
    assert "fill these cells down" in draft.text.replace("\n    # ", " ")


def test_a_line_of_a_negative_quantity_is_not_ordered(tmp_path):
    rows = [
        (f"A{at // 2}", person(at // 2), "2023-05-01T10:00:00Z", f"S{at % 2}", quantity, "2.50")
        for at, quantity in enumerate([1, 2, 1, -1] * 5)
    ]
    header = ("Order ID", "Email", "Order date", "SKU", "Quantity", "Unit price")
    path = csv_file(tmp_path, header, rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    ordered = events(found, "Ordered Product")
    assert len(ordered) == 15
    assert min(event["properties"]["Quantity"] for event in ordered) > 0
