"""The draft as YAML that a person reads: each guess with its evidence beside it."""

from dataclasses import dataclass
from typing import Final

from backfill.draft.events import event_blocks
from backfill.draft.nested import Nested
from backfill.draft.orders import Key
from backfill.draft.roles import Roles
from backfill.draft.yaml import QUESTION, Block, dump, flow_text
from backfill.schema.document import Plain, read_document
from backfill.schema.load import questions

_NAMED: Final = 12
"""Empty columns whose names are listed."""

_VARYING_NAMED: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a draft says of the export as a whole."""

    name: str
    files: str
    rows: int
    columns: int
    optional: tuple[str, ...]
    """Columns that some of the files lack."""
    null_values: tuple[tuple[str, int], ...]
    """Words for nothing, each with the number of its cells."""
    timezone: str | None
    """As ``--timezone`` says it."""
    empty: tuple[str, ...]
    """Columns without a filled cell."""
    nameless: int
    """Columns without a name."""
    about: tuple[str, ...] = ()
    """Further sentences."""
    query: tuple[str, ...] = ()
    """Lines of SQL that join the other tables."""


PROFILES_EVIDENCE: Final = (
    "the safe one, for an account in use: old orders write nothing about people but who they are; "
    "newest, for a new account: each person's newest order does"
)


def draft_text(roles: Roles, nested: Nested, overview: Overview) -> str:
    schema, columns = Block(), Block(indent=2)
    for name, spec in nested.types.items():
        columns.add(name, spec, nested.told.get(name, ""))
    person = _person(roles, columns)
    events = event_blocks(roles, columns)
    _add_head(schema, nested, overview)
    _add_source(schema, roles, overview, columns)
    if columns:
        schema.add("columns", columns)
        schema.blank_line()
    schema.add("profiles", "none", PROFILES_EVIDENCE)
    schema.blank_line()
    schema.add("customer_properties", person)
    schema.blank_line()
    schema.add_list("events", events)
    return dump(schema.node)


def open_questions(drafted: str) -> tuple[tuple[int, str], ...]:
    """The lines on which a person has to put an answer, with their numbers."""
    document, lines = read_document(drafted, "draft"), drafted.splitlines()
    numbers = sorted({document.lines[path] for path in questions(document.values)})
    return tuple((number, lines[number - 1].strip()) for number in numbers)


def _add_head(schema: Block, nested: Nested, overview: Overview) -> None:
    rows = f"{overview.rows:,} row{'' if overview.rows == 1 else 's'}"
    columns = f"{overview.columns:,} column{'' if overview.columns == 1 else 's'}"
    schema.comment(
        f"Drafted by `backfill init` from {overview.files}: {rows}, {columns}. Beside each guess "
        "stands what speaks for it. Look through it, then: backfill check, backfill preview, "
        "backfill plan."
    )
    if overview.empty:
        more = " …" if len(overview.empty) > _NAMED else ""
        named = ", ".join(overview.empty[:_NAMED]) + more
        schema.comment(f"Left out, for they are empty throughout: {named}.")
    if overview.nameless:
        schema.comment(f"Left out, for the header does not name them: {overview.nameless} columns.")
    for name, evidence in nested.told.items():
        schema.comment(f'"{name}": {evidence}.')
    for sentence in overview.about:
        schema.comment(sentence)
    for line in overview.query:
        schema.comment_line(f"  {line}")
    schema.add("name", overview.name)
    schema.blank_line()


def _add_source(schema: Block, roles: Roles, overview: Overview, columns: Block) -> None:
    source, key = schema.nested(), roles.key
    passed = "".join(f"; {why}" for why in roles.choice.passed[:2])
    timezone, why_timezone = _timezone(roles, overview)
    bare = key is None and not (timezone or overview.optional or overview.null_values)
    comments = schema if bare else source
    if key is None:
        comments.comment(
            f"no source.order: no column tells orders apart, so each row is an order{passed}"
        )
    else:
        _add_key(source, key, roles, columns, passed)
    if overview.optional:
        source.add("optional", [*overview.optional], "not in every one of the files")
    if overview.null_values:
        words: list[Plain] = [word for word, _ in overview.null_values]
        told = ", ".join(f"{word} in {count:,} cells" for word, count in overview.null_values)
        source.add("null_values", words, f"words for nothing: {told}")
    if timezone:
        source.add("timezone", timezone, why_timezone)
    elif why_timezone:
        comments.comment(why_timezone)
        line = "timezone: Europe/Berlin"
        comments.comment_line(f"source: {{{line}}}" if bare else line)
    if not bare:
        schema.add("source", source)
    schema.blank_line()


def _add_key(source: Block, key: Key, roles: Roles, columns: Block, passed: str) -> None:
    names: list[Plain] = [column.name for column in key.columns]
    if roles.choice.doubt:
        name = flow_text(names[0])
        why = (
            f"OPEN: {roles.choice.doubt}, so it may be no order's: write {name} where these rows "
            "are one order (the first one's time is the order's then), a list of columns such as "
            f"[Shop, {name}] where a number alone tells no order"
        )
        source.add("order", QUESTION, why)
    else:
        order = names[0] if len(names) == 1 else names
        source.add("order", order, _key_evidence(key, roles) + passed)
    for column in key.columns:
        if column.share("doubles") == 1:
            columns.add_once(column.name, "integer", "each ends in .0, which integer takes off")
    own: list[Plain] = [
        column.name for column in roles.lines if column.place >= 0 and "<n>" not in column.name
    ]
    if own:
        source.add("line", own, _lines_evidence(key, roles))


def _key_evidence(key: Key, roles: Roles) -> str:
    looked = "" if key.whole else " looked at"
    if not key.several:
        return (
            f"{key.orders:,} values in {key.rows:,} rows{looked}, none twice: each row is an order"
        )
    same = [
        column.name
        for column in (*([roles.ordered.column] if roles.ordered else []), *roles.person.identity)
        if column.place >= 0 and column not in key.columns
    ]
    told = f"{key.orders:,} values in {key.rows:,} rows{looked}; {key.several:,} repeat"
    told += f", {key.together:,} of these in neighbouring rows"
    if same:
        most = max(key.varying.get(name, 0) for name in same)
        told += f"; {' and '.join(same)} {'is' if len(same) == 1 else 'are'} the same in "
        told += "all of them" if not most else f"{key.several - most:,} of them"
    return told


def _lines_evidence(key: Key, roles: Roles) -> str:
    if not key.several:
        return "by their names; no order here has two rows"
    told = [
        f"{column.name} {key.varying.get(column.name, 0):,}"
        for column in roles.lines
        if key.varying.get(column.name)
    ]
    if not told:
        return "by their names"
    more = " …" if len(told) > _VARYING_NAMED else ""
    return f"orders in whose rows they differ: {', '.join(told[:_VARYING_NAMED])}{more}"


def _timezone(roles: Roles, overview: Overview) -> tuple[str | None, str]:
    """The zone of times without an offset, where it is known, and what to say of it."""
    time = roles.ordered
    if time is None or not time.naive or roles.zone is not None:
        return None, ""
    if overview.timezone is not None:
        return overview.timezone, "as --timezone said"
    if time.utc:
        return "UTC", f'"{time.column.name}": {time.utc}'
    days = " (days without a clock: they begin at midnight there)" if time.day_only else ""
    return None, (
        f"OPEN: the times carry no offset{days}, and nothing in the export says in which zone "
        "the shop's clock is: put it here, or say --timezone when you plan and run"
    )


def _person(roles: Roles, columns: Block) -> Block:
    person = Block(indent=2)
    for name, mapped in roles.person.properties.items():
        person.add(name, mapped.leaf, mapped.evidence)
        if mapped.spec is not None:
            columns.add_once(mapped.columns[0].name, mapped.spec, mapped.evidence)
    return person
