"""The draft as YAML that a person reads: each guess with its evidence beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from backfill.draft.events import events
from backfill.draft.lines import Line, Types, rendered
from backfill.draft.nested import Nested
from backfill.draft.orders import Key
from backfill.draft.roles import Roles
from backfill.draft.times import OPEN
from backfill.draft.yaml import text


@dataclass(frozen=True, slots=True)
class Facts:
    """What the head of a draft tells."""

    name: str
    files: str
    rows: int
    columns: int
    optional: tuple[str, ...]
    null_values: tuple[tuple[str, int], ...]
    timezone: str | None
    empty: tuple[str, ...]
    nameless: int
    about: tuple[str, ...] = ()
    """Further sentences; a line that begins with NUL stands as it is."""


def draft_text(roles: Roles, nested: Nested, facts: Facts) -> str:
    types = Types()
    for name, spec in nested.types.items():
        types.specs[name] = (spec, nested.told.get(name, ""))
    person = list(_person(roles, types))
    happened = list(events(roles, types))
    lines = [
        *_head(nested, facts),
        *_source(roles, facts, types),
        *_columns(types),
        Line("profiles: none", _PROFILES),
        Line(""),
        Line("customer_properties:"),
        *person,
        Line(""),
        Line("events:"),
        *happened,
    ]
    return "".join(f"{row}\n" for line in lines for row in rendered(line))


_PROFILES: Final = (
    "the safe one, for an account in use: old orders write nothing about people but who they are; "
    "newest, for a new account: each person's newest order does"
)


def _head(nested: Nested, facts: Facts) -> Iterator[Line]:
    rows = f"{facts.rows:,} row{'' if facts.rows == 1 else 's'}"
    columns = f"{facts.columns:,} column{'' if facts.columns == 1 else 's'}"
    yield Line(
        "",
        f"Drafted by `backfill init` from {facts.files}: {rows}, {columns}. Beside each guess "
        f"stands "
        "what speaks for it. Look through it, then: backfill check, backfill preview, backfill "
        "plan.",
    )
    if facts.empty:
        named = ", ".join(facts.empty[:12]) + (" …" if len(facts.empty) > 12 else "")  # noqa: PLR2004
        yield Line("", f"Left out, for they are empty throughout: {named}.")
    if facts.nameless:
        yield Line("", f"Left out, for the header does not name them: {facts.nameless} columns.")
    for name, told in nested.told.items():
        yield Line("", f'"{name}": {told}.')
    for sentence in facts.about:
        verbatim = sentence.startswith("\0")
        yield Line(f"# {sentence[1:]}" if verbatim else "", "" if verbatim else sentence)
    yield Line(f"name: {text(facts.name)}")
    yield Line("")


def _source(roles: Roles, facts: Facts, types: Types) -> Iterator[Line]:
    body = list(_source_lines(roles, facts, types))
    if any(line.text.strip() and "#" not in line.text[:3] for line in body):
        yield from [Line("source:"), *body]
    else:  # nothing but comments
        for line in body:
            bare = line.text.strip()
            yield Line(bare.replace("# ", "# source: {", 1) + "}" if bare else "", line.why)
    yield Line("")


def _source_lines(roles: Roles, facts: Facts, types: Types) -> Iterator[Line]:
    key = roles.key
    passed = "".join(f"; {why}" for why in roles.choice.passed[:2])
    if key is None:
        why = "no source.order: no column tells orders apart, so each row is an order"
        yield Line("  ", why + passed)
    else:
        yield _order(key, roles, passed)
        for column in key.columns:
            if column.share("doubles") == 1:
                types.add(column, "integer", "each ends in .0, which integer takes off")
            if ruined := column.fits.get("ruined", 0):
                types.add(column, None, f"{ruined:,} were ruined by a spreadsheet")
    own = [column.name for column in roles.lines if column.place >= 0 and "<n>" not in column.name]
    if key is not None and own:
        yield Line(f"  line: [{', '.join(map(text, own))}]", _lines_told(roles))
    if facts.optional:
        yield Line(
            f"  optional: [{', '.join(map(text, facts.optional))}]", "not in every one of the files"
        )
    if facts.null_values:
        words = ", ".join(text(word) for word, _ in facts.null_values)
        told = ", ".join(f"{word} in {count:,} cells" for word, count in facts.null_values)
        yield Line(f"  null_values: [{words}]", f"words for nothing: {told}")
    yield from _zone(roles, facts)


def _order(key: Key, roles: Roles, passed: str) -> Line:
    names = [column.name for column in key.columns]
    if roles.choice.doubt:
        name = text(names[0])
        why = (
            f"OPEN: {roles.choice.doubt}, so it may be no order's: write {name} where these rows "
            "are one order (the first one's time is the order's then), a list of columns such as "
            f"[Shop, {name}] where a number alone tells no order"
        )
        return Line(f"  order: {OPEN}", why)
    order = text(names[0]) if len(names) == 1 else f"[{', '.join(map(text, names))}]"
    return Line(f"  order: {order}", _key_told(roles) + passed)


def _key_told(roles: Roles) -> str:
    key = roles.key
    if key is None:
        return ""
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


def _lines_told(roles: Roles) -> str:
    key = roles.key
    if key is None or not key.several:
        return "by their names; no order here has two rows"
    told = [
        f"{column.name} {key.varying.get(column.name, 0):,}"
        for column in roles.lines
        if key.varying.get(column.name)
    ]
    if not told:
        return "by their names"
    return f"orders in whose rows they differ: {', '.join(told[:6])}{' …' if len(told) > 6 else ''}"  # noqa: PLR2004


def _zone(roles: Roles, facts: Facts) -> Iterator[Line]:
    time = roles.ordered
    if time is None or not time.naive or roles.zone is not None:
        return
    if facts.timezone is not None:
        yield Line(f"  timezone: {text(facts.timezone)}", "as --timezone said")
    elif time.utc:
        yield Line("  timezone: UTC", f'"{time.column.name}": {time.utc}')
    else:
        days = " (days without a clock: they begin at midnight there)" if time.day_only else ""
        yield Line(
            "  # timezone: Europe/Berlin",
            f"OPEN: the times carry no offset{days}, and nothing in the export says in which zone "
            "the shop's clock is: put it here, or say --timezone when you plan and run",
        )


def _columns(types: Types) -> Iterator[Line]:
    if not types.specs:
        return
    yield Line("columns:")
    for name, (spec, why) in types.specs.items():
        yield Line(f"  {text(name)}: {spec}", why)
    yield Line("")


def _person(roles: Roles, types: Types) -> Iterator[Line]:
    for name, mapped in roles.person.properties.items():
        yield Line(f"  {name}: {mapped.leaf}", mapped.evidence)
        if mapped.spec is not None:
            types.add(mapped.columns[0], mapped.spec, mapped.evidence)


def open_lines(drafted: str) -> tuple[tuple[int, str], ...]:
    """The lines on which a person has to put an answer."""
    return tuple(
        (number, line.strip())
        for number, line in enumerate(drafted.splitlines(), 1)
        if OPEN in line and not line.lstrip().startswith("#")
    )
