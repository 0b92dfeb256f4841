"""The schema file as an object: its keys, their shapes, and what each means.

The JSON Schema for editors takes its descriptions from the docstrings here. All scalars of the file
are text; the type of a field is what its text is read as.
"""

import itertools
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backfill.event import IDENTIFIERS
from backfill.schema.types import ColumnType, Zone


def as_text(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


Scalar = Annotated[str, BeforeValidator(as_text, json_schema_input_type=str | int | float | bool)]
Name = Annotated[Scalar, Field(min_length=1)]
Profiles = Literal["newest", "none", "every"]

LEAF_KINDS: Final = ("column", "value", "template", "sql", "sum", "each", "object")

_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "column": ("map", "take", "optional", "default", "as", "zone", "unfit"),
    "value": ("as",),
    "template": ("map", "optional", "default", "as", "zone", "unfit"),
    "sql": ("optional", "default", "as", "unfit"),
    "sum": ("where", "optional", "default", "as"),
    "each": ("where", "optional"),
    "object": ("optional",),
}
"""The options that each kind of leaf takes."""


class Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )


def as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def as_words(value: object) -> object:
    """The words of ``null_values``; YAML's null, without quotes, means both its spellings."""
    words = value if isinstance(value, list) else [value]
    trimmed = [word.strip() if isinstance(word, str) else word for word in words]
    return [every for word in trimmed for every in (("NULL", "null") if word is None else (word,))]


def as_leaf(value: object) -> object:
    """A text on its own is a column's name, or a template where it has braces."""
    if isinstance(value, str):
        return {"template" if "{" in value or "}" in value else "column": value}
    return value


def as_each(value: object) -> object:
    """The value of ``each``: a leaf, or the members of an object."""
    if isinstance(value, dict) and not any(kind in value for kind in LEAF_KINDS):
        return {"object": value}
    return as_leaf(value)


