"""Order history into Klaviyo: the names for notebooks and scripts; see README.

Each is loaded when it is first used, because ``backfill --help`` needs none of them.
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
"""Its former name."""

_MODULES: Final = {
    "Sandbox": "sandbox",
    **dict.fromkeys(("Preview", "Report"), "notebook.results"),
    **dict.fromkeys(("load_schema", "plan", "preview", "run", "runs"), "notebook.api"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
