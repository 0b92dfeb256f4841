"""Exports and folders that somebody hands over in order to do harm."""

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backfill.errors import ExportError
from backfill.sandbox import Sandbox
from backfill.sources import open_export, parquet
from backfill.sources.compression import Compression, decompressed
from backfill.sources.spreadsheets import escape_formulas, unescape_formulas
from tests.conftest import Tool

pytestmark = pytest.mark.slow

SCHEMA = """name: hostile
source: {order: [Shop, No]}
profiles: every
customer_properties: {$email: Mail, Note: Note}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{Shop}-{No}", Note: Note}
"""
HEADER = ["Shop", "No", "Mail", "At", "Note"]
AT = "2020-01-01T00:00:00Z"


def write(tool: Tool, rows: list[list[str]], schema: str = SCHEMA, name: str = "e.csv") -> None:
    (tool.folder / "s.yaml").write_text(schema, encoding="utf-8")
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *rows])
    (tool.folder / name).write_text(text.getvalue(), encoding="utf-8", newline="")


def order(number: str, note: str = "", mail: str = "a@x.example", shop: str = "S") -> list[str]:
    return [shop, number, mail, AT, note]


def rejects_of(tool: Tool) -> Path:
    return max(tool.folder.glob(".backfill/runs/*/rejects.csv"), key=lambda p: p.stat().st_mtime_ns)


# cells that a spreadsheet would run -------------------------------------------------------------

CELLS = [
    pytest.param("=1+1", "'=1+1", id="a formula"),
    pytest.param("+1+1", "'+1+1", id="a plus"),
    pytest.param("-1+1", "'-1+1", id="a minus that is no number's"),
    pytest.param("@SUM(A1)", "'@SUM(A1)", id="an at"),
    pytest.param("\t=1", "\t'=1", id="a tab before it"),
    pytest.param("\r=1", "\r'=1", id="a CR before it"),
    pytest.param(" =1", "' =1", id="a blank before it"),
    pytest.param("\uff1d1", "'\uff1d1", id="a full-width sign"),
    pytest.param("a;=1;b", "a;'=1;b", id="one behind another program's delimiter"),
    pytest.param("a\n=1", "a\n'=1", id="one behind a line end"),
    pytest.param("'=1", "''=1", id="one that has an apostrophe of its own"),
    pytest.param("''=1", "'''=1", id="or two"),
    pytest.param("'90001", "'90001", id="an apostrophe before a zip stays alone"),
    pytest.param("-5.00", "-5.00", id="a negative number is none"),
    pytest.param("-1,234.50", "-1,234.50", id="nor is a long one"),
    pytest.param("+4917012345678", "'+4917012345678", id="a phone number keeps its plus"),
    pytest.param("a=b", "a=b", id="nor is a sign within"),
]


@pytest.mark.parametrize(("cell", "written"), CELLS)
def test_a_formula_is_escaped_and_restored(cell: str, written: str):
    assert (escape_formulas(cell), unescape_formulas(written)) == (written, cell)


