"""Why an order is a reject: each code with the sentence that a person reads."""

import tomllib
from pathlib import Path
from typing import Final

REASONS: Final[dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("reasons.toml").read_text(encoding="utf-8")
)
