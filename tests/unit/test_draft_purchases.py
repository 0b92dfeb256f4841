"""Which rows a draft takes for purchases: not what was never paid, nor what came back."""

import pytest

from tests.drafts import csv_file, drafted, events, evidence, person, ran
from tests.platforms import mapped

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
    file = csv_file(tmp_path, header, rows)
    draft = drafted(file)
    assert {text for _, text in draft.questions} == {'$value: "?"'}
    asked = draft.text.replace("\n      #", "")
    assert '"Line type" (product, refund, shipping)' in asked
    of_products = """{sum: '"Line total"', where: '"Line type" in (\'\'product\'\')\'}"""
    assert f"""such as {of_products} or {{sum: '"Line total"'}}""" in asked
    answered = draft.text.replace('$value: "?"', f"$value: {of_products}", 1)
    answered = answered.replace('$value: "?"', """$value: {sql: '"Line total"'}""", 1)
    answered = answered.replace('$value: "?"', f"$value: {of_products}")
    found = mapped(answered, [file], tmp_path / "state", timezone="UTC")
    placed = [event["properties"] for event in events(found, "Placed Order")]
    assert [(order["$value"], len(order["Items"])) for order in placed] == [(10, 1)] * 12
    lines = [event["properties"] for event in events(found, "Ordered Product")]
    assert [line["$value"] for line in lines] == [10] * 12


def test_the_total_of_an_order_with_rows_of_several_kinds(tmp_path):
    rows = []
    for at in range(12):
        order = (f"A{at}", person(at), "2023-05-01T10:00:00Z", f"{14 + at}.90")
        rows += [(*order, "Line Item", "Tea", f"{10 + at}.00")]
        rows += [(*order, "Shipping Line", "Post", "4.90")]
    header = ("Order ID", "Email", "Created at", "Total", "Line type", "Title", "Price")
    file = csv_file(tmp_path, header, rows)
    draft = drafted(file)
    assert '"Total" = sum of "Price" in 12 of 12 orders' in evidence(draft, "$value: Total")
    found = ran(draft, [file], tmp_path / "state")
    placed = [event["properties"] for event in events(found, "Placed Order")]
    assert [order["$value"] for order in placed] == [14.9 + at for at in range(12)]
    assert {tuple(order["ItemNames"]) for order in placed} == {("Tea",)}
    assert [len(order["Items"]) for order in placed] == [1] * 12
    ordered = [event["properties"]["$value"] for event in events(found, "Ordered Product")]
    assert ordered == [10 + at for at in range(12)]


def test_order_columns_on_the_first_row_alone_are_asked_about(tmp_path):
    rows = []
    for at in range(10):
        rows += [(f"A{at}", person(at), "2023-05-01T10:00:00Z", "7.00", "S1", "4.00")]
        rows += [("", "", "", "", "S2" if at % 2 else "", "" if at % 2 else "3.00")]
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
