import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from backfill.sandbox import Sandbox

settings.register_profile(
    "backfill",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("backfill")  # the same examples each time, however slow the machine is

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data"
SALES = DATA / "adventureworks" / "sales.csv.gz"
SALES_SCHEMA = ROOT / "schemas" / "adventureworks_sales.yaml"
RETAIL = str(DATA / "online_retail" / "*.csv.gz")
RETAIL_SCHEMA = ROOT / "schemas" / "online_retail.yaml"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.out.splitlines()[-1])


def environment() -> dict[str, str]:
    """Without keys and settings of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KLAVIYO", "BACKFILL"))}
    return kept | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Tool:
    """The command line in a folder of its own."""

    folder: Path

    def __call__(self, *args: object, **extra: str) -> Said:
        done = subprocess.run(
            self.command(*args),
            cwd=self.folder,
            env=environment() | extra,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        for noise in ("Traceback", "nanobind", "Warning"):
            assert noise not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*args),
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def command(*args: object) -> list[str]:
        return [sys.executable, "-m", "backfill", *map(str, args)]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def sales_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sales") / "sales.csv"
    path.write_bytes(gzip.decompress(SALES.read_bytes()))
    return path
