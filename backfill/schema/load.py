"""A YAML file becomes a Schema, or all its problems at once."""

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from backfill.errors import Problem, SchemaError, UsageError
from backfill.schema.checks import check
from backfill.schema.document import Document, Place, Plain, read_document
from backfill.schema.model import Event, Leaf, Schema, Source
from backfill.schema.shipped import nearest, path_of
from backfill.schema.suggest import did_you_mean


class LoadedSchema:
    """A schema together with the places of its parts, for problems that an export brings up."""

    def __init__(self, schema: Schema, document: Document) -> None:
        self.schema = schema
        self._document = document

    def __repr__(self) -> str:
        return f"<schema {self.schema.name} of {self._document.file}>"

    def with_schema(self, schema: Schema) -> "LoadedSchema":
        """A changed copy, whose problems stand at the same places."""
        return LoadedSchema(schema, self._document)

    def problem(self, path: Place, text: str) -> Problem:
        return Problem(self._document.place(path), text)


def load_schema(source: str | Path) -> LoadedSchema:
    """Reads a schema from a file, or from YAML text where ``source`` has a line break.

    Where there is no such file, the name of a schema that comes with the package does.
    Raises SchemaError with every problem of the file, UsageError where there is no such file.
    """
    if isinstance(source, str) and "\n" in source:
        return _load(source, "schema")
    return _load(_text_of(_shipped(source) or source), str(source))


MAX_BYTES: Final = 1_000_000
"""A hundred times a long schema; YAML is read at some 200,000 bytes a second."""


OPEN: Final = 'open question: put the answer where "?" stands'


def questions(values: Plain, path: Place = ()) -> Iterator[Place]:
    """The places of ``?``, which ``backfill init`` writes where an export does not tell."""
    match values:
        case "?":
            yield path
        case dict():
            for key, value in values.items():
                yield from questions(value, (*path, key))
        case list():
            for at, value in enumerate(values):
                yield from questions(value, (*path, at))


def _shipped(source: str | Path) -> Path | None:
    """The file of the shipped schema that is meant; a folder of that name hides none."""
    found = path_of(str(source))
    return None if found is None or Path(source).is_file() else found


def _unknown(source: str | Path) -> str:
    """What to say beside a name that no file has."""
    near = nearest(str(source))
    if not near:
        return "; backfill schemas lists those that come along"
    return f"; of those that come along, did you mean {' or '.join(near)}?"


