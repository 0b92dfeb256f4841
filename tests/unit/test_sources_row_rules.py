"""Rows that a schema drops, and cells that it fills from the row above."""

import json

import pyarrow as pa
import pytest

import backfill as bf
from backfill.errors import SchemaError
from backfill.running.prepare import bind_export
from backfill.schema.load import load_schema
from backfill.sources.source import ReadOptions
from tests.platforms import events, mapped

HEADER = "no,mail,at,sku,qty,more"
FILLED = ["no", "mail", "at"]


def schema(order="no", line=("sku", "qty"), **source):
    sku = "{line}"
    return (
        json.dumps(
            {
                "name": "shop",
                "source": {"order": order, "line": list(line), "timezone": "UTC", **source},
                "columns": {"at": {"time": "%Y-%m-%d"}, "qty": "integer"},
                "profiles": "none",
                "customer_properties": {"$email": "mail"},
                "events": [
                    {
                        "event": "Placed Order",
                        "time": "at",
                        "properties": {
                            "$event_id": "{no}",
                            "$value": {"sum": "qty"},
                            "Items": {"each": "sku"},
                        },
                    },
                    {
                        "event": "Ordered Product",
                        "per": "line",
                        "time": "at",
                        "properties": {"$event_id": f"{{no}}-{sku}"},
                    },
                ],
            }
        )
        + "\n"
    )


def written(folder, *files, header=HEADER):
    paths = [folder / f"orders{at}.csv" for at in range(len(files))]
    for path, rows in zip(paths, files, strict=True):
        path.write_text("\n".join([header, *rows, ""]), "utf-8")
    return paths


def placed(found):
    """Person, value and items of each order by its number; then row and reason of each reject."""
    orders = {}
    for event in events(found, "Placed Order"):
        own = event["properties"]
        mail = event["customer_properties"]["$email"]
        orders[own["$event_id"]] = (mail.partition("@")[0], own["$value"], own["Items"])
    return orders, [(reject["row"], reject["reason"]) for reject in found["rejects"]]


FIRST = "1,ada@mail.example,2024-01-05,tea,1,"
SECOND = "2,bob@mail.example,2024-01-06,pot,4,"
FILL_DOWN = [
    pytest.param(
        [FIRST, ",,,cup,2,", SECOND, ",,,jug,8,", ",,,mug,16,"],
        FILLED,
        {"1": ("ada", 3, ["tea", "cup"]), "2": ("bob", 28, ["pot", "jug", "mug"])},
        [],
        id="an order's number on its first row",
    ),
    pytest.param(
        [FIRST, ",,,cup,2,", SECOND],
        ["*"],
        {"1": ("ada", 3, ["tea", "cup"]), "2": ("bob", 4, ["pot"])},
        [],
        id="a pattern means the columns of the order",
    ),
    pytest.param(
        [",,,cup,2,", FIRST],
        FILLED,
        {"1": ("ada", 1, ["tea"])},
        [(2, "no_order")],
        id="a file that begins with empty cells",
    ),
    pytest.param(
        [FIRST, "1,,,cup,2,", SECOND, "1,,,jug,8,"],
        ["mail", "at"],
        {"1": ("ada", 11, ["tea", "cup", "jug"]), "2": ("bob", 4, ["pot"])},
        [],
        id="the number on every row, and rows that are not adjacent",
    ),
    pytest.param(
        ["2,,,jug,8,", FIRST, "2,,,pot,4,"],
        FILLED,
        {"1": ("ada", 1, ["tea"])},
        [(2, "no_identity")],
        id="no value of another order",
    ),
    pytest.param(
        [FIRST, ",bob@mail.example,,cup,2,"],
        FILLED,
        {"1": ("ada", 1, ["tea"])},
        [(3, "no_order")],
        id="a row without a number that names another person",
    ),
    pytest.param(
        [FIRST, ",,,,,", ",,,cup,2,"],
        FILLED,
        {"1": ("ada", 1, ["tea"])},
        [(4, "no_order")],
        id="a blank row ends an order, and stays blank",
    ),
    pytest.param(
        [FIRST, ",,,,,a note", ",,,cup,2,"],
        FILLED,
        {"1": ("ada", 1, ["tea"])},
        [(4, "no_order")],
        id="a row with a cell that no event uses is no line",
    ),
    pytest.param(
        [FIRST, " ,,,cup,2,", SECOND],
        FILLED,
        {"1": ("ada", 3, ["tea", "cup"]), "2": ("bob", 4, ["pot"])},
        [],
        id="a cell of blanks is empty",
    ),
    pytest.param(
        [FIRST, "-,,,cup,2,", SECOND],
        FILLED,
        {"1": ("ada", 3, ["tea", "cup"]), "2": ("bob", 4, ["pot"])},
        [],
        id="a word that means nothing is empty",
    ),
]


@pytest.mark.parametrize(("rows", "columns", "orders", "rejects"), FILL_DOWN)
def test_cells_are_filled_from_the_row_above_within_an_order(
    tmp_path, rows, columns, orders, rejects
):
    files = written(tmp_path, rows)
    found = mapped(schema(fill_down=columns, null_values=["-"]), files, tmp_path / "state")
    assert placed(found) == (orders, rejects)


def test_no_cell_is_filled_from_another_file(tmp_path):
    files = written(tmp_path, [FIRST], [",,,cup,2,", SECOND])
    found = mapped(schema(fill_down=FILLED), files, tmp_path / "state")
    assert placed(found) == (
        {"1": ("ada", 1, ["tea"]), "2": ("bob", 4, ["pot"])},
        [(2, "no_order")],
    )


