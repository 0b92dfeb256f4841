"""Everything that can stop a run, grouped by what to do next.

    BackfillError
    ├── FixInputError               fix it and start again; nothing was sent    exit code 2
    │   ├── UsageError              the command line, the state folder
    │   ├── SchemaError             the YAML file; holds all its problems
    │   └── ExportError             an export that cannot be read to its end
    ├── GateError                   a gate said no; nothing was sent            exit code 4
    ├── RetryRunError               run the same command again                  exit code 3
    │   ├── BusyError               another process holds the state folder
    │   └── StoppedError            Klaviyo does not answer, or the disk is full
    │       └── StoppedByUserError  a person stopped the run, or set its limit
    ├── DeniedError                 Klaviyo refuses the key or the endpoint     exit code 5
    │   └── ScopeError              the key lacks the scope for one endpoint
    └── UnexpectedError             nobody foresaw it; a file has the traceback exit code 70

A bad row is no error. It is a reject: a value that is counted and written to rejects.csv. No
message holds a key, an e-mail address, a phone number or a name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from backfill.display import screen


class BackfillError(Exception):
    exit_code: ClassVar[int]

    def __str__(self) -> str:
        """The sentence, or a line for each problem; it never fills more than a screen."""
        return screen(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """IPython shows this sentence in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class FixInputError(BackfillError):
    exit_code = 2


class UsageError(FixInputError):
    pass


class ExportError(FixInputError):
    pass


class GateError(BackfillError):
    exit_code = 4


class RetryRunError(BackfillError):
    exit_code = 3


class BusyError(RetryRunError):
    pass


class StoppedError(RetryRunError):
    pass


class StoppedByUserError(StoppedError):
    pass


class DeniedError(BackfillError):
    exit_code = 5


class ScopeError(DeniedError):
    pass


class UnexpectedError(BackfillError):
    exit_code = 70


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a schema, and where it is."""

    place: str
    """``file:line``, the line counted from 1."""
    text: str
    """What is wrong, what was expected, the nearest name."""

    @property
    def line(self) -> int:
        return int(self.place.rpartition(":")[2])

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class SchemaError(FixInputError):
    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
