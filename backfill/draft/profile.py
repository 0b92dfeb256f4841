"""Facts about each column over the whole export, counted in one stream."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.draft.facts import FEW, Column
from backfill.draft.formats import CLOCK_SHAPE, SHAPE, Fit, clocks, formats, read_sql
from backfill.draft.kinds import CELL, NOTHING, kinds
from backfill.draft.stream import stream_of
from backfill.engine.duck import streamed
from backfill.schema.types import swap_day_and_month
from backfill.sources.export import Export
from backfill.sources.spreadsheets import clean_cells

SAMPLE: Final = 300
"""Different cells of a column that say which kinds are counted over all of them."""

ENOUGH: Final = 5_000
"""Filled cells of a column among which those are looked for; a rare column is read to its end."""

_AT_ONCE: Final = 32
"""Columns of one pass: planning takes the cube of what a query counts, minutes for 300 columns."""

_ROW: Final = 1 << 40
"""Rows of one file, when file and row are made one number."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    kinds: tuple[str, ...]
    formats: tuple[str, ...]
    clocks: tuple[str, ...]


def profile(
    connection: duckdb.DuckDBPyConnection,
    export: Export,
    names: Mapping[int, str],
    latest: str,
) -> list[Column]:
    """The columns at the places of ``names``. Raises ExportError."""
    places = list(names)
    samples = _samples(export, places)
    candidates = _candidates(connection, samples, latest)
    found: list[Column] = []
    for at in range(0, len(places), _AT_ONCE):
        rows_of = stream_of(export, places[at : at + _AT_ONCE])
        found += _count(connection, rows_of, candidates[at : at + _AT_ONCE], latest)
    rows = max((column.rows for column in found), default=0)
    return [
        replace(
            column,
            name=names[place],
            place=place,
            rows=rows,
            label=export.columns[place],
            temporal=place in export.temporal,
            values=column.values if column.distinct <= FEW * 2 else (),
        )
        for place, column in zip(places, found, strict=True)
    ]


def profile_within(
    connection: duckdb.DuckDBPyConnection, cells: pa.Table, names: Sequence[str], latest: str
) -> list[Column]:
    """The same for what stands within cells: ``cells`` has a column c0, c1 … for each name."""
    samples = [
        pa.array(cells.column(at).combine_chunks().drop_null().unique()[:SAMPLE])
        for at in range(len(names))
    ]
    candidates = _candidates(connection, samples, latest)
    found = _count(connection, cells.to_reader(), candidates, latest)
    return [
        replace(column, name=name, rows=cells.column(at).length(), looked=column.filled)
        for at, (name, column) in enumerate(zip(names, found, strict=True))
    ]


def _samples(export: Export, places: Sequence[int]) -> list["pa.StringArray"]:
    """Some hundred different cells of each column, the first ones."""
    found: list[dict[str, None]] = [{} for _ in places]
    seen = [0] * len(places)
    for batch in export.batches(places):
        for at in range(len(places)):
            if len(found[at]) >= SAMPLE or seen[at] >= ENOUGH:
                continue
            cells = clean_cells(batch.column(at)).drop_null()
            seen[at] += len(cells)
            found[at] |= dict.fromkeys(cells.unique()[: SAMPLE * 2].to_pylist())
        if all(len(f) >= SAMPLE or s >= ENOUGH for f, s in zip(found, seen, strict=True)):
            break
    return [pa.array(list(cells), pa.string()) for cells in found]


def _candidates(
    connection: duckdb.DuckDBPyConnection, samples: Sequence["pa.StringArray"], latest: str
) -> list[_Candidates]:
    """What is worth counting: kinds that some sampled cell fits, formats that most of them do."""
    table = pa.table(
        {
            "col": pa.array([at for at, cells in enumerate(samples) for _ in cells], pa.int32()),
            "x": pa.concat_arrays([*samples, pa.array([], pa.string())]),
        }
    )
    words = ", ".join(_quoted(word) for word in NOTHING)
    tests = kinds(latest)
    counted = ", ".join(f"count(*) filter ({sql.replace(CELL, 'x')})" for sql in tests.values())
    shapes = ", ".join(
        f"count(*) filter (regexp_full_match(x, '{shape}'))" for shape in (SHAPE, CLOCK_SHAPE)
    )
    query = (
        f"with u as materialized (select col, x from samples where x not in ({words})) "
        f"select col, count(*), {shapes}, {counted} from u group by col"
    )
    connection.register("samples", table)
    rows = {row[0]: row[1:] for row in connection.execute(query).fetchall()} if len(table) else {}
    found = []
    for at in range(len(samples)):
        filled, shaped, clocked, *hits = rows.get(at, (0, 0, 0, *(0 for _ in tests)))
        timed = bool(shaped) and shaped * 2 >= filled
        found.append(
            _Candidates(
                tuple(kind for kind, hit in zip(tests, hits, strict=True) if hit),
                tuple(_fitting(connection, at, formats(samples[at].to_pylist()), latest))
                if timed
                else (),
                tuple(_fitting(connection, at, clocks(), "2100-01-01", since="1800-01-01"))
                if clocked and clocked * 2 >= filled
                else (),
            )
        )
    connection.unregister("samples")
    return found


