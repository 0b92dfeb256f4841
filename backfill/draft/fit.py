"""Whether a schema can be drafted for an export, and why not."""

from collections.abc import Sequence
from pathlib import Path

from backfill.draft.facts import Column
from backfill.draft.roles import Roles
from backfill.draft.yaml import in_template, text
from backfill.errors import SchemaError, UsageError
from backfill.schema.bind import bind
from backfill.schema.columns import makes_lines
from backfill.schema.load import load_schema
from backfill.sources.export import Export


def no_time(export: Export, columns: Sequence[Column]) -> str:
    name = Path(export.files[0]).name
    days = [column.name for column in columns if column.share("excel_day") > 0.9]  # noqa: PLR2004
    if days:
        return (
            f'{name}: no column holds times; "{days[0]}" looks like days as a spreadsheet counts '
            "them (45291): format it as a date there and save it again"
        )
    return (
        f"{name}: no events can be made of it, for no column holds times; if the orders' times "
        f"stand "
        "in another table, join the two with a query, and draft from its result"
    )


def unfit(roles: Roles) -> str | None:
    """A column that a template would have to name, and cannot."""
    key = roles.key.columns if roles.key is not None else ()
    needed = [*key] if len(key) > 1 or roles.lines else []
    needed += [roles.ordered.column, roles.clock.column] if roles.ordered and roles.clock else []
    return next((column.name for column in needed if not in_template(column.name)), None)


def unreadable(header: Sequence[str]) -> tuple[str, ...]:
    if not (names := [name for name in header if makes_lines(name)]):
        return ()
    return (f"Left out, for a schema takes [] and <n> for lists: {', '.join(names)}.",)


def assert_fits(written: str, export: Export, key: str) -> None:
    """A draft has open questions, and no other problem."""
    answered = (
        written.replace('decimal: "?"', 'decimal: "."')
        .replace('region: "?"', "region: US")
        .replace('time: "?"', 'time: "%d/%m/%Y"')
        .replace('$id: "?"', "$id: {value: none}")
        .replace('  order: "?"', f"  order: {text(key)}")
    )
    try:
        bind(load_schema(answered), export.columns, export.lacking)
    except SchemaError as error:
        raise UsageError(
            f"this export cannot be drafted for, which is a fault of ours: {error.problems[0].text}"
        ) from error
