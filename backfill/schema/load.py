"""Load a schema from a YAML file, or raise all its problems at once."""

import copy
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from backfill.errors import Problem, SchemaError, UsageError
from backfill.schema.checks import check_schema
from backfill.schema.column_uses import uses
from backfill.schema.document import Document, KeyPath, YamlValue, read_document
from backfill.schema.model import Event, Leaf, Schema, Source
from backfill.schema.shipped import nearest, paths
from backfill.schema.suggest import did_you_mean

MAX_BYTES: Final = 1_000_000
"""A hundred times a long schema; YAML is read at some 200,000 bytes a second."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSchema:
    """A schema with the lines of its parts, so that an export's problems can name them."""

    schema: Schema
    _document: Document

    def __repr__(self) -> str:
        return f"<schema {self.schema.name} of {self._document.file}>"

    def problem(self, path: KeyPath, text: str) -> Problem:
        """A problem of the value at ``path`` in the file."""
        return Problem(self._document.place(path), text)


def load_schema(source: str | Path) -> LoadedSchema:
    """Load a schema.

    Args:
        source: a YAML file; the name of a shipped schema, where no file has that name; or YAML
            text, which has a line break.

    Raises:
        SchemaError: the schema has problems; the error holds all of them.
        UsageError: there is no such file, or it cannot be read.
    """
    if isinstance(source, str) and "\n" in source:
        return _load(source, "schema")
    return _load(_read_file(_shipped_file(source) or source), str(source))


