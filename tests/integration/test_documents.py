"""What README says is so: its schema loads, its commands exist, its first output is real."""

import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from backfill.sandbox import Sandbox
from backfill.schema.load import load_schema
from tests.conftest import ROOT, Tool, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in FENCE.findall(README) if found == language]


def test_the_first_screen_shows_the_demos_real_output(tool: Tool):
    shown = next(text for text in blocks("console") if "$ make demo\n" in text).splitlines()[2:]
    said = tool("demo").out.splitlines()[1:]
    assert shown == said


def test_the_schema_of_the_readme_loads():
    [text] = [text for text in blocks("yaml") if text.startswith("name:")]
    assert load_schema(text).schema.name == "tea-shop"


def test_the_python_of_the_readme_runs(tool: Tool):
    """Into a sandbox, where it says an account's key."""
    [code] = blocks("python")
    (tool.folder / "shop.yaml").write_text(
        "name: s\ncustomer_properties: {$id: who}\nevents:\n"
        "  - {event: Placed Order, time: at, properties: {$event_id: '{no}'}}\n"
    )
    (tool.folder / "orders.csv").write_text("no,who,at\n1,a,2020-01-01T00:00:00Z\n")
    with Sandbox() as sandbox:
        assert code.count('key="ABC123"') == 2
        code = code.replace('key="ABC123"', f'url="{sandbox.url}"')
        (tool.folder / "code.py").write_text(code + "print(bf.runs()['state'].tolist(), ran)\n")
        done = subprocess.run(
            [sys.executable, "code.py"],
            cwd=tool.folder,
            env=environment() | {"MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert sandbox.stats()["recorded"] == 1
    assert done.stdout.startswith("['planned', 'finished'] <finished run")


def test_the_faults_of_the_readme_are_played(tool: Tool):
    [text] = [text for text in blocks("yaml") if text.startswith("seed:")]
    assert YAML(typ="safe").load(text)["seed"] == 7
    (tool.folder / "f.yaml").write_text(text)
    process = tool.start("sandbox", "--faults", "f.yaml")
    assert process.stdout is not None
    assert "url" in process.stdout.readline()
    process.terminate()
    process.communicate()
    assert process.returncode == 0


def test_every_command_is_documented_and_every_documented_one_exists(tool: Tool):
    listed = set(re.findall(r"^  ([a-z][a-z-]+)  ", tool("--help").out, re.MULTILINE))
    assert listed == set(re.findall(r"^\| `backfill ([a-z-]+)", README, re.MULTILINE))


@pytest.mark.parametrize(
    "command", ["run", "plan", "preview", "check", "verify", "diff", "sandbox", "status"]
)
def test_every_option_is_documented(tool: Tool, command: str):
    options = set(re.findall(r"(--[a-z-]+)", tool(command, "--help", COLUMNS="200").out))
    assert not {option for option in options - {"--help"} if option not in README}


@pytest.mark.parametrize("path", sorted((ROOT / "schemas").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_schema_loads(path):
    assert load_schema(path).schema.name
