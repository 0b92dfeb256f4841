"""The facts about each column, counted over the whole export in one stream."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.draft.facts import (
    CELL,
    MAX_VALUES,
    NULL_WORDS,
    Column,
    FormatCount,
    kind_conditions,
)
from backfill.draft.formats import (
    CLOCK_SHAPE,
    CLOCKS,
    EARLIEST,
    TIME_SHAPE,
    possible_formats,
    read_sql,
)
from backfill.engine.duck import streamed
from backfill.mapping.query import quote
from backfill.schema.types import swap_day_and_month
from backfill.sources.export import Export
from backfill.sources.spreadsheets import clean_cells

SAMPLE: Final = 300
"""How many different cells of a column decide which kinds are counted over all its cells."""

ENOUGH: Final = 5_000
"""How many filled cells of a column are searched for them; a rare column is read to its end."""

_AT_ONCE: Final = 32
"""Columns of one pass: planning takes the cube of what a query counts, minutes for 300 columns."""

_ROW: Final = 1 << 40
"""Rows of one file, when file and row are made one number."""

_WORDS: Final = ", ".join(quote(word).text for word in NULL_WORDS)


@dataclass(frozen=True, slots=True)
class _Measures:
    """What is worth counting of a column."""

    kinds: Sequence[str]
    formats: Sequence[str]
    clocks: Sequence[str]


def text_stream(export: Export, places: Sequence[int]) -> pa.RecordBatchReader:
    """Columns c0, c1 … of cleaned text for the columns at ``places``, with _file and _row."""

    def batches() -> Iterator[pa.RecordBatch]:
        for table in export.batches(places):
            for at in range(len(places)):
                table = table.set_column(at, f"c{at}", clean_cells(table.column(at)))  # noqa: PLW2901
            yield from table.drop_columns(["_ragged"]).to_batches()

    return pa.RecordBatchReader.from_batches(_schema(len(places)), batches())


def _schema(columns: int) -> pa.Schema:
    cells = [pa.field(f"c{at}", pa.string()) for at in range(columns)]
    return pa.schema([*cells, pa.field("_file", pa.int32()), pa.field("_row", pa.int64())])


def profile_columns(
    connection: duckdb.DuckDBPyConnection, export: Export, names: Mapping[int, str], latest: str
) -> list[Column]:
    """The columns at the places of ``names``, which is how the schema names them.

    ``latest`` is the last day that a time may be of, as ISO 8601 writes it.

    Raises ExportError.
    """
    places = list(names)
    measures = _measures(connection, _samples(export, places), latest)
    found: list[Column] = []
    for at in range(0, len(places), _AT_ONCE):
        part = slice(at, at + _AT_ONCE)
        rows = text_stream(export, places[part])
        found += _count(connection, rows, measures[part], latest)
    most_rows = max((column.rows for column in found), default=0)
    return [
        replace(
            column,
            name=names[place],
            label=export.columns[place],
            place=place,
            rows=most_rows,
            is_typed_time=place in export.typed.temporal,
            values=column.values if column.distinct <= MAX_VALUES * 2 else (),
        )
        for place, column in zip(places, found, strict=True)
    ]


def profile_members(
    connection: duckdb.DuckDBPyConnection,
    members: Mapping[str, Sequence[str | None]],
    labels: Mapping[str, str],
    latest: str,
) -> list[Column]:
    """The same for the members of cells; ``members`` holds the texts of each, by its name."""
    texts = [pa.array(cells, pa.string()) for cells in members.values()]
    samples = [cells.drop_null().unique()[:SAMPLE] for cells in texts]
    most = max(map(len, texts), default=0)
    padded = [
        pa.concat_arrays([cells, pa.nulls(most - len(cells), pa.string())]) for cells in texts
    ]
    places = [pa.array([0] * most, pa.int32()), pa.array(range(most), pa.int64())]
    rows = pa.Table.from_arrays([*padded, *places], schema=_schema(len(texts))).to_reader()
    found = _count(connection, rows, _measures(connection, samples, latest), latest)
    return [
        replace(column, name=name, label=labels[name], rows=len(members[name]))
        for name, column in zip(members, found, strict=True)
    ]


def _samples(export: Export, places: Sequence[int]) -> list["pa.StringArray"]:
    """Some hundred different cells of each column, the first ones."""
    found: list[dict[str, None]] = [{} for _ in places]
    seen = [0] * len(places)
    lacking = set(range(len(places)))
    for batch in export.batches(places):
        for at in lacking:
            cells = clean_cells(batch.column(at)).drop_null()
            seen[at] += len(cells)
            found[at] |= dict.fromkeys(cells.unique()[: SAMPLE * 2].to_pylist())
        lacking = {at for at in lacking if len(found[at]) < SAMPLE and seen[at] < ENOUGH}
        if not lacking:
            break
    return [pa.array(list(cells), pa.string()) for cells in found]


def _measures(
    connection: duckdb.DuckDBPyConnection, samples: Sequence["pa.StringArray"], latest: str
) -> list[_Measures]:
    """Kinds that some sampled cell is of, and formats that read half of the sample or more."""
    table = pa.table(
        {
            "col": pa.array([at for at, cells in enumerate(samples) for _ in cells], pa.int32()),
            "x": pa.concat_arrays([*samples, pa.array([], pa.string())]),
        }
    )
    conditions = kind_conditions(latest)
    tests = [f"regexp_full_match(x, '{shape}')" for shape in (TIME_SHAPE, CLOCK_SHAPE)]
    tests += [condition.replace(CELL, "x") for condition in conditions.values()]
    counts = ", ".join(f"count(*) filter ({test})" for test in tests)
    query = (
        f"with u as materialized (select col, x from samples where x not in ({_WORDS})) "
        f"select col, count(*), {counts} from u group by col"
    )
    connection.register("samples", table)
    rows = {row[0]: row[1:] for row in connection.execute(query).fetchall()}
    found = []
    for at, sample in enumerate(samples):
        filled, times, clocks, *hits = rows.get(at, (0, 0, 0, *(0 for _ in conditions)))
        days = [*possible_formats(sample.to_pylist())] if times * 2 >= filled > 0 else []
        formats = _reading(connection, at, days, EARLIEST, latest)
        hours = CLOCKS if clocks * 2 >= filled > 0 else ()
        clock_formats = _reading(connection, at, hours, "1800-01-01", "2100-01-01")
        kinds = [kind for kind, hit in zip(conditions, hits, strict=True) if hit]
        found.append(_Measures(kinds, formats, clock_formats))
    connection.unregister("samples")
    return found


def _reading(
    connection: duckdb.DuckDBPyConnection, at: int, forms: Sequence[str], earliest: str, latest: str
) -> list[str]:
    """The formats that read half of a column's sample or more, and their rivals."""
    if not forms:
        return []
    counts = ", ".join(f"count({read_sql('x', form, latest, earliest)})" for form in forms)
    query = f"select count(*), {counts} from samples where col = {at} and x not in ({_WORDS})"
    [(filled, *hits)] = connection.execute(query).fetchall()
    good = [form for form, hit in zip(forms, hits, strict=True) if hit * 2 >= filled > 0]
    swapped = [form for form in map(swap_day_and_month, good) if form in forms]
    return list(dict.fromkeys(form for form in (*good, *swapped) if form is not None))