def open_questions(values: YamlValue, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The places of ``?``, which ``backfill init`` writes where the answer is open."""
    match values:
        case "?":
            yield path
        case dict():
            for key, value in values.items():
                yield from open_questions(value, (*path, key))
        case list():
            for at, value in enumerate(values):
                yield from open_questions(value, (*path, at))


def _shipped_file(source: str | Path) -> Path | None:
    """The file of a shipped schema; None where a file of the user has that name."""
    found = paths().get(str(source))
    return None if found is None or Path(source).is_file() else found


def _suggestion(source: str | Path) -> str:
    """What to write instead of a name that no file has."""
    near = nearest(str(source))
    if not near:
        return "; `backfill schemas` lists the shipped ones"
    return f"; of the shipped ones, did you mean {' or '.join(near)}?"


def _read_file(source: str | Path) -> str:
    try:
        if not Path(source).is_file():
            Path(source).stat()  # raises the reason where there is no file
            raise UsageError(f"the schema {source} cannot be read: it is not a regular file")
        with Path(source).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(
                f"the schema {source} cannot be read: it is over 1 MB, and a schema has some "
                "kilobytes; is it the export?"
            )
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        reason = f"{error.strerror}{_suggestion(source)}"
        raise UsageError(f"the schema {source} cannot be read: {reason}") from error
    except OSError as error:
        raise UsageError(f"the schema {source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is not UTF-8 text; save it as UTF-8"
        raise UsageError(f"the schema {source} cannot be read: {reason}") from error
    except ValueError as error:
        raise UsageError("the schema's name holds a NUL byte, and no file's name does") from error


def _load(text: str, file: str) -> LoadedSchema:
    document = read_document(text, file)
    problems = {
        path: Problem(document.place(path), 'open question: replace "?" with the answer')
        for path in open_questions(document.values)
    }
    schema: Schema | None
    try:
        schema = Schema.model_validate(document.values)
    except ValidationError as error:
        schema, broken = _without_broken_parts(document, error)
        problems |= _unrelated(broken, problems)
    untyped = _untyped_columns(schema, problems) if schema else ()
    found = list(problems.values())
    found += [
        Problem(document.place(path), sentence)
        for path, sentence in (check_schema(schema, untyped) if schema else ())
        if not _is_related(path, problems)
    ]
    if found or schema is None:
        raise SchemaError(sorted(dict.fromkeys(found), key=lambda problem: problem.line))
    return LoadedSchema(schema, document)


def _untyped_columns(schema: Schema, problems: Iterable[KeyPath]) -> frozenset[str]:
    """The columns whose types are among the problems: all that it uses, if ``columns`` is."""
    own = {str(path[1]) for path in problems if path[0] == "columns" and len(path) > 1}
    whole = {str(path[0]) for path in problems if len(path) == 1}
    if not schema.columns and any(did_you_mean(key, ["columns"]) for key in whole):
        return frozenset(name for use in uses(schema) for name in use.columns)
    return frozenset(own)


def _without_broken_parts(
    document: Document, error: ValidationError
) -> tuple[Schema | None, dict[KeyPath, Problem]]:
    """The schema without the parts of wrong shape, so that the rest is checked too.

    Returns:
        The schema, None where no such rest is a schema; and the problems of the broken parts.
    """
    values = copy.deepcopy(document.values)
    broken: dict[KeyPath, Problem] = {}
    while True:
        found = _shape_problems(error, document)
        # a later problem may follow from a part that was taken out
        broken |= _unrelated(found, broken)
        if not all(_repair(values, path) for path in found):
            return None, broken
        try:
            return Schema.model_validate(values), broken
        except ValidationError as next_error:
            error = next_error


PLACEHOLDERS: Final[dict[str | int, YamlValue]] = {
    "name": "-",
    "customer_properties": {"$id": {"value": "-"}},
    "event": "-",
    "time": {"value": "2000-01-01T00:00:00Z"},
}
"""Values for required keys that are missing, so that the rest of the schema is checked."""


def _repair(values: YamlValue, path: KeyPath) -> bool:
    """Remove the last member of a mapping on the way to ``path``, or put a placeholder at its end.

    False where the values have neither a member to remove nor a placeholder for what is missing.
    """
    node, parent, key = values, None, ""
    for part in path:
        if isinstance(node, dict) and part in node:
            parent, key = node, str(part)
            node = node[key]
        elif isinstance(node, list) and isinstance(part, int):
            node, parent = node[part], None
    if parent is not None:
        del parent[key]
    elif isinstance(node, dict) and path[-1] in PLACEHOLDERS:
        node[str(path[-1])] = PLACEHOLDERS[path[-1]]
    else:
        return False
    return True


def _is_related(path: KeyPath, others: Iterable[KeyPath]) -> bool:
    """Is one of the other places around this one, or within it?"""
    return any(path[: len(other)] == other[: len(path)] for other in others)


def _unrelated(
    problems: dict[KeyPath, Problem], others: dict[KeyPath, Problem]
) -> dict[KeyPath, Problem]:
    known = tuple(others)
    return {path: one for path, one in problems.items() if not _is_related(path, known)}


def _shape_problems(error: ValidationError, document: Document) -> dict[KeyPath, Problem]:
    problems: dict[KeyPath, Problem] = {}
    for found in error.errors(include_url=False):
        path = tuple(found["loc"])
        problems.setdefault(path, Problem(document.place(path), _message(found, path)))
    # Pydantic also calls a list whose parts are wrong too short: the parts' problems are clearer.
    around = [path[:at] for path in problems for at in range(len(path))]
    return {path: problem for path, problem in problems.items() if path not in around}


_MESSAGES: Final[dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("messages.toml").read_text(encoding="utf-8")
)


def _message(found: Any, path: KeyPath) -> str:
    """A sentence for one of pydantic's errors; our own errors are sentences already."""
    name = path[-1] if path else ""
    if found["type"] == "extra_forbidden":
        known = _known_keys(path)
        hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
        if name == "type" and "as" in known:
            hint = '; did you mean "as"?'
        return f'unknown key "{name}"{hint}'
    if (template := _MESSAGES.get(found["type"])) is not None:
        return template.format(name=name, **found.get("ctx", {}))
    return str(found["msg"]).removeprefix("Value error, ")


def _known_keys(path: KeyPath) -> list[str]:
    """The keys that are known where an unknown one was found."""
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
