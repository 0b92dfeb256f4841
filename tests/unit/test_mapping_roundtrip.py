"""Any table of cells comes back out of the requests as it went in, and nothing else does."""

import csv
import json
from pathlib import Path
from urllib.parse import parse_qs

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backfill.event import EVENTS
from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.columns import makes_lines
from backfill.schema.load import load_schema
from backfill.sources.export import open_export
from backfill.sources.source import ReadOptions
from backfill.wire.track import Track

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SIGNS = ["'", '"', '""', "{", "}", "{{a}}", "{a}", "\\", "\\n", "a\nb", "a\r\nb", ",", ";", "a\tb"]
WORDS = [
    "select",
    "NULL",
    "null",
    "é",
    "\u2028",
    "$a",
    "a.b",
    "A",
    "a",
    "line",
    "c0",
    "_row",
    "%s",
    "-0",
]
NASTY = st.sampled_from(SIGNS + WORDS)
CELLS = st.one_of(st.just(""), NASTY, st.text(CHARACTERS, max_size=8))
NAMES = (
    st.one_of(NASTY, st.text(CHARACTERS, max_size=6))
    .map(str.strip)
    .filter(lambda name: name and not makes_lines(name))
)


@st.composite
def tables(draw):
    """A header of names that differ, unused ones that do not, and rows of cells."""
    used = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    unused = draw(st.lists(st.sampled_from(["twice", "Twice"]), max_size=3))
    used = [name for name in used if name.casefold() != "twice"]
    header = draw(st.permutations([*used, *unused]))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), max_size=4))
    return used, header, rows


def yaml_text(text):
    return '"' + "".join(f"\\U{ord(sign):08x}" for sign in text) + '"'


def schema_of(names):
    leaves = "".join(
        f"      {yaml_text(f'{at}{name}')}: {{column: {yaml_text(name)}}}\n"
        for at, name in enumerate(names)
    )
    return (
        "name: any\nsource: {encoding: utf-8}\ncustomer_properties: {$id: '#row'}\nevents:\n"
        '  - event: Seen\n    time: {value: "2020-01-01T00:00:00Z"}\n'
        "    properties:\n      $event_id: {column: '#row'}\n" + leaves
    )


def write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["#row", *header])
        writer.writerows([str(at), *row] for at, row in enumerate(rows))


def landed(path, names):
    """What a server reads out of the requests, by event id."""
    export = open_export([path], ReadOptions(delimiter=",", encoding="utf-8"))
    bound = bind(load_schema(schema_of(names)), export.columns)
    program = compile_schema(
        bound, export.typed, Bounds(1_000_000_000, 2_000_000_000), attributes=True
    )
    mapper, out = Mapper(program, None), {}
    for batch in export.batches(program.columns):
        found = mapper.map(batch)
        assert found.rejects.num_rows == 0
        for payload in map(decoded, bodies(wired(found.events))):
            properties = payload["properties"]
            assert payload["customer_properties"] == {"$id": properties["$event_id"]}
            out[int(properties.pop("$event_id"))] = properties
    mapper.close()
    return out


def wired(events):
    zeros = pa.array([0] * events.num_rows, pa.int32())
    columns = {name: events[name] for name in events.column_names}
    columns |= {"size": zeros, "attributes_size": zeros}
    columns = {name: columns[name] for name in EVENTS.names}
    return pa.table(columns | {"carries": pa.array([True] * events.num_rows)})


def bodies(events):
    return [r.body for batch in events.to_batches() for r in Track("aB3xYz").requests(batch)]


def decoded(body):
    form = parse_qs(
        body.decode("ascii"), strict_parsing=True, keep_blank_values=True, errors="strict"
    )
    assert list(form) == ["data"]
    [text] = form["data"]
    return json.loads(text, object_pairs_hook=once)


def once(pairs):
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.slow
@settings(max_examples=80)
@given(table=tables())
@example(
    table=(["a", "A", '{"a"}', "a''b\"c"], ["a", "A", '{"a"}', "a''b\"c"], [["x", "y", "z", "w"]])
)
@example(
    table=(["a"], ["a", "twice", "twice"], [["x\\", "1", "2"], [" ", "", ""], ["\r\n", "", ""]])
)
def test_every_cell_comes_back_trimmed_and_nothing_else_comes(table, tmp_path_factory):
    names, header, rows = table
    path = Path(tmp_path_factory.mktemp("table")) / "export.csv"
    write(path, header, rows)
    expected = {}
    for at, row in enumerate(rows):
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        expected[at] = {
            f"{place}{name}": cells[name] for place, name in enumerate(names) if cells[name]
        }
    assert landed(path, names) == expected