@given(st.text(st.sampled_from("=+-@'; ,\t\r\n|x5.\u00a0\uff1d\uff0d"), max_size=9))
def test_every_cell_is_restored(cell: str):
    assert unescape_formulas(escape_formulas(cell)) == cell


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["as it is", "saved by Excel", "tabs"])
def test_rejects_run_nothing_and_come_back_exactly(tool: Tool, sandbox: Sandbox, delimiter: str):
    notes = [str(param.values[0]) for param in CELLS]
    rows = [order(str(at), note, "no address") for at, note in enumerate(notes)]
    rows[0] += ["=surplus()"]
    write(tool, rows)
    tool("plan", "s.yaml", "e.csv", "--url", sandbox.url)
    with rejects_of(tool).open(encoding="utf-8", newline="") as file:
        written = list(csv.reader(file))
    assert [row[8] for row in written[1:]] == [str(param.values[1]) for param in CELLS]
    assert written[1][9] == "'=surplus()"

    mended = [[cell.replace("no address", "a@x.example") for cell in row[:9]] for row in written]
    with (tool.folder / "again.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(mended)
    said = tool("run", "s.yaml", "again.csv", "--url", sandbox.url)
    assert said.code == 0, said.err
    landed = {event["event_id"]: event["properties"]["Note"] for event in sandbox.events()}
    # the mark of a zip goes when a cell is read, in the export itself too
    read = [note.strip().replace("'90001", "90001") for note in notes]
    assert landed == {f"S-{at}": note for at, note in enumerate(read)}


def test_a_header_that_is_a_formula_is_one_in_no_spreadsheet(tool: Tool):
    write(tool, [order("1", mail="no address")], SCHEMA.replace("Note: Note", "Note: =cmd()"))
    (tool.folder / "e.csv").write_text("Shop,No,Mail,At,=cmd()\nS,1,no address,x,1\n")
    tool("plan", "s.yaml", "e.csv")
    assert rejects_of(tool).read_text().splitlines()[0].endswith(",At,'=cmd()")
    assert tool("plan", "s.yaml", rejects_of(tool), "--json").summary["reasons"] == {
        "not_an_email": 1
    }


# names and values -------------------------------------------------------------------------------


def test_our_separator_in_a_cell_makes_no_two_orders_one(tool: Tool, sandbox: Sandbox):
    write(tool, [order("b", "1", shop="a\x1fx"), order("x\x1fb", "2", shop="a"), order("c", "3")])
    assert tool("run", "s.yaml", "e.csv", "--url", sandbox.url).code == 0
    assert sorted(event["properties"]["Note"] for event in sandbox.events()) == ["1", "2", "3"]


NAMES = [
    *[
        "file",
        "row",
        "carries",
        "events",
        "noted",
        "o",
        "pos",
        "line",
        "slice",
        "c0",
        "key",
        "_reason",
        "_file",
        "_ragged",
        "_origin",
    ],
    *(
        "select",
        'a"b',
        "a'b",
        "a{b}",
        "a\nb",
        "a\tb",
        "a\x1fb",
        "$x",
        "a,b",
        "a;b",
        "--",
        "/* x */",
    ),
    *("\u202eright to left", "n" * 5_000, "'; drop table x"),
]


def test_a_column_of_any_name_is_sent_as_it_is(tool: Tool):
    """Names meet SQL as constants and as c0, c1 …, never as they stand."""
    leaves = {f"P{at}": {"column": name} for at, name in enumerate(NAMES)}
    # $ is Klaviyo's own, and YAML's keys are short
    own = {n: {"column": n} for n in NAMES if not n.startswith("$") and len(n) < 1_000}
    properties = json.dumps({"$event_id": "{Shop}-{No}", **leaves, **own}, ensure_ascii=False)
    schema = SCHEMA.replace('{$event_id: "{Shop}-{No}", Note: Note}', properties)
    (tool.folder / "s.yaml").write_text(schema, encoding="utf-8")
    cells = [f"cell {at}" for at in range(len(NAMES))]
    with (tool.folder / "e.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*HEADER, *NAMES], [*order("1"), *cells]])
    with Sandbox() as sandbox:
        said = tool("run", "s.yaml", "e.csv", "--url", sandbox.url)
        assert said.code == 0, said.err
        [event] = sandbox.events()
    landed = event["properties"]
    assert [landed[f"P{at}"] for at in range(len(NAMES))] == cells
    assert [landed[name] for name in own] == [
        cell for name, cell in zip(NAMES, cells, strict=True) if name in own
    ]


def test_our_separator_in_a_column_s_name_stays_in_its_reason(tool: Tool):
    name = "At\x1fnight"
    write(tool, [order("1")], SCHEMA.replace("time: At", 'time: "At\\x1fnight"'))
    (tool.folder / "e.csv").write_text(f"Shop,No,Mail,{name},Note\nS,1,a@x.example,noon,x\n")
    assert tool("plan", "s.yaml", "e.csv", "--json").summary["reasons"] == {"not_a_time": 1}
    with rejects_of(tool).open(encoding="utf-8", newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["_column", name]


@pytest.mark.parametrize(
    "name", ["[a].csv", "*.csv", "?.csv", "a\nb.csv", "-x.csv", "=cmd.csv", "a b'\"$(id).csv"]
)
def test_a_file_of_any_name_is_that_file(tool: Tool, name: str):
    write(tool, [order("1", mail="no address")], name=name)
    (tool.folder / "other.csv").write_text("not,the,file\n")
    write(tool, [order("1", mail="no address")], name=name)
    said = tool("plan", "s.yaml", "--json", "--", name)
    assert said.summary["rows"] == 1, said.err
    with rejects_of(tool).open(encoding="utf-8", newline="") as file:
        [_, row] = csv.reader(file)
    assert unescape_formulas(row[2]) == name


# bombs ------------------------------------------------------------------------------------------

BLOCK = b"1,a@x.example,2020-01-01 00:00:00,T-Shirt white,19.90\n" * 20_000


def packed_of(compression: str, rows: int) -> bytes:
    if compression == "zstd":
        return zstandard.ZstdCompressor().compress(b"a,b,c,d,e\n" + BLOCK * rows)
    member = gzip.compress(b"a,b,c,d,e\n" + BLOCK * 10)
    return member if rows < 10 else member + gzip.compress(BLOCK * 10) * (rows // 10 - 1)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_bomb_is_refused_with_what_was_measured(tmp_path: Path, compression: str):
    """1.1 GB in 3 MB and in 0.1 MB; it is left behind the first quarter of a gigabyte."""
    path = tmp_path / "e.csv"
    path.write_bytes(packed_of(compression, 1_000))
    export = open_export([path])
    read: list[int] = []
    with pytest.raises(
        ExportError,
        match=rf"e\.csv: 25\d,\d+,\d+ bytes came out of .* {compression} data, over \d+ to 1",
    ) as caught:
        read.extend(batch.num_rows for batch in export.batches([0]))
    assert "decompress it yourself and name that file" in str(caught.value)
    assert sum(read) < 6_000_000


@pytest.mark.parametrize(("compression", "level"), [("gzip", 6), ("zstd", 6)])
def test_the_most_repetitive_honest_export_is_none(
    tmp_path: Path, compression: Compression, level: int
):
    tail = ",x@x.example,2020-01-01 00:00:00,T-Shirt white,19.90,EUR,paid" + "," * 70 + "\n"
    content = "".join(f"{number}{tail}" for number in range(400_000)).encode()
    pack = zstandard.ZstdCompressor(level).compress
    (path := tmp_path / "e").write_bytes(
        gzip.compress(content, level) if compression == "gzip" else pack(content)
    )
    came = decompressed(path, "e", compression, bomb_bytes=25_000_000)
    assert sum(map(len, came)) == len(content)


def test_noise_before_a_bomb_does_not_hide_it(tmp_path: Path):
    noise = np.random.default_rng(1).bytes(1_000_000)
    (path := tmp_path / "e").write_bytes(gzip.compress(noise) + gzip.compress(bytes(60_000_000)))
    with pytest.raises(ExportError, match="over 150 to 1"):
        list(decompressed(path, "e", "gzip", bomb_bytes=20_000_000))


def coded(cells: list[str], codes: "np.typing.NDArray[np.int32]") -> pa.Table:
    return pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(cells))})


@pytest.mark.parametrize(
    ("cells", "codes", "message"),
    [
        pytest.param(["x"], np.zeros(12_000_000, np.int32), "claims 12,000,000 rows in", id="rows"),
        pytest.param(
            ["x" * 900_000], np.zeros(20_000, np.int32), "bytes of text came out of", id="text"
        ),
        pytest.param(
            ["x" * 900_000, "y"],
            np.concatenate([np.ones(5_000, np.int32), np.zeros(50_000, np.int32)]),
            "over 2 GB of text|of one batch came|bytes of text came",
            id="text behind rows that are short",
        ),
    ],
)
def test_a_parquet_bomb_is_refused(
    tmp_path: Path, cells: list[str], codes: "np.typing.NDArray[np.int32]", message: str
):
    pq.write_table(coded(cells, codes), path := tmp_path / "e.parquet")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ExportError, match=message):
        for _ in open_export([path]).batches([0]):
            pass


