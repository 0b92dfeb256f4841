"""The query in the making: SQL expressions, the values that they name, the tables that hold them.

A schema is compiled into a chain of tables over one slice of the export. Each table knows what the
tables before it know, and nothing of those behind:

    slice ──▶ firsts ──▶ orders ──▶ lines ──▶ aggregated ──▶ judged ──▶ events
    cells     first      cells      cells     sums and       identity,
    by name   values     of an      of a      lists of an    reasons,
              of an      order,     line,     order's        event columns
              order      read       read      lines

**Stages.** An expression belongs to the first table in which all that it uses is there. A column of
the order is there at ``Stage.ORDER``, a line's own column at ``Stage.LINE``; an aggregate of an
order's lines (a sum, a list, "does any line …") is there at ``Stage.AGGREGATED``; what needs both
the order and its lines, at ``Stage.JUDGED``. Nobody says where an expression is computed: it
follows from what stands in it, so an expression that uses just the order's columns is computed
once an order, also inside an event per line.

**Values.** DuckDB puts an expression in place of each use of its name within one SELECT and
computes it again. So what is used twice gets a name, in a SELECT of its own: ``Query.named`` gives
the same name to the same expression, and ``Query.select`` nests the SELECTs as deep as names use
names. What no table asks for is not computed.

**Expressions.** ``Sql`` is a text and the values that it uses. It is made from a template whose
``$words`` are other expressions, so that no expression forgets what it uses, and nothing reads
SQL again that we wrote. Texts of an export or a schema enter by ``quote`` alone.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

_WORD: Final = re.compile(r"\$([a-z_]+)")


class Stage(IntEnum):
    """The tables in which values are computed, in their order."""

    ORDER = 0
    LINE = 1
    AGGREGATED = 2
    JUDGED = 3


Aggregation = Literal["any", "sum", "list", "first"]
"""How an order's lines become one value: a condition that any line meets, the sum, the texts with
commas between, the first that is not NULL."""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A named column of one of the tables."""

    name: str
    stage: Stage
    computed: "Sql | None" = None
    """The expression that it names; None for a column that is there from the start."""
    aggregation: Aggregation | None = None
    """How ``computed``, a line's value, is aggregated; None for a value that is no aggregate."""


@dataclass(frozen=True, slots=True)
class Sql:
    """An SQL expression, and the values whose names stand in it."""

    text: str
    uses: tuple[Value, ...] = ()

    @property
    def stage(self) -> Stage:
        """The first table in which it can be computed."""
        stage = max((value.stage for value in self.uses), default=Stage.ORDER)
        return Stage.JUDGED if stage is Stage.AGGREGATED else stage


NULL: Final = Sql("null::varchar")


def sql(template: str, **parts: Sql) -> Sql:
    """An expression from a template; each ``$word`` in it is the part of that name.

    Args:
        template: SQL of ours. What comes from a schema or an export is a part, made by ``quote``.
        parts: the expressions that stand in it.
    """
    text = _WORD.sub(lambda word: parts[word[1]].text, template)
    return Sql(text, values_of(parts.values()))


def join(separator: str, parts: Iterable[Sql]) -> Sql:
    """Expressions one after the other, ``separator`` between them."""
    listed = list(parts)
    return Sql(separator.join(part.text for part in listed), values_of(listed))


def coalesce(*parts: Sql) -> Sql:
    """The first of the parts that is not NULL."""
    return sql("coalesce($parts)", parts=join(", ", parts))


def case(arms: Iterable[tuple[Sql, Sql]], default: Sql | None = None) -> Sql:
    """The value of the first arm, a condition and a value, whose condition holds.

    Args:
        arms: conditions and their values; there may be none.
        default: the value where none holds; None is NULL.
    """
    written = [
        sql("when $condition then $value", condition=one, value=value) for one, value in arms
    ]
    if not written:
        return default or NULL
    end = [] if default is None else [sql("else $default", default=default)]
    return sql("(case $arms end)", arms=join(" ", [*written, *end]))


def quote(text: str) -> Sql:
    """A constant text."""
    return Sql("'" + text.replace("'", "''") + "'")


def values_of(expressions: Iterable[Sql]) -> tuple[Value, ...]:
    """The values that expressions use, each once."""
    return tuple(dict.fromkeys(value for one in expressions for value in one.uses))


