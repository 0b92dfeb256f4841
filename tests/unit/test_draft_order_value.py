"""Which amount a draft takes for an order's value: by arithmetic; it asks where nothing decides."""

import pytest

from tests.drafts import csv_file, drafted, events, evidence, person, ran, schema_of

pytestmark = pytest.mark.slow


def orders(folder, columns, rows=20):
    """An export of one row for each order; ``columns`` give each row's cells."""
    header = ("Order ID", "Email", "Order date", *columns)
    lines = [
        (
            f"A{at}",
            person(at),
            f"2023-05-{at % 28 + 1:02d}",
            *(cell(at) for cell in columns.values()),
        )
        for at in range(rows)
    ]
    return csv_file(folder, header, lines)


def values_of(path, folder):
    draft = drafted(path)
    assert draft.questions == ()
    found = ran(draft, [path], folder / "state")
    assert found["rejects"] == []
    return [event["properties"]["$value"] for event in events(found, "Placed Order")]


def euros(at):
    return 10 + at * 1.25


def cells(function):
    return lambda at: f"{function(at):.2f}"


SHIPPING = cells(lambda _: 4.9)
TAX = cells(lambda at: euros(at) * 0.2)


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        (
            {"Net": cells(euros), "Tax": TAX, "Gross": cells(lambda at: euros(at) * 1.2)},
            lambda at: euros(at) * 1.2,
        ),
        (
            {
                "Subtotal": cells(euros),
                "Shipping": SHIPPING,
                "Tax": TAX,
                "Total": cells(lambda at: euros(at) * 1.2 + 4.9),
            },
            lambda at: euros(at) * 1.2 + 4.9,
        ),
        (
            {
                "Total": cells(euros),  # before the discount, whatever its name says
                "Discount": cells(lambda at: at % 3),
                "Amount": cells(lambda at: euros(at) - at % 3),
            },
            lambda at: euros(at) - at % 3,
        ),
        (
            {
                "Amount": cells(euros),
                "Fee": cells(lambda at: euros(at) * 0.03),
                "Net": cells(lambda at: euros(at) - round(euros(at) * 0.03, 2)),
            },
            euros,
        ),
        (
            {
                "Gross": cells(euros),
                "Fee": cells(lambda at: -euros(at) * 0.03),
                "Net": cells(lambda at: euros(at) - round(euros(at) * 0.03, 2)),
            },
            euros,
        ),
        ({"Total": cells(euros), "Grand total": cells(euros)}, euros),
        ({"Betrag": cells(euros)}, euros),
    ],
)
def test_the_amount_that_adds_up_is_the_value(tmp_path, columns, value):
    found = values_of(orders(tmp_path, columns), tmp_path)
    assert found == pytest.approx([round(value(at), 2) for at in range(20)], abs=0.011)


@pytest.mark.parametrize(
    ("columns", "candidates"),
    [
        ({"Total": cells(euros), "Amount": cells(lambda at: 99 - at)}, ("Total", "Amount")),
        ({"Gross": cells(euros), "Net": cells(lambda at: euros(at) * 0.9)}, ("Gross", "Net")),
        ({"Value": cells(euros), "Weight": cells(lambda at: at + 0.5)}, ("Value",)),
    ],
)
def test_a_name_alone_is_no_evidence(tmp_path, columns, candidates):
    draft = drafted(orders(tmp_path, columns))
    assert [text for _, text in draft.questions] == ['$value: "?"']
    asked = evidence(draft, '$value: "?"')
    assert all(f'"{name}"' in asked for name in candidates)


def test_a_flag_of_refunds_is_no_amount(tmp_path):
    path = orders(tmp_path, {"Total": cells(euros), "Refunded": lambda at: at % 2})
    assert "Refunded Order" not in drafted(path).text


def lines_export(folder, price, *, total=None, discount=None, orders=12):
    header = ["Order ID", "Email", "Order date", "SKU", "Quantity", "Price"]
    header += ["Discount"] if discount else []
    header += ["Order total"] if total else []
    rows = []
    for order in range(orders):
        members = [(line, (order + line) % 3 + 1) for line in range(order % 3 + 1)]
        for line, quantity in members:
            row = [f"A{order}", person(order), "2023-05-01", f"S{line}", quantity]
            row.append(f"{price(line, quantity):.2f}")
            row += [f"{discount(line, quantity):.2f}"] if discount else []
            row += [f"{total(members):.2f}"] if total else []
            rows.append(row)
    return csv_file(folder, header, rows)


def unit_price(line, _):
    return 2.5 + line


def line_price(line, quantity):
    return unit_price(line, quantity) * quantity


def discount(line, _):
    return 0.5 * (line + 1)


def unit_sum(members):
    return sum(line_price(*member) for member in members)


def expected(orders=12):
    return [
        unit_sum([(line, (order + line) % 3 + 1) for line in range(order % 3 + 1)])
        for order in range(orders)
    ]


@pytest.mark.parametrize("price", [unit_price, line_price])
@pytest.mark.parametrize("total", [None, unit_sum])
def test_cells_show_whether_a_price_is_for_a_piece_or_for_the_line(tmp_path, price, total):
    found = values_of(lines_export(tmp_path, price, total=total), tmp_path)
    assert found == pytest.approx(expected())


def test_a_discount_of_lines_is_taken_off_where_the_total_proves_it(tmp_path):
    def less(members):
        return unit_sum(members) - sum(discount(*member) for member in members)

    path = lines_export(tmp_path, unit_price, total=less, discount=discount)
    draft = drafted(path)
    assert draft.questions == ()
    ordered = next(e for e in schema_of(draft).events if e.event == "Ordered Product")
    assert ordered.properties["$value"].sql == "Quantity * Price - coalesce(Discount, 0)"


def test_without_a_total_a_discount_of_lines_is_asked_about(tmp_path):
    draft = drafted(lines_export(tmp_path, unit_price, discount=discount))
    assert {text for _, text in draft.questions} == {'$value: "?"'}


def test_two_amounts_of_a_line_are_asked_about(tmp_path):
    rows = [
        (f"A{at // 2}", person(at // 2), "2023-05-01", f"S{at % 2}", f"{at}.50", f"{at * 2}.10")
        for at in range(20)
    ]
    header = ("Order ID", "Email", "Order date", "SKU", "Line price", "Line total")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert {text for _, text in draft.questions} == {'$value: "?"'}


def test_an_amount_that_does_not_grow_with_the_rows_of_an_order_is_asked_about(tmp_path):
    rows = [
        (f"A{order}", person(order), "2023-05-01", f"Tea {line}", "19.90")
        for order in range(12)
        for line in range(order % 3 + 1)
    ]
    path = csv_file(tmp_path, ("Order ID", "Email", "Order date", "Product", "Amount"), rows)
    draft = drafted(path)
    assert '$value: "?"' in [text for _, text in draft.questions]