def _fitting(
    connection: duckdb.DuckDBPyConnection,
    at: int,
    tried: Iterator[str] | Sequence[str],
    latest: str,
    since: str = "1985-01-01",
) -> list[str]:
    """The formats that read half of a column's sample or more, and their rivals.

    A rival is the same format with day and month changed over.
    """
    forms = list(tried)
    if not forms:
        return []
    counted = ", ".join(
        f"count({read_sql('x', form, latest).replace('1985-01-01', since)})" for form in forms
    )
    words = ", ".join(_quoted(word) for word in NOTHING)
    query = f"select count(*), {counted} from samples where col = {at} and x not in ({words})"
    [(filled, *hits)] = connection.execute(query).fetchall()
    good = [form for form, hit in zip(forms, hits, strict=True) if hit * 2 >= filled > 0]
    rivals = [
        rival for form in good if (rival := swap_day_and_month(form)) in forms and rival is not None
    ]
    return list(dict.fromkeys([*good, *rivals]))


def _count(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.RecordBatchReader,
    candidates: Sequence[_Candidates],
    latest: str,
) -> list[Column]:
    """``rows`` has columns c0, c1 … of text, with _file and _row."""
    words = ", ".join(_quoted(word) for word in NOTHING)
    tests = kinds(latest)
    count = len(candidates)
    split = ", ".join(
        f"case when c{at} in ({words}) then c{at} end as w{at}, "
        f"case when c{at} not in ({words}) then c{at} end as x{at}"
        for at in range(count)
    )
    reads = [
        f"{read_sql(f'x{at}', form, latest)} as f{at}_{k}"
        for at, some in enumerate(candidates)
        for k, form in enumerate(some.formats)
    ]
    some_cell = " or ".join(f"x{at} is not null" for at in range(count)) or "true"
    aggregates = [f"count(*) filter ({some_cell})"]
    for at, some in enumerate(candidates):
        aggregates += [
            f"count(x{at})",
            f"approx_count_distinct(x{at})",
            f"histogram(w{at})",
            f"approx_top_k(x{at}, {FEW * 2})",
        ]
        aggregates += [
            f"count(*) filter ({tests[kind].replace(CELL, f'x{at}')})" for kind in some.kinds
        ]
        for k, form in enumerate(some.formats):
            other = swap_day_and_month(form)
            rival = f"f{at}_{some.formats.index(other)}" if other in some.formats else "null"
            alone = f"filter (f{at}_{k} is not null and {rival} is null)"
            key = f"_file::bigint * {_ROW} + _row"
            aggregates += [
                f"count(f{at}_{k})",
                f"count(*) {alone}",
                f"arg_min(x{at}, {key}) {alone}",
                f"min({key}) {alone}",
            ]
        for form in some.clocks:
            aggregates.append(f"count(try_strptime(x{at}, '{form}'))")
    query = (
        f"select {', '.join(aggregates)} from (select {', '.join(['*', *reads])} from "
        f"(select _file, _row, {split} from counted))"
    )
    with streamed(connection, "counted", rows.schema, rows):
        [row] = connection.execute(query).fetchall()
    return list(_facts(list(row), candidates))


def _facts(row: Sequence[Any], candidates: Sequence[_Candidates]) -> Iterator[Column]:
    """Columns without names, out of one row of counts."""
    cells = iter(row)
    total = next(cells)
    for some in candidates:
        filled, distinct, words, top = (next(cells) for _ in range(4))
        fits = {kind: next(cells) for kind in some.kinds}
        forms = [Fit(form, *_fit(cells)) for form in some.formats]
        yield Column(
            name="",
            place=-1,
            rows=total,
            filled=filled,
            distinct=distinct,
            nothing=dict(words or {}),
            fits=fits,
            formats=tuple(forms),
            clocks={form: next(cells) for form in some.clocks},
            values=tuple(top or ()),
        )


def _fit(cells: Iterator[Any]) -> tuple[int, int, str, tuple[int, int]]:
    hits, alone, example, key = (next(cells) for _ in range(4))
    file, row = divmod(int(key or 0), _ROW)
    return hits, alone, example or "", (file, row)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