@dataclass(slots=True)
class Query:
    """The values of one schema's tables."""

    flat: bool
    """Is each row an order, so that it has no lines to aggregate?"""
    _named: dict[tuple[Stage, str, Aggregation | None], Sql] = field(default_factory=dict)

    def column(self, name: str, stage: Stage) -> Sql:
        """A column that is there from the start."""
        return self._known((stage, name, None), Value(name, stage))

    def sql(self, template: str, **parts: Sql) -> Sql:
        """An expression from a template, under a name; see ``sql`` and ``named``."""
        return self.named(sql(template, **parts))

    def named(self, expression: Sql, stage: Stage | None = None, name: str | None = None) -> Sql:
        """A name for an expression, which is then computed once.

        Args:
            expression: what is computed.
            stage: the table in which it is; None is the first in which it can be.
            name: the column's name; None lets one be made.
        """
        at = expression.stage if stage is None else max(stage, expression.stage)
        if name is None and any(value.name == expression.text for value in expression.uses):
            return expression
        own = name or f"{at.name.lower()}_{len(self._named)}"
        return self._known((at, expression.text, None), Value(own, at, expression))

    def aggregated(self, aggregation: Aggregation, expression: Sql) -> Sql:
        """The aggregate of a value of an order's lines."""
        line = self.named(expression, Stage.LINE)
        value = Value(f"aggregated_{len(self._named)}", Stage.AGGREGATED, line, aggregation)
        return self._known((Stage.AGGREGATED, line.text, aggregation), value)

    def _known(self, key: tuple[Stage, str, Aggregation | None], value: Value) -> Sql:
        return self._named.setdefault(key, Sql(value.name, (value,)))

    def select(self, source: str, wanted: Iterable[Sql], stage: Stage) -> str:
        """A query of ``source`` with all values of one stage that ``wanted`` needs.

        It has the columns of ``source`` too; a value that uses another stands in a SELECT around
        the other's.
        """
        depths: dict[Value, int] = {}
        for value in values_of(wanted):
            _depth_of(value, stage, depths)
        layers: list[list[str]] = [[] for _ in range(max(depths.values(), default=0))]
        for value, depth in depths.items():
            if depth and value.computed is not None:
                layers[depth - 1].append(f"{value.computed.text} as {value.name}")
        for layer in layers:
            source = f"(select *, {', '.join(layer)} from {source})"
        return source

    def aggregates(self, wanted: Iterable[Sql]) -> Mapping[str, Sql]:
        """The aggregates that ``wanted`` needs: by name, what computes each over the lines."""
        return {
            value.name: self._aggregate(value.aggregation, value.computed)
            for value in needed(wanted, Stage.AGGREGATED)
            if value.aggregation is not None and value.computed is not None
        }

    def _aggregate(self, aggregation: Aggregation, line: Sql) -> Sql:
        if self.flat:
            return sql("coalesce($line, false)", line=line) if aggregation == "any" else line
        match aggregation:
            case "any":
                return sql("bool_or(coalesce($line, false))", line=line)
            case "sum":
                return sql("sum($line)", line=line)
            case "list":
                return sql("string_agg($line, ',' order by line_place)", line=line)
            case "first":
                return sql("arg_min($line, line_place)", line=line)


def _depth_of(value: Value, stage: Stage, depths: dict[Value, int]) -> int:
    """How many SELECTs stand around the stage's source before a value is there."""
    if value not in depths:
        inner = [] if value.stage < stage or value.computed is None else value.computed.uses
        below = [_depth_of(used, stage, depths) for used in inner]
        own = value.stage is stage and value.computed is not None and value.aggregation is None
        depths[value] = max(below, default=0) + own
    return depths[value]


def needed(wanted: Iterable[Sql], stage: Stage) -> list[Value]:
    """All values of one stage that expressions need, by way of values of later stages too."""
    found: dict[Value, None] = {}
    seen: set[Value] = set()
    waiting = list(values_of(wanted))
    while waiting:
        value = waiting.pop(0)
        if value in seen:
            continue
        seen.add(value)
        if value.stage is stage:
            found[value] = None
        elif value.computed is not None:
            waiting += value.computed.uses
    return list(found)
