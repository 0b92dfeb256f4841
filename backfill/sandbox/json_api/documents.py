"""The JSON files of this package: Klaviyo's OpenAPI, its errors, and the account it describes."""

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def document(name: str) -> dict[str, Any]:
    """Read a file, once. Nobody changes what it returns."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed
