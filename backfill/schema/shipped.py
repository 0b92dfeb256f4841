"""The schemas that come with the package, by name: for platforms, and for tables of a warehouse."""

import difflib
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]

_NEAR: Final = 0.5
"""The likeness of ``shopify`` and ``shopify_orders``; less finds names that share a few letters."""


def paths() -> dict[str, Path]:
    """The files by their schemas' names, in the order of names."""
    return {path.stem: path for path in sorted(folder_of(_PACKAGE).glob("*.yaml"))}


def nearest(name: str) -> tuple[str, ...]:
    """At most three names that were probably meant, the nearest first; ``name`` may be a file's."""
    stem = Path(name).stem.casefold().replace("-", "_")
    return tuple(difflib.get_close_matches(stem, paths(), n=3, cutoff=_NEAR))


def folder_of(package: Path) -> Path:
    """The folder of the schemas: inside the package in a wheel, beside it in a checkout."""
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"
