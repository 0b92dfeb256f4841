"""A schema as an object: what stands in the YAML file, checked for its shape, frozen.

All scalars of the file are text; the fields here say what each is read as.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

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


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def as_words(value: object) -> object:
    """Words that mean nothing; YAML's own, without quotes, stands for all ways to write it."""
    words = value if isinstance(value, list) else [value]
    trimmed = [word.strip() if isinstance(word, str) else word for word in words]
    return [every for word in trimmed for every in (("NULL", "null") if word is None else (word,))]


def as_leaf(value: object) -> object:
    """A bare text is a column's name, or a template where braces stand in it."""
    if isinstance(value, str):
        return {"template" if "{" in value or "}" in value else "column": value}
    return value


def as_each(value: object) -> object:
    """What stands under ``each``: a leaf, or the members of an object."""
    if isinstance(value, dict) and not any(kind in value for kind in LEAF_KINDS):
        return {"object": value}
    return as_leaf(value)


class Leaf(Part):
    """Where one value of a payload comes from; exactly one of the first seven stands."""

    column: Name | None = None
    value: Scalar | None = None
    template: Name | None = None
    sql: Name | None = None
    sum: Name | None = None
    each: "EachLeaf | None" = None
    object: "dict[Name, AnyLeaf] | None" = None
    map: dict[Scalar, Scalar] | None = None
    otherwise: Scalar | None = Field(None, alias="else")
    default: Scalar | None = None
    optional: bool = False
    take: Literal["first_name", "last_name"] | None = None
    zone: Name | None = None
    """The column that holds a time's zone, in each row its own."""
    unfit: Literal["leave_out"] | None = None
    """A cell that does not fit its type is left out and counted; its order stays."""
    as_: ColumnType | None = Field(None, alias="as")

    @classmethod
    def condition(cls, sql: str) -> Self:
        """The leaf of a ``where``."""
        return cls.model_validate({"sql": sql})

    @property
    def kind(self) -> str:
        return next(kind for kind in LEAF_KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind in LEAF_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise PydanticCustomError(
                "leaf",
                "one of {kinds} says where the value comes from; here stand {found}",
                {"kinds": ", ".join(LEAF_KINDS), "found": " and ".join(kinds) or "none"},
            )
        self._fitting_options(kinds[0])
        return self

    def _fitting_options(self, kind: str) -> None:
        given = {
            "map": self.map is not None,
            "take": self.take is not None,
            "optional": self.optional,
            "default": self.default is not None,
            "as": self.as_ is not None,
            "zone": self.zone is not None,
            "unfit": self.unfit is not None,
        }
        fitting = {
            "column": {"map", "take", "optional", "default", "as", "zone", "unfit"},
            "value": {"as"},
            "template": {"map", "default", "optional", "as", "zone", "unfit"},
            "sql": {"default", "optional", "as", "unfit"},
            "sum": {"default", "optional", "as"},
            "each": {"optional"},
            "object": {"optional"},
        }[kind]
        wrong = [option for option, stands in given.items() if stands and option not in fitting]
        if wrong:
            raise PydanticCustomError(
                "leaf",
                '"{option}" has no meaning beside "{kind}"',
                {"option": wrong[0], "kind": kind},
            )
        if self.otherwise is not None and self.map is None:
            raise PydanticCustomError("leaf", '"else" stands beside "map" only', {})


AnyLeaf = Annotated[Leaf, BeforeValidator(as_leaf, json_schema_input_type=str | Leaf)]
EachLeaf = Annotated[
    Leaf, BeforeValidator(as_each, json_schema_input_type=str | Leaf | dict[str, AnyLeaf])
]
Leaf.model_rebuild()


class Source(Part):
    """What a row is, and how files are read."""

    order: Annotated[
        tuple[Name, ...] | None, BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = Field(None, min_length=1)
    line: tuple[Name, ...] = ()
    optional: tuple[Name, ...] = ()
    """Columns, or patterns of them, that the export may lack."""
    timezone: Zone | None = None
    null_values: Annotated[
        tuple[Name, ...],
        BeforeValidator(as_words, json_schema_input_type=str | list[str | None]),
    ] = ()
    across_files: Literal["first", "last", "merge"] | None = None
    shared_identity_limit: Annotated[int, Field(ge=1)] | None = None
    """How many people may have one e-mail address, phone number or id before it is nobody's."""
    ragged: Literal["pad"] | None = None
    allow_test_domains: bool = False
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str | None = None
    skip_lines: int = Field(0, ge=0)


class Event(Part):
    event: Name
    per: Literal["order", "line"] = "order"
    time: AnyLeaf
    currency: AnyLeaf | None = None
    """Of ``$value``: its ISO 4217 code."""
    where: Name | None = None
    properties: dict[Name, AnyLeaf] = Field(default_factory=dict)

    @property
    def event_id(self) -> Leaf | None:
        return self.properties.get("$event_id")


class Schema(Part):
    name: Name
    about: str = ""
    source: Source = Source()
    columns: dict[Name, ColumnType] = Field(default_factory=dict)
    profiles: Profiles | None = None
    customer_properties: dict[Name, AnyLeaf]
    events: tuple[Event, ...] = Field(min_length=1)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The names of the identifiers that this schema maps, without ``$``, strongest first."""
        return tuple(name for name in IDENTIFIERS if f"${name}" in self.customer_properties)

    @property
    def maps_attributes(self) -> bool:
        """Does it map more of a person than the one identifier that events carry?"""
        return len(self.customer_properties) > 1


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file format, for editors."""
    found = Schema.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