LONG = "L" * 5_000 + "N" * 5_000


def wide(tool: Tool, mapped: list[str], metric: str = "Placed Order") -> None:
    """Orders of two rows that disagree in a column of a long name and in 200 others."""
    columns = ["no", "mail", "at", LONG, *(f"column {n}" for n in range(200))]
    rows = [[str(n // 2), f"p{n // 2}@shop.example", AT, *([str(n)] * 201)] for n in range(40)]
    properties = {"$event_id": "{no}"} | {f"P{at}": name for at, name in enumerate(mapped)}
    schema = {
        "name": "wide",
        "source": {"order": "no"},
        "profiles": "none",
        "customer_properties": {"$email": "mail"},
        "events": [{"event": metric, "time": "at", "properties": properties}],
    }
    (tool.folder / "s.yaml").write_text(json.dumps(schema), encoding="utf-8")
    with (tool.folder / "e.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.mark.parametrize(
    ("mapped", "metric", "told"),
    [
        pytest.param(
            [LONG, *(f"column {n}" for n in range(200))],
            "Placed Order",
            "191 columns more of which the same is true: summary.json has all",
            id="notes about each of many columns",
        ),
        pytest.param([], "Placed Order", "201 columns used by no event", id="a list of columns"),
        pytest.param(
            [LONG + "x", *(f"kolumn {n}" for n in range(200))],
            "Placed Order",
            "and 161 lines more",
            id="a problem for each of many columns",
        ),
        pytest.param([], LONG, "20 events of 20 people", id="the name of a metric"),
    ],
)
def test_nothing_that_is_said_fills_more_than_a_screen(
    tool: Tool, mapped: list[str], metric: str, told: str
) -> None:
    wide(tool, mapped, metric)
    said = tool("plan", "s.yaml", "e.csv")
    lines = said.err.splitlines()
    assert max(map(len, lines)) <= 800
    assert len(lines) <= 60
    assert told in said.err


def test_a_long_name_of_a_file_is_cut_and_a_command_to_copy_is_whole(tool: Tool) -> None:
    wide(tool, [])
    said = tool("plan", "s.yaml", *("x" * 200 + f"{n}.csv" for n in range(300)))
    assert (said.code, max(map(len, said.err.splitlines())) <= 800) == (2, True)
    names = [f"e{n}.csv" for n in range(200)]
    for name in names:
        (tool.folder / name).write_bytes((tool.folder / "e.csv").read_bytes())
    with Sandbox() as sandbox:
        rest = ("--url", sandbox.url, "--limit", "1", "--account", "LOCAL1", "--equal-rows")
        tool("run", "s.yaml", *names, *rest)
    assert f"go on with: backfill run s.yaml {' '.join(names)} --url" in tool("status").err


MILLION = """name: million
source: {order: Order, line: [Item, Price]}
columns: {Price: money}
profiles: every
customer_properties: {$email: Mail}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: Order, $value: {sum: Price}, Items: {each: Item}}
"""

PLANNED = """
import re, sys
from pathlib import Path
from backfill.account.account import Account
from backfill.running.run import Backfill
from backfill.running.settings import Hooks, Options
from backfill.schema.load import load_schema
account = Account("http://127.0.0.1:1", "KEY")
schema, export, state = map(Path, sys.argv[1:])
plan = Backfill(load_schema(schema), [export], state, account, Options(), Hooks()).plan().plan
print(dict(plan.reasons), plan.to_send)
print(1024 * int(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what counts")
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_order_of_a_million_lines_is_a_reject_in_bounded_memory(tmp_path: Path, form: str):
    count = 1_000_000
    table = pa.table(
        {
            "Order": ["1"] * count + ["2"],
            "Mail": ["a@shop.example"] * (count + 1),
            "At": [AT] * (count + 1),
            "Item": [f"item {at}" for at in range(count + 1)],
            "Price": ["1.50"] * (count + 1),
        }
    )
    export = tmp_path / f"e.{form}"
    (pacsv.write_csv if form == "csv" else pq.write_table)(table, export)
    (tmp_path / "s.yaml").write_text(MILLION, encoding="utf-8")
    # A file: under -c, DuckDB takes the process for an interactive one and prints a bar on stdout.
    (script := tmp_path / "planned.py").write_text(PLANNED, encoding="utf-8")
    told = subprocess.run(
        [sys.executable, script, tmp_path / "s.yaml", export, tmp_path / "state"],
        capture_output=True,
        text=True,
        check=True,
    )
    outcome, peak_bytes = told.stdout.splitlines()
    assert outcome == "{'too_large': 1} 1"
    assert int(peak_bytes) < 1_600_000_000


OPENED = """
import re, sys
from pathlib import Path
from backfill.errors import ExportError
from backfill.sources.export import open_export
try:
    for _ in open_export([sys.argv[1]]).batches([0]):
        pass
except ExportError as error:
    print(error, file=sys.stderr)
print(1024 * int(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what counts")
@pytest.mark.parametrize(
    ("table", "most_bytes", "message"),
    [
        pytest.param(
            lambda: pa.table({"a": [f"{at}" + "x" * 1_000_000 for at in range(400)]}),
            300_000_000,
            "bytes of columns in",
            id="a dictionary",
        ),
        pytest.param(
            lambda: coded(["x" * 1_000_000], np.zeros(100_000, np.int32)),
            400_000_000,
            "bytes of text came out of",
            id="long rows of few bytes",
        ),
        pytest.param(
            lambda: coded(
                ["x" * 900_000, "y"],
                np.concatenate([np.ones(5_000, np.int32), np.zeros(50_000, np.int32)]),
            ),
            1_500_000_000,
            "",
            id="long rows behind short ones",
        ),
    ],
)
def test_a_parquet_bomb_is_refused_before_it_takes_memory(
    tmp_path: Path, table: Callable[[], pa.Table], most_bytes: int, message: str
):
    pq.write_table(
        table(), path := tmp_path / "e.parquet", compression="zstd", dictionary_pagesize_limit=10**9
    )
    told = subprocess.run(
        [sys.executable, "-c", OPENED, path], capture_output=True, text=True, check=True
    )
    assert "no export" in told.stderr
    assert message in told.stderr
    assert int(told.stdout) < most_bytes


def test_an_export_that_shrinks_much_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "UNPACKED_BYTES", 1_000_000)
    cells = [f"{at * 7919 % 100_003}" + "x" * 1_000 for at in range(50_000)]
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table({"a": cells}), path, compression="zstd", use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(0)
    assert 200 < group.total_byte_size / path.stat().st_size < 1_000
    assert sum(batch.num_rows for batch in open_export([path]).batches([0])) == len(cells)
