"""The draft as YAML that a person reads: each guess with its evidence beside it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backfill.display import counted, listed
from backfill.draft.events import event_blocks
from backfill.draft.facts import CERTAIN_NULL_WORDS, WHOLE_FLOATS, Column
from backfill.draft.nested import Nested
from backfill.draft.roles import Roles
from backfill.draft.row_rules import FoundRules
from backfill.draft.sample import Key
from backfill.draft.yaml import QUESTION, Block, dump, flow_text
from backfill.schema.columns import makes_lines
from backfill.schema.document import YamlValue, read_document
from backfill.schema.load import open_questions
from backfill.sources.export import Export

PROFILES_EVIDENCE: Final = (
    "none is safe for an account in use: old orders write only identifiers to profiles; newest, "
    "for a new account: each person's newest order writes names and places too"
)

ZONE_QUESTION: Final = (
    "OPEN: the times carry no offset, and the export does not say which time zone the shop uses: "
    "write it here, or pass --timezone to backfill plan and run"
)


def draft_text(
    export: Export,
    columns: Sequence[Column],
    nested: Nested,
    roles: Roles,
    found: FoundRules,
    *,
    timezone: str | None,
    about: Sequence[str],
    query: Sequence[str],
) -> str:
    """The YAML of a draft.

    Args:
        export: the files that the draft is made from.
        columns: all columns with a name.
        nested: what stands within their cells.
        roles: what is made of them.
        found: what is done with rows before that.
        timezone: the zone of the shop's clock, if it is given.
        about: further sentences for the head.
        query: lines of SQL for the head, which join other tables.
    """
    schema, types = Block(), Block(indent=2)
    for name, spec in nested.types.items():
        types.add(name, spec, nested.evidence.get(name, ""))
    person = _person(roles, types)
    events = event_blocks(roles, types)
    _add_head(schema, export, columns, nested)
    for sentence in about:
        schema.comment(sentence)
    for line in query:
        schema.comment_line(f"  {line}")
    schema.add("name", _schema_name(export.files[0]))
    schema.blank_line()
    _add_source(schema, types, export, columns, roles, found, timezone)
    if types:
        schema.add("columns", types)
        schema.blank_line()
    schema.add("profiles", "none", PROFILES_EVIDENCE)
    schema.blank_line()
    schema.add("customer_properties", person)
    schema.blank_line()
    schema.add_list("events", events)
    return dump(schema.node)


def question_lines(drafted: str) -> tuple[tuple[int, str], ...]:
    """The lines on which a person has to put an answer, with their numbers."""
    document, lines = read_document(drafted, "draft"), drafted.splitlines()
    numbers = sorted({document.lines[path] for path in open_questions(document.values)})
    return tuple((number, lines[number - 1].strip()) for number in numbers)


def _add_head(schema: Block, export: Export, columns: Sequence[Column], nested: Nested) -> None:
    """Comments about the export as a whole."""
    rows = counted(max(column.rows for column in columns), "row")
    width = counted(len(export.columns), "column")
    files = Path(export.files[0]).name
    if len(export.files) > 1:
        files += f" and {len(export.files) - 1} more files"
    schema.comment(
        f"Drafted by `backfill init` from {files}: {rows}, {width}. Each guess has its evidence "
        "beside it. Read both, then run backfill check, backfill preview and backfill plan."
    )
    empty = [c.name for c in columns if not c.filled and c.place not in nested.places]
    if empty:
        schema.comment(f"Left out because they are empty: {listed(empty, 12)}.")
    if nameless := sum(not name.strip() for name in export.columns):
        schema.comment(f"Left out because they have no name: {counted(nameless, 'column')}.")
    for name, evidence in nested.evidence.items():
        schema.comment(f'"{name}": {evidence}.')
    if unreadable := [name for name in export.columns if makes_lines(name)]:
        schema.comment(
            f"Left out because [] and <n> mean lists in a schema: {', '.join(unreadable)}."
        )


def _schema_name(file: str) -> str:
    stem = Path(file).name.split(".")[0]
    return re.sub(r"[\W_]+", "-", stem).strip("-").lower() or "export"


def _null_values(columns: Sequence[Column], roles: Roles) -> list[tuple[str, int]]:
    """The words for an empty cell that have no other meaning, each with its number of cells."""
    counts: Counter[str] = Counter()
    allowed: set[str] = set(CERTAIN_NULL_WORDS)
    for column in columns:
        counts.update(column.null_words)
        if column.name in roles.times or column.all("number") or column.all("email"):
            allowed |= set(column.null_words)
    return [(word, count) for word, count in counts.most_common() if word in allowed]


def _add_source(
    schema: Block,
    types: Block,
    export: Export,
    columns: Sequence[Column],
    roles: Roles,
    found: FoundRules,
    given_zone: str | None,
) -> None:
    source, key = schema.nested(), roles.key
    passed = "".join(f"; {why}" for why in roles.choice.passed[:2])
    optional: list[YamlValue] = [
        column.name for column in columns if column.place in export.lacking
    ]
    null_values = _null_values(columns, roles)
    timezone, why_timezone = _timezone(roles, given_zone)
    rules = _row_rules(export, found)
    bare = key is None and not (timezone or optional or null_values or rules)
    comments = schema if bare else source
    if key is None:
        comments.comment(
            f"no source.order: no column tells orders apart, so each row is an order{passed}"
        )
    else:
        _add_key(source, key, roles, types, passed)
    for name, (value, why) in rules.items():
        source.add(name, value, why)
    if optional:
        source.add("optional", optional, "some files lack them")
    if null_values:
        evidence = ", ".join(f"{word} in {count:,} cells" for word, count in null_values)
        source.add(
            "null_values",
            [word for word, _ in null_values],
            f"words that mean an empty cell: {evidence}",
        )
    if timezone:
        source.add("timezone", timezone, why_timezone)
    elif why_timezone:
        comments.comment(why_timezone)
        line = "timezone: Europe/Berlin"
        comments.comment_line(f"source: {{{line}}}" if bare else line)
    if not bare:
        schema.add("source", source)
    schema.blank_line()


def _row_rules(export: Export, found: FoundRules) -> dict[str, tuple[YamlValue, str]]:
    """What is done with rows before they are mapped: keys of ``source`` with their evidence."""
    rules: dict[str, tuple[YamlValue, str]] = {}
    if any(export.skipped_lines):
        lines = str(max(export.skipped_lines))
        rules["skip_lines"] = lines, "the header is below them, as its cells and the rows' show"
    if found.drop:
        rules["drop_rows"] = found.drop, found.drop_evidence
    if found.fill:
        rules["fill_down"] = [*found.fill], found.fill_evidence
    return rules


def _add_key(source: Block, key: Key, roles: Roles, types: Block, passed: str) -> None:
    names: list[YamlValue] = [column.name for column in key.columns]
    if roles.choice.doubt:
        name = flow_text(names[0])
        why = (
            f"OPEN: {roles.choice.doubt}, so its values may not be orders: write {name} if these "
            "rows are one order (its time is then that of the first row), or a list of columns "
            f"such as [Shop, {name}] if one column does not identify an order"
        )
        source.add("order", QUESTION, why)
    else:
        order = names[0] if len(names) == 1 else names
        ruined = "".join(column.ruined for column in key.columns)
        source.add("order", order, _key_evidence(key, roles) + ruined + passed)
    for column in key.columns:
        if column.all("whole_float"):
            types.add_once(column.name, "integer", WHOLE_FLOATS)
    own: list[YamlValue] = [
        column.name for column in roles.lines if not column.is_member and "<n>" not in column.name
    ]
    if own:
        source.add("line", own, _lines_evidence(key, roles))


def _key_evidence(key: Key, roles: Roles) -> str:
    evidence = f"{key.orders:,} values in {key.rows:,} rows{'' if key.is_whole else ' of a sample'}"
    if not key.several:
        return f"{evidence}, none repeats: each row is an order"
    same = [
        column.name
        for column in (*([roles.ordered.column] if roles.ordered else []), *roles.person.identity)
        if not column.is_member and column not in key.columns
    ]
    evidence += f"; {key.several:,} repeat, {key.adjacent:,} of these in neighbouring rows"
    if same:
        most = max(key.varying.get(name, 0) for name in same)
        evidence += f"; {' and '.join(same)} {'is' if len(same) == 1 else 'are'} the same in "
        evidence += "all of them" if not most else f"{key.several - most:,} of them"
    return evidence


def _lines_evidence(key: Key, roles: Roles) -> str:
    if not key.several:
        return "by name; no order here has two rows"
    varying = [
        f"{column.name} {key.varying.get(column.name, 0):,}"
        for column in roles.lines
        if key.varying.get(column.name)
    ]
    if not varying:
        return "by name"
    return f"orders whose rows differ: {listed(varying, 6)}"


def _timezone(roles: Roles, given: str | None) -> tuple[str | None, str]:
    """The zone of times without an offset, if it is known, and the comment about it."""
    time = roles.ordered
    if time is None or not time.naive or roles.zone is not None:
        return None, ""
    if given is not None:
        return given, "from --timezone"
    if time.utc:
        return "UTC", f'"{time.column.name}": {time.utc}'
    days = " (days without a time of day begin at midnight in that zone)" if time.day_only else ""
    return None, f"{ZONE_QUESTION}{days}"


def _person(roles: Roles, types: Block) -> Block:
    person = Block(indent=2)
    for name, attribute in roles.person.attributes.items():
        person.add(name, attribute.leaf, attribute.evidence)
        if attribute.column is not None and attribute.spec is not None:
            types.add_once(attribute.column.name, attribute.spec, attribute.evidence)
    return person