def test_an_order_is_filled_within_one_shop(tmp_path):
    rows = ["N,1,ada@mail.example,2024-01-05,tea,1", "N,,,,cup,2", "S,,,,jug,8"]
    files = written(tmp_path, rows, header="shop,no,mail,at,sku,qty")
    found = mapped(schema(["shop", "no"], fill_down=FILLED), files, tmp_path / "state")
    orders, rejects = placed(found)
    assert orders == {"1": ("ada", 3, ["tea", "cup"])}
    assert rejects == [(4, "no_identity")]


@pytest.mark.parametrize("batch_bytes", [1, 60, 1_000])
def test_batches_do_not_change_what_is_filled(tmp_path, batch_bytes):
    rows = [line for at in range(40) for line in (f"{at},m{at},d{at},a,1,", ",,,b,2,", ",,,c,3,")]
    [file] = written(tmp_path, rows)
    loaded = load_schema(schema(fill_down=FILLED))
    export, bound = bind_export(loaded, file)
    small = bf.sources.export.open_export(file, ReadOptions(), batch_bytes=batch_bytes)
    small = small.with_rules(bound.rules)
    for places in ([0, 1, 2], [2, 3], [1]):
        whole, parts = (pa.concat_tables(one.batches(places)) for one in (export, small))
        assert whole.to_pydict() == parts.to_pydict()
        wanted = [[f"{at}", f"m{at}", f"d{at}", None] for at in range(40) for _ in range(3)]
        for at, place in enumerate(places):
            if place < 3:
                assert parts[f"c{at}"].to_pylist() == [cells[place] for cells in wanted]


def test_rejects_that_are_run_again_take_no_value_of_another_order(tmp_path):
    rows = (
        ["1,no address,2024-01-05,tea,1,", ",,,cup,2,"],
        [",,,jug,8,", "2,none,2024-01-06,pot,4,"],
    )
    files = written(tmp_path, *rows)
    loaded = schema(fill_down=FILLED)
    rejects = bf.plan(loaded, [str(file) for file in files], state=tmp_path / "state").rejects
    assert len(rejects) == 4
    mended = tmp_path / "rejects.csv"
    mails = {"no address": "ada@mail.example", "none": "bob@mail.example"}
    rejects.replace({"mail": mails}).to_csv(mended, index=False)
    found = mapped(loaded, [mended], tmp_path / "again")
    orders, rejects = placed(found)
    assert orders == {"1": ("ada", 3, ["tea", "cup"]), "2": ("bob", 4, ["pot"])}
    assert [reason for _, reason in rejects] == ["no_order"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param({"fill_down": ["sku"]}, '"sku" is a line column', id="a line column"),
        pytest.param({"fill_down": ["mial"]}, 'column "mial" is not in', id="a misspelt column"),
        pytest.param({"fill_down": ["ship *"]}, r'column "ship \*" is not in', id="a pattern"),
        pytest.param({"drop_rows": "no"}, "drop_rows is a condition", id="no condition"),
        pytest.param({"drop_rows": "no ="}, "no valid SQL", id="no SQL"),
        pytest.param({"drop_rows": "nr = 'x'"}, 'column "nr" is not in', id="another column"),
        pytest.param({"drop_rows": "\"a[].b\" = 'x'"}, "whole cells of a row", id="a part"),
    ],
)
def test_rules_for_rows_that_cannot_hold(tmp_path, source, problem):
    [file] = written(tmp_path, [FIRST])
    with pytest.raises(SchemaError, match=problem):
        bind_export(load_schema(schema(**source)), file)


def test_fill_down_needs_an_order():
    text = schema(fill_down=FILLED, line=()).replace('"order": "no", ', "")
    with pytest.raises(SchemaError, match=r"fill_down needs source\.order"):
        load_schema(text)


def test_rows_that_are_no_rows_of_the_export_are_dropped_and_counted(tmp_path):
    rows = ["number,who,when,which,how many,", FIRST, ",,,cup,2,", SECOND, "Total,,,,7,"]
    files = written(tmp_path, rows, [FIRST.replace("1,", "3,", 1)])
    rules = {"fill_down": FILLED, "drop_rows": "no in ('Total', 'number')"}
    found = mapped(schema(**rules), files, tmp_path / "state")
    orders, rejects = placed(found)
    assert (list(orders), rejects) == (["1", "2", "3"], [])
    assert orders["1"] == ("ada", 3, ["tea", "cup"])
    summary = bf.plan(schema(**rules), [str(file) for file in files], state=tmp_path / "s").summary
    assert (summary.rows, summary.rows_left_out) == (4, 0)
    [note] = [note for note in summary.notes if "dropped" in note]
    assert note.endswith("orders0.csv: 2 rows dropped by source.drop_rows")


def test_a_row_is_kept_where_drop_rows_is_neither_true_nor_false(tmp_path):
    files = written(tmp_path, [FIRST, ",cid@mail.example,2024-01-05,cup,2,"])
    found = mapped(schema(drop_rows="no = 'Total'"), files, tmp_path / "state")
    assert placed(found)[1] == [(3, "no_order")]


def test_no_row_is_filled_across_a_dropped_one(tmp_path):
    files = written(tmp_path, [FIRST, "Total,,,,1,", ",,,cup,2,"])
    found = mapped(schema(fill_down=FILLED, drop_rows="no = 'Total'"), files, tmp_path / "state")
    assert placed(found) == ({"1": ("ada", 1, ["tea"])}, [(4, "no_order")])


def test_a_condition_that_fails_stops_the_run_and_names_the_row(tmp_path):
    files = written(tmp_path, [FIRST, SECOND.replace("4", "four")])
    with pytest.raises(SchemaError, match="drop_rows has no result for row 3") as raised:
        mapped(schema(drop_rows="qty::integer > 7"), files, tmp_path / "state")
    assert "four" not in str(raised.value)
