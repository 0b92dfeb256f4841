"""``backfill init``: from an export to a schema that ``check`` takes and ``plan`` runs."""

import gzip

import pytest

from tests.conftest import DATA, RETAIL
from tests.drafts import csv_file, person

pytestmark = pytest.mark.slow


def orders(folder, dates, name="orders.csv"):
    rows = [(1000 + at, date, person(at), "5.50") for at, date in enumerate(dates)]
    return csv_file(folder, ("Order ID", "Date", "E-mail", "Total"), rows, name=name)


def counted(summary):
    return {metric["metric"]: metric["events"] for metric in summary["metrics"]}


CLEAR = ["31/12/2023", "01/02/2023"]
UNCLEAR = ["01/02/2023", "03/04/2023"]


def test_adventure_works_passes_check_and_runs(tool, sales_csv):
    written = tool("init", sales_csv, "-o", "sales.yaml")
    assert (written.code, written.out) == (0, "")
    assert "roles guessed: an order is SalesOrderNumber" in written.err
    assert "open: --timezone ZONE" in written.err
    checked = tool("check", "sales.yaml", sales_csv)
    assert (checked.code, checked.out) == (0, "sales.yaml: fits\n")
    planned = tool("plan", "sales.yaml", sales_csv, "--timezone", "America/Los_Angeles", "--json")
    assert planned.code == 0
    summary = planned.summary
    assert (summary["orders"], summary["rejected"]) == (16_459, 0)
    assert counted(summary) == {"Ordered Product": 32_718, "Placed Order": 16_459}


def test_online_retail_passes_check_and_finds_its_cancellations(tool):
    assert tool("init", RETAIL, "-o", "retail.yaml").code == 0
    assert tool("check", "retail.yaml", RETAIL).code == 0
    planned = tool("plan", "retail.yaml", RETAIL, "--timezone", "Europe/London", "--json").summary
    assert planned["reasons"] == {"no_identity": 317}
    assert counted(planned)["Cancelled Order"] == 308


def test_the_tables_of_a_shop_give_the_orders_schema_and_the_query_that_joins(tool):
    folder = tool.folder
    csv_file(
        folder,
        ("id", "user_id", "order_date", "status"),
        [(at, at % 5 + 1, f"2018-01-{at:02d}", "completed") for at in range(1, 21)],
        name="raw_orders.csv",
    )
    csv_file(
        folder,
        ("id", "first_name", "last_name"),
        [(at, "Ann", f"L{at}") for at in range(1, 6)],
        name="raw_customers.csv",
    )
    csv_file(
        folder,
        ("id", "order_id", "payment_method", "amount"),
        [(at, (at + 1) // 2, "card", 100) for at in range(1, 41)],
        name="raw_payments.csv",
    )
    for exports in (["raw_orders.csv"], ["raw_*.csv"]):
        assert tool("init", *exports, "-o", "jaffle.yaml", "--force").code == 0
        assert tool("check", "jaffle.yaml", "raw_orders.csv").code == 0
    text = (folder / "jaffle.yaml").read_text("utf-8")
    assert "left join 'raw_customers.csv' t1 on t1.id = o.user_id" in text
    assert "(select order_id, sum(amount) as amount from 'raw_payments.csv' group by" in text
    for lone in ("raw_customers.csv", "raw_payments.csv"):
        refused = tool("init", lone)
        assert (refused.code, refused.out) == (2, "")
        assert "no column holds times, so no events can be made of it" in refused.err


def test_a_platform_is_recognised_and_its_schema_runs_as_it_is(tool):
    export = DATA / "platforms" / "shopify_orders" / "export.csv"
    written = tool("init", export, "-o", "shop.yaml")
    assert written.code == 0
    assert "recognised as shopify_orders" in written.err
    assert tool("check", "shop.yaml", export).code == 0
    assert tool("plan", "shop.yaml", export).code in (0, 1)  # its sample has rejects on purpose


def test_an_open_question_is_told_with_its_line_and_check_stops_there(tool):
    export = orders(tool.folder, UNCLEAR)
    written = tool("init", export, "-o", "orders.yaml")
    assert written.code == 1
    lines = (tool.folder / "orders.yaml").read_text("utf-8").splitlines()
    line = lines.index('  Date: {time: "?"}') + 1
    assert f'open question on line {line}: Date: {{time: "?"}}' in written.err
    checked = tool("check", "orders.yaml", export)
    assert checked.code == 2
    assert f"orders.yaml:{line}: open question" in checked.err


def test_without_a_file_the_schema_is_printed(tool):
    export = orders(tool.folder, CLEAR)
    printed = tool("init", export, "--timezone", "Europe/Berlin")
    assert printed.code == 0
    assert printed.out.startswith(
        "# Drafted by `backfill init` from orders.csv: 2 rows, 4 columns."
    )
    (tool.folder / "orders.yaml").write_text(printed.out, "utf-8")
    assert tool("plan", "orders.yaml", export).code == 0


def test_a_schema_is_not_written_over(tool):
    export, path = orders(tool.folder, CLEAR), tool.folder / "mine.yaml"
    path.write_text("mine\n", "utf-8")
    refused = tool("init", export, "-o", path)
    assert refused.code == 2
    assert "already exists, and may have been edited" in refused.err
    assert path.read_text("utf-8") == "mine\n"
    assert tool("init", export, "-o", path, "--force").code == 0
    assert path.read_text("utf-8").startswith("# Drafted by")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ["--timezone", "Europe/Berln"],
            'is not a time zone of the IANA list; did you mean "Europe/Berlin"',
        ),
        (["-o", "no/such/folder.yaml"], "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tool, options, why):
    refused = tool("init", orders(tool.folder, CLEAR), *options)
    assert refused.code == 2
    assert why in refused.err


def test_a_damaged_export_is_told_as_everywhere(tool):
    path = tool.folder / "orders.csv.gz"
    path.write_bytes(gzip.compress(orders(tool.folder, CLEAR * 500).read_bytes())[:-40])
    refused = tool("init", path)
    assert refused.code == 2
    assert refused.err.startswith("backfill: ")
    assert "orders.csv.gz" in refused.err