class Leaf(Part):
    """Where one value of a payload comes from.

    Exactly one of column, value, template, sql, sum, each and object is given; the other keys are
    options.
    """

    column: Name | None = None
    """The column whose cell is the value."""
    value: Scalar | None = None
    """A constant."""
    template: Name | None = None
    """A text with columns in braces: "{Order}-{SKU}". {line} is the row's number in its order,
    {file} the file's name, {{ a brace.
    """
    sql: Name | None = None
    """One SQL expression over columns (DuckDB's). Names with blanks need double quotes."""
    sum: Name | None = None
    """One SQL expression over columns, added up over the order's lines."""
    each: "EachLeaf | None" = None
    """A list with a value for each line of the order: of a leaf, or of an object's members."""
    object: "dict[Name, AnyLeaf] | None" = None
    """An object: its members by name."""
    where: Name | None = None
    """One SQL condition beside ``sum`` or ``each``: the lines for which it is true count. Where it
    is neither true nor false, the order becomes a reject.
    """
    map: dict[Scalar, Scalar] | None = None
    """The values that replace the cell's texts. Another text makes the order a reject, unless
    ``else`` is given.
    """
    otherwise: Scalar | None = Field(None, alias="else")
    """The value for texts that are not in ``map``."""
    default: Scalar | None = None
    """The value for an empty cell; in a sum, for a line without a value, and for an order of which
    no line counts.
    """
    optional: bool = False
    """Whether the export may lack the column: the value is left out then."""
    take: Literal["first_name", "last_name"] | None = None
    """The part of a person's whole name that is taken."""
    zone: Name | None = None
    """The column that holds the time zone of each row's time."""
    unfit: Literal["leave_out"] | None = None
    """What to do with a cell that does not fit its type: leave_out leaves it out and counts it.
    Without it, the order becomes a reject.
    """
    as_: ColumnType | None = Field(None, alias="as")
    """The type that the value is read as, instead of the column's."""

    @classmethod
    def condition(cls, sql: str, *, optional: bool = False) -> Self:
        """The leaf of a ``where``.

        Args:
            sql: the condition.
            optional: whether the export may lack its columns.
        """
        return cls.model_validate({"sql": sql, "optional": optional})

    @property
    def kind(self) -> str:
        return next(kind for kind in LEAF_KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        kinds = [kind for kind in LEAF_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"exactly one of {', '.join(LEAF_KINDS)} says where a value comes from; "
                f"here it is {' and '.join(kinds) or 'none'}"
            )
        for option in dict.fromkeys(itertools.chain(*_OPTIONS.values())):
            value = getattr(self, "as_" if option == "as" else option)
            if value not in (None, False) and option not in _OPTIONS[kinds[0]]:
                raise ValueError(f'"{option}" has no meaning beside "{kinds[0]}"')
        if self.otherwise is not None and self.map is None:
            raise ValueError('"else" has a meaning beside "map" only')
        return self


AnyLeaf = Annotated[Leaf, BeforeValidator(as_leaf, json_schema_input_type=str | Leaf)]
EachLeaf = Annotated[
    Leaf, BeforeValidator(as_each, json_schema_input_type=str | Leaf | dict[str, AnyLeaf])
]
Leaf.model_rebuild()


class Source(Part):
    """The export: its orders, its lines and its files."""

    order: Annotated[
        tuple[Name, ...] | None, BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = Field(None, min_length=1)
    """The column, or columns, whose values tell orders apart. Without it, each row is an order."""
    line: tuple[Name, ...] = ()
    """The columns that belong to a row and not to its order; patterns such as "Lineitem *"."""
    fill_down: tuple[Name, ...] = ()
    """The columns that stand on an order's first row alone, as names or patterns: an empty cell is
    that of the row above, if both rows are of one order.
    """
    drop_rows: Name | None = None
    """One SQL condition: rows for which it is true are no rows of the export, such as a footer. It
    reads each cell as a text.
    """
    optional: tuple[Name, ...] = ()
    """The columns that the export may lack, as names or patterns: they are empty then."""
    timezone: Zone | None = None
    """The IANA time zone of times without an offset."""
    null_values: Annotated[
        tuple[Name, ...],
        BeforeValidator(as_words, json_schema_input_type=str | list[str | None]),
    ] = ()
    """The words that mean an empty cell, such as NA or "-"."""
    across_files: Literal["first", "last", "merge"] | None = None
    """Which file to trust where an order is in several files that disagree: the first, the last, or
    the lines of all. Without it, such an order is a reject.
    """
    shared_identity_limit: Annotated[int, Field(ge=1)] | None = None
    """The number of people who may share an e-mail address, phone number or id. If more do, it
    identifies nobody, and their orders are rejects.
    """
    ragged: Literal["pad"] | None = None
    """pad fills a short row with empty cells. Without it, the row's order is a reject."""
    last_line: Literal["whole"] | None = None
    """whole says that a CSV file's last line is whole, also if it has no line end. Without it, the
    order on such a line waits if earlier files of this schema ended theirs.
    """
    allow_test_domains: bool = False
    """Whether addresses of domains for tests, such as example.com, are sent."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """The character between a CSV file's cells. It is detected where it is not given."""
    encoding: str | None = None
    """The CSV file's encoding. It is detected where it is not given."""
    skip_lines: int = Field(0, ge=0)
    """The number of lines before the CSV file's header."""


class Event(Part):
    """One metric's event of each order, or of each line."""

    event: Name
    """The metric's name in Klaviyo."""
    per: Literal["order", "line"] = "order"
    """Whether each order makes one event, or each line of it."""
    time: AnyLeaf
    """When the event happened."""
    currency: AnyLeaf | None = None
    """The ISO 4217 code of $value's currency."""
    where: Name | None = None
    """One SQL condition. Orders or lines for which it is not true make no event."""
    refunds: Literal["once", "each", "difference"] = "once"
    """How an order's refunds become events where later exports show more of them. once: one event,
    as it is when it is delivered. each: the export has a row for each refund, and $event_id its id.
    difference: $value is the sum of all refunds; an event is worth what earlier ones were not, and
    its id ends in the sum.
    """
    properties: dict[Name, AnyLeaf] = Field(default_factory=dict)
    """The event's properties, with $event_id and $value."""

    @property
    def event_id(self) -> Leaf | None:
        return self.properties.get("$event_id")


class Schema(Part):
    """How an export of orders becomes Klaviyo events."""

    name: Name
    """A name for this schema."""
    about: str = ""
    """A sentence about the export that it is for."""
    source: Source = Source()
    """How the export's rows make orders, and how its files are read."""
    columns: dict[Name, ColumnType] = Field(default_factory=dict)
    """The types of the columns that are not text."""
    profiles: Profiles | None = None
    """Which events write a person's attributes: only each person's newest one, none, or every one.
    """
    customer_properties: dict[Name, AnyLeaf]
    """The person's identifiers ($email, $phone_number, $id) and attributes."""
    events: tuple[Event, ...] = Field(min_length=1)
    """The events that the orders make."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The names of the identifiers that this schema maps, without ``$``, strongest first."""
        return tuple(name for name in IDENTIFIERS if f"${name}" in self.customer_properties)

    @property
    def has_refund_sums(self) -> bool:
        """Is an event worth the difference between two sums of refunds?"""
        return any(event.refunds == "difference" for event in self.events)

    @property
    def maps_attributes(self) -> bool:
        """Does it map more of a person than the one identifier that events carry?"""
        return len(self.customer_properties) > 1


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file format, for editors."""
    found = Schema.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
