"""Whoever looks up what a comment cites finds it: in docs/klaviyo.md under the heading it names."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "klaviyo.md"
CITATION = re.compile(r'docs/klaviyo\.md,?((?:\s*(?:and |,)?\s*"[^"]+")+)')
FILES = sorted(
    path
    for folder in ("backfill", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__) and "docs/klaviyo.md" in path.read_text(encoding="utf-8")
)


def cited(text):
    """The headings that a text cites, also over the end of a line and the mark of a comment."""
    found = CITATION.findall(re.sub(r"\s*\n\s*#?\s*", " ", text))
    return {heading for headings in found for heading in re.findall(r'"([^"]+)"', headings)}


def test_citations_are_found_over_the_ends_of_lines():
    assert cited('Source: docs/klaviyo.md, "Limits", "Rate\n    # limits and errors".') == {
        "Limits",
        "Rate limits and errors",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_cited_heading_is_there(path):
    headings = set(re.findall(r"(?m)^## (.+)$", DOCUMENT.read_text(encoding="utf-8")))
    assert cited(path.read_text(encoding="utf-8")) <= headings
