"""The order's customer: the columns that say who it is, and what makes an order nobody's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from backfill.event import IDENTIFIERS, hash_sql
from backfill.limits import DISCARDED_DOMAINS
from backfill.mapping.computed import LeafSql
from backfill.mapping.faults import Fault
from backfill.mapping.leaves import LeafCompiler
from backfill.mapping.query import NULL, Query, Sql, Stage, case, coalesce, join, quote, sql
from backfill.mapping.values import json_object
from backfill.schema.column_uses import documented_field, leaf_columns
from backfill.schema.model import Schema

NULL_WORDS: Final = ("null", "(null)", "none", "nan", "n/a", "undefined")
"""In small letters. ``plan`` reports them in every column."""

_NAMES: Final = ("$first_name", "$last_name")
"""They tell people with one e-mail address apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The customer of each order, as columns of ``Stage.JUDGED``."""

    columns: Mapping[str, Sql]
    """The event's columns that the schema fills: identifiers, profile fields, own properties."""
    identifier: Sql
    """The identifier that events carry."""
    identifier_name: Sql
    """Its name: email, phone_number or id."""
    key: Sql
    """The person's hash."""
    faults: tuple[Fault, ...]

    @property
    def all(self) -> tuple[Sql, ...]:
        return (*self.columns.values(), self.identifier, self.identifier_name, self.key)


def compile_person(
    schema: Schema, leaves: LeafCompiler, query: Query, *, attributes: bool
) -> Person:
    """The customer of a schema's orders.

    Args:
        schema: has the ``customer_properties``.
        leaves: compiles them.
        query: gets the columns.
        attributes: can events carry a person's attributes? If not, only identifiers are compiled,
            and names where the schema limits how many people share an identifier.
    """

    def column(name: str, expression: Sql) -> Sql:
        return query.named(expression, Stage.JUDGED, name)

    compiled = dict(_compiled(schema, leaves, attributes=attributes))
    texts: dict[str, Sql] = {}
    own: dict[str, Sql] = {}
    for key, leaf in compiled.items():
        if key.startswith("$"):
            name = key.removeprefix("$")
            text = leaf.json if key == "$consent" else leaf.text
            texts[name] = text if name in IDENTIFIERS else _without_null_word(text)
        else:
            own[key] = leaf.json
    if own:
        texts["profile"] = json_object(own)
    columns = {name: column(name, text) for name, text in texts.items()}
    found = {name: columns[name] for name in IDENTIFIERS if name in columns}
    identifier = column("identifier", coalesce(*found.values(), NULL))
    arms = [(sql("$it is not null", it=it), quote(name)) for name, it in found.items()]
    identifier_name = column("identifier_name", case(arms))
    hashed = hash_sql(identifier_name.text, identifier.text)
    key_of_person = column("person", Sql(hashed, (*identifier_name.uses, *identifier.uses)))
    faults = [fault for leaf in compiled.values() for fault in leaf.faults]
    if "email" in columns and not schema.source.allow_test_domains:
        faults.append(_test_domain_fault(schema, columns["email"]))
    faults.append(Fault(sql("$it is null", it=identifier), "no_identity", ""))
    return Person(
        columns=columns,
        identifier=identifier,
        identifier_name=identifier_name,
        key=key_of_person,
        faults=tuple(faults),
    )


def _compiled(schema: Schema, leaves: LeafCompiler, *, attributes: bool) -> dict[str, LeafSql]:
    """The properties that are needed: identifiers, then profile fields, then the shop's own."""
    found: dict[str, LeafSql] = {}
    for key, leaf in schema.customer_properties.items():
        is_identifier = key.startswith("$") and key.removeprefix("$") in IDENTIFIERS
        tells_apart = key in _NAMES and schema.source.shared_identity_limit is not None
        if not (attributes or is_identifier or tells_apart):
            continue
        compiled = leaves.compile(leaf, documented_field(key))
        if compiled is None:
            continue
        if not attributes and not is_identifier:
            compiled = replace(compiled, faults=())  # no event carries the name
        found[key] = compiled
    return dict(sorted(found.items(), key=lambda pair: _rank(pair[0])))


def _without_null_word(text: Sql) -> Sql:
    """The text, NULL for a word that a program wrote for nothing: no city is called undefined."""
    words = join(", ", map(quote, NULL_WORDS))
    return sql("case when lower($it) not in ($words) then $it end", it=text, words=words)


def _rank(key: str) -> int:
    if not key.startswith("$"):
        return 2
    return 0 if key.removeprefix("$") in IDENTIFIERS else 1


def _test_domain_fault(schema: Schema, email: Sql) -> Fault:
    domains = join(", ", map(quote, sorted(DISCARDED_DOMAINS)))
    found = "coalesce(split_part($email, '@', 2) in ($domains), false)"
    column = ", ".join(leaf_columns(schema.customer_properties["$email"]))
    return Fault(sql(found, email=email, domains=domains), "test_domain", column)
