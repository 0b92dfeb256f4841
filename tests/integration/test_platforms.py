"""Every schema that ships maps the sample export beside it into the payloads written there."""

import re
from pathlib import Path

import pytest

from tests.platforms import SAMPLES, SCHEMAS, Platform

ELSEWHERE = {"adventureworks_sales", "online_retail"}
"""Schemas of published samples; other tests map those."""

NAMES = sorted({path.stem for path in SCHEMAS.glob("*.yaml")} - ELSEWHERE)


def test_every_schema_has_a_sample_and_every_sample_a_schema():
    assert sorted(path.name for path in SAMPLES.iterdir() if path.is_dir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_maps_its_sample_as_expected(name: str, tmp_path: Path):
    platform = Platform(name)
    expected, found = platform.expected, platform.mapped(tmp_path)
    for want, got in zip(expected["orders"], found["orders"], strict=False):
        assert got == want
    assert found["rejects"] == expected["rejects"]
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_holds_people_whom_klaviyo_would_keep(name: str):
    """No address of a sample at a domain that Klaviyo discards, and none of a real one."""
    for path in Platform(name).exports:
        if path.suffix == ".csv":
            text = path.read_bytes().decode("latin-1").lower()
            domains = {re.split("[,;]", part)[0] for part in text.split("@")[1:]}
            assert all(".example" in domain[:80] for domain in domains), path