def _count(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.RecordBatchReader,
    measures: Sequence[_Measures],
    latest: str,
) -> list[Column]:
    """The columns c0, c1 … of ``rows``, as yet without name, label and place."""
    conditions = kind_conditions(latest)
    places = range(len(measures))
    split = ", ".join(
        f"case when c{at} in ({_WORDS}) then c{at} end as w{at}, "
        f"case when c{at} not in ({_WORDS}) then c{at} end as x{at}"
        for at in places
    )
    reads = [
        f"{read_sql(f'x{at}', form, latest)} as f{at}_{k}"
        for at, some in enumerate(measures)
        for k, form in enumerate(some.formats)
    ]
    some_cell = " or ".join(f"x{at} is not null" for at in places) or "true"
    counts = [f"count(*) filter ({some_cell})"]
    for at, some in enumerate(measures):
        counts += _counts(at, some, conditions)
    query = (
        f"select {', '.join(counts)} from (select {', '.join(['*', *reads])} from "
        f"(select _file, _row, {split} from counted))"
    )
    with streamed(connection, "counted", rows.schema, rows):
        [row] = connection.execute(query).fetchall()
    results = iter(row)
    total = next(results)
    return [_column(total, some, results) for some in measures]


def _counts(at: int, measures: _Measures, conditions: Mapping[str, str]) -> Iterator[str]:
    """SQL that counts one column; ``_column`` takes the results in this order."""
    cell, place = f"x{at}", f"_file::bigint * {_ROW} + _row"
    yield f"count({cell})"
    yield f"approx_count_distinct({cell})"
    yield f"histogram(w{at})"
    yield f"approx_top_k({cell}, {MAX_VALUES * 2})"
    for kind in measures.kinds:
        yield f"count(*) filter ({conditions[kind].replace(CELL, cell)})"
    for k, form in enumerate(measures.formats):
        swapped = swap_day_and_month(form)
        rival = (
            f"f{at}_{measures.formats.index(swapped)}" if swapped in measures.formats else "null"
        )
        proving = f"filter (f{at}_{k} is not null and {rival} is null)"
        yield f"count(f{at}_{k})"
        yield f"count(*) {proving}"
        yield f"arg_min({cell}, {place}) {proving}"
        yield f"min({place}) {proving}"
    for form in measures.clocks:
        yield f"count(try_strptime({cell}, '{form}'))"


def _column(rows: int, measures: _Measures, results: Iterator[Any]) -> Column:
    filled, distinct, null_words, values = islice(results, 4)
    return Column(
        name="",
        label="",
        rows=rows,
        filled=filled,
        distinct=distinct,
        null_words=dict(null_words or {}),
        kinds={kind: next(results) for kind in measures.kinds},
        formats=tuple(_format_count(form, results) for form in measures.formats),
        clocks={form: next(results) for form in measures.clocks},
        values=tuple(values or ()),
        example=values[0] if values else "",
    )


def _format_count(form: str, results: Iterator[Any]) -> FormatCount:
    cells, proving, proof, place = islice(results, 4)
    at = divmod(place or 0, _ROW)
    return FormatCount(form=form, cells=cells, proving=proving, proof=proof or "", proof_at=at)
