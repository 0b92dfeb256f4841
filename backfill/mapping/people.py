"""Whom an order is of: the columns of the person, and what makes an order nobody's."""

from dataclasses import dataclass, replace
from typing import Final

from backfill.event import IDENTIFIERS, hash_sql
from backfill.limits import DISCARDED_DOMAINS
from backfill.mapping.cells import quote
from backfill.mapping.leaves import LeafCompiler, json_object
from backfill.mapping.results import Fault, LeafSql
from backfill.schema.model import Schema
from backfill.schema.uses import documented, leaf_columns

_NAMES: Final = ("$first_name", "$last_name")
"""They tell people apart who have one e-mail address."""


@dataclass(frozen=True, slots=True)
class People:
    identifiers: dict[str, LeafSql]
    fields: dict[str, LeafSql]
    own: list[tuple[str, LeafSql]]

    @property
    def columns(self) -> dict[str, str]:
        """Of an event's columns, those that this schema fills."""
        found = {name: made.text for name, made in self.identifiers.items()}
        for name, made in self.fields.items():
            found[name] = made.json if name == "consent" else made.text
        if self.own:
            found["profile"] = json_object([(name, made.json) for name, made in self.own])
        return found

    @property
    def all(self) -> list[LeafSql]:
        own = [made for _, made in self.own]
        return [*self.identifiers.values(), *self.fields.values(), *own]

    @property
    def of_an_order(self) -> list[tuple[str, str]]:
        """SQL and name: what is filled, and from it who the person is."""
        there = [name for name in IDENTIFIERS if name in self.identifiers]
        whose = " ".join(f"when {name} is not null then {quote(name)}" for name in there)
        return [
            *((sql, name) for name, sql in self.columns.items()),
            (f"coalesce({', '.join([*there, 'null::varchar'])})", "who"),
            (f"case {whose or 'when false then null'} end", "whose"),
            (hash_sql("whose", "who"), "person"),
        ]

    def faults(self, schema: Schema) -> list[Fault]:
        found = [fault for made in self.all for fault in made.faults]
        if "email" in self.identifiers and not schema.source.allow_test_domains:
            domains = ", ".join(quote(domain) for domain in sorted(DISCARDED_DOMAINS))
            condition = f"coalesce(split_part(email, '@', 2) in ({domains}), false)"
            column = ", ".join(leaf_columns(schema.customer_properties["$email"]))
            found.append(Fault(condition, "test_domain", column, "order"))
        return [*found, Fault("who is null", "no_identity", "", "order")]


def people_of(schema: Schema, leaves: LeafCompiler, *, attributes: bool) -> People:
    """Without ``attributes``: who the person is, and by what name."""
    identifiers: dict[str, LeafSql] = {}
    fields: dict[str, LeafSql] = {}
    own: list[tuple[str, LeafSql]] = []
    for key, leaf in schema.customer_properties.items():
        name = key.removeprefix("$")
        told_by = key in _NAMES and schema.source.shared_identity_limit is not None
        if not (attributes or told_by or (key[0] == "$" and name in IDENTIFIERS)):
            continue
        made = leaves.compile(leaf, "order", documented(key))
        if made is None:
            continue
        if told_by and not attributes:
            made = replace(made, faults=())  # who it is matters, not what is written of them
        if key.startswith("$") and name in IDENTIFIERS:
            identifiers[name] = made
        elif key.startswith("$"):
            fields[name] = made
        else:
            own.append((key, made))
    return People(identifiers, fields, own)
