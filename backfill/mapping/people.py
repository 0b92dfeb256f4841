"""The order's customer: the columns that say who it is, and what makes an order nobody's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from backfill.event import IDENTIFIERS, hash_sql
from backfill.limits import DISCARDED_DOMAINS
from backfill.mapping.computed import LeafSql
from backfill.mapping.faults import Fault
from backfill.mapping.leaves import LeafCompiler, json_object
from backfill.mapping.query import NULL, Query, Sql, Stage, join, quote, sql
from backfill.schema.model import Schema
from backfill.schema.uses import documented_field, leaf_columns

_NAMES: Final = ("$first_name", "$last_name")
"""They tell people apart who have one e-mail address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The customer of each order, as columns of ``Stage.JUDGED``."""

    columns: Mapping[str, Sql]
    """Of an event's columns, those that the schema fills: identifiers, fields, own properties."""
    who: Sql
    """The identifier that events carry."""
    whose: Sql
    """Its name: email, phone_number or id."""
    key: Sql
    """The person's hash."""
    faults: tuple[Fault, ...]

    @property
    def all(self) -> tuple[Sql, ...]:
        return (*self.columns.values(), self.who, self.whose, self.key)


def compile_person(
    schema: Schema, leaves: LeafCompiler, query: Query, *, attributes: bool
) -> Person:
    """The customer of a schema's orders.

    Args:
        schema: whose ``customer_properties`` say it.
        leaves: compiles them.
        query: gets the columns.
        attributes: can events carry a person's attributes? Without, only identifiers and, where
            the schema limits how many people share one, names are compiled.
    """
    made = dict(_compiled(schema, leaves, attributes=attributes))
    texts: dict[str, Sql] = {}
    own: dict[str, Sql] = {}
    for key, leaf in made.items():
        if key.startswith("$"):
            texts[key.removeprefix("$")] = leaf.json if key == "$consent" else leaf.text
        else:
            own[key] = leaf.json
    if own:
        texts["profile"] = json_object(own)
    columns = {name: query.named(text, Stage.JUDGED, name) for name, text in texts.items()}
    there = {name: columns[name] for name in IDENTIFIERS if name in columns}
    who = query.named(
        sql("coalesce($them)", them=join(", ", [*there.values(), NULL])), Stage.JUDGED, "who"
    )
    arms = [
        sql("when $it is not null then $name", it=it, name=quote(name))
        for name, it in there.items()
    ]
    whose = query.named(
        sql("case $arms end", arms=join(" ", arms or [Sql("when false then null")])),
        Stage.JUDGED,
        "whose",
    )
    person = query.named(
        Sql(hash_sql(whose.text, who.text), (*whose.uses, *who.uses)), Stage.JUDGED, "person"
    )
    faults = [fault for leaf in made.values() for fault in leaf.faults]
    if "email" in columns and not schema.source.allow_test_domains:
        faults.append(_test_domain(schema, columns["email"]))
    faults.append(Fault(sql("$who is null", who=who), "no_identity", ""))
    return Person(columns=columns, who=who, whose=whose, key=person, faults=tuple(faults))


def _compiled(schema: Schema, leaves: LeafCompiler, *, attributes: bool) -> dict[str, LeafSql]:
    """The customer's properties that are wanted: identifiers, then fields, then own ones."""
    found: dict[str, LeafSql] = {}
    for key, leaf in schema.customer_properties.items():
        is_identifier = key.startswith("$") and key.removeprefix("$") in IDENTIFIERS
        tells_apart = key in _NAMES and schema.source.shared_identity_limit is not None
        if not (attributes or is_identifier or tells_apart):
            continue
        made = leaves.compile(leaf, documented_field(key))
        if made is None:
            continue
        if not attributes and not is_identifier:
            made = replace(made, faults=())  # no event carries the name
        found[key] = made
    return dict(sorted(found.items(), key=lambda pair: _rank(pair[0])))


def _rank(key: str) -> int:
    if not key.startswith("$"):
        return 2
    return 0 if key.removeprefix("$") in IDENTIFIERS else 1


def _test_domain(schema: Schema, email: Sql) -> Fault:
    domains = join(", ", map(quote, sorted(DISCARDED_DOMAINS)))
    condition = sql(
        "coalesce(split_part($email, '@', 2) in ($domains), false)", email=email, domains=domains
    )
    column = ", ".join(leaf_columns(schema.customer_properties["$email"]))
    return Fault(condition, "test_domain", column)
