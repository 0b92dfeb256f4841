"""Order history into Klaviyo. What stands here is for notebooks and scripts; see README.

Loaded when first used: ``backfill --help`` needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from backfill.errors import (
    BackfillError,
    DeniedError,
    ExportError,
    FixInputError,
    GateError,
    SchemaError,
    StoppedError,
    UsageError,
)

if TYPE_CHECKING:
    from backfill.notebook.api import load_schema, plan, preview, run, runs
    from backfill.notebook.results import Preview, Report
    from backfill.sandbox import Sandbox

__all__ = (
    "BackfillError",
    "DeniedError",
    "ExportError",
    "FixInputError",
    "GateError",
    "MendError",
    "Preview",
    "Report",
    "Sandbox",
    "SchemaError",
    "StoppedError",
    "UsageError",
    "load_schema",
    "plan",
    "preview",
    "run",
    "runs",
)

MendError = FixInputError
"""The name that it had first."""

_WHERE: Final = {
    "Preview": "notebook.results",
    "Report": "notebook.results",
    "Sandbox": "sandbox",
    "load_schema": "notebook.api",
    "plan": "notebook.api",
    "preview": "notebook.api",
    "run": "notebook.api",
    "runs": "notebook.api",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