def _text_of(source: str | Path) -> str:
    try:
        if not Path(source).is_file():
            Path(source).stat()  # says why, where there is nothing
            raise UsageError(f"the schema {source} cannot be read: it is no regular file")
        with Path(source).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(
                f"the schema {source} cannot be read: it is over 1 MB, and a schema has some "
                "kilobytes; is it the export?"
            )
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        why = f"{error.strerror}{_unknown(source)}"
        raise UsageError(f"the schema {source} cannot be read: {why}") from error
    except OSError as error:
        raise UsageError(f"the schema {source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is no UTF-8 text; save it as UTF-8"
        raise UsageError(f"the schema {source} cannot be read: {reason}") from error
    except ValueError as error:
        raise UsageError("the schema's name holds a NUL byte, and no file's name does") from error


def _load(text: str, file: str) -> LoadedSchema:
    document = read_document(text, file)
    open_ = {path: Problem(document.place(path), OPEN) for path in questions(document.values)}
    schema: Schema | None
    try:
        schema = Schema.model_validate(document.values)
        broken: dict[Place, Problem] = {}
    except ValidationError as error:
        schema, broken = _rest(document, error)
    known = {
        path: why
        for path, why in broken.items()
        if not any(_related(path, other) for other in open_)
    }
    broken = open_ | known
    problems = list(broken.values())
    for path, why in check(schema) if schema else ():
        if not any(_related(path, other) for other in broken):
            problems.append(Problem(document.place(path), why))
    if problems or schema is None:
        raise SchemaError(_in_order(problems))
    return LoadedSchema(schema, document)


def _rest(document: Document, error: ValidationError) -> tuple[Schema | None, dict[Place, Problem]]:
    """The schema without the parts whose shape is wrong, so that the rest is checked too."""
    values = copy.deepcopy(document.values)
    broken: dict[Place, Problem] = {}
    while True:
        found = _shape_problems(error, document)
        known = tuple(broken)  # what is found now may follow from what was taken out
        broken |= {
            path: problem
            for path, problem in found.items()
            if not any(_related(path, other) for other in known)
        }
        mended = [_prune(values, path) or _fill(values, path) for path in found]
        if not all(mended):
            return None, broken
        try:
            return Schema.model_validate(values), broken
        except ValidationError as next_error:
            error = next_error


def _prune(values: Plain, path: Place) -> bool:
    """Take out what stands at ``path``; False where nothing does (a missing key)."""
    parent: dict[str, Plain] | None = None
    node, last = values, ""
    for part in path:
        if isinstance(node, dict) and part in node:
            parent, last = node, str(part)
            node = node[last]
        elif isinstance(node, list) and isinstance(part, int):
            parent, node = None, node[part]
    if parent is None:
        return False
    del parent[last]
    return True


PLACEHOLDERS: Final[dict[str | int, Plain]] = {
    "name": "-",
    "customer_properties": {"$id": {"value": "-"}},
    "event": "-",
    "time": {"value": "2000-01-01T00:00:00Z"},
}
"""What stands for a required key that is missing, so that the rest is checked."""


def _fill(values: Plain, path: Place) -> bool:
    """Put something where a required key is missing; False where nothing is known for it."""
    node = values
    for part in path[:-1]:
        if isinstance(node, dict):
            node = node.get(str(part))
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
    if not isinstance(node, dict) or path[-1] not in PLACEHOLDERS:
        return False
    node[str(path[-1])] = PLACEHOLDERS[path[-1]]
    return True


def _related(one: Place, other: Place) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    once = dict.fromkeys(problems)
    return sorted(once, key=lambda problem: problem.line)


def _shape_problems(error: ValidationError, document: Document) -> dict[Place, Problem]:
    problems: dict[Place, Problem] = {}
    for found in error.errors(include_url=False):
        path = tuple(found["loc"])
        problems.setdefault(path, Problem(document.place(path), _sentence(found, path)))
    # a list whose parts are wrong counts as too short: the parts say it better
    inner = [path[:at] for path in problems for at in range(len(path))]
    return {path: problem for path, problem in problems.items() if path not in inner}


def _sentence(found: Any, path: Place) -> str:
    name = path[-1] if path else ""
    match found["type"]:
        case "extra_forbidden":
            known = _known(path)
            hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
            return f'unknown key "{name}"{hint}'
        case "missing":
            return f'"{name}" is missing'
        case "literal_error":
            return f'"{name}" is one of {found["ctx"]["expected"]}'
        case "string_type" | "model_type" | "dict_type" | "tuple_type" | "model_attributes_type":
            wanted = {"string_type": "a text", "tuple_type": "a list"}
            kind = wanted.get(found["type"], "a mapping")
            return f'"{name}" is {kind}, and nothing such stands here'
        case "too_short" | "string_too_short":
            return f'"{name}" is empty'
        case "string_too_long":
            return f'"{name}" is a single character'
        case "bool_parsing" | "bool_type":
            return f'"{name}" is true or false'
        case "int_parsing" | "int_type" | "greater_than_equal":
            return f'"{name}" is a whole number, 0 or more'
        case _:
            return str(found["msg"]).removeprefix("Value error, ")


def _known(path: Place) -> list[str]:
    """The keys that can stand where an unknown one was found."""
    model: type[BaseModel]
    match path:
        case (_,):
            model = Schema
        case ("source", _):
            model = Source
        case ("events", _, _):
            model = Event
        case _:
            model = Leaf
    return [field.alias or name for name, field in model.model_fields.items()]
