"""Modules import one way, and the command line loads what a command needs and no more."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

PACKAGE = Path(__file__).parents[2] / "backfill"
LAYERS = (
    ("errors", "limits", "event", "display", "engine"),
    ("schema",),
    ("sources",),
    ("mapping",),
    ("wire",),
    ("planning",),
    ("transport", "ledger"),
    ("delivery",),
    ("account",),
    ("lint",),
    ("report",),
    ("draft",),
    ("running",),
    ("notebook",),
    ("cli", "__main__", "__init__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = ("duckdb", "pyarrow", "pandas", "aiohttp")


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def part_of(module):
    """``schema`` of ``backfill.schema.load``; the package's own ``__init__`` is a part too."""
    return module.split(".")[1] if "." in module else "__init__"


def imported(module, node):
    """The modules of ours that one import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}:{node.lineno}: a relative import"
        found = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name if name in MODULES else node.module for name in found]
    else:
        return []
    return [name for name in names if name.split(".")[0] == "backfill"]


def imports(module):
    """Each first-party import: line, module, whether it stands inside a function."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        for name in imported(module, node):
            yield node.lineno, name, id(node) in inside


def ours(*, sandbox):
    return [name for name in MODULES if (part_of(name) == "sandbox") == sandbox]


@pytest.mark.parametrize("module", ours(sandbox=False))
def test_a_module_imports_from_what_stands_above_it(module):
    """The sandbox runs inside ``cli`` and ``demo`` only."""
    rank = RANK[part_of(module)]
    last = len(LAYERS) - 1
    wrong = [
        f"{module}:{line} imports {name}"
        for line, name, _ in imports(module)
        if (last if part_of(name) == "sandbox" else RANK[part_of(name)]) > rank
    ]
    assert wrong == []


@pytest.mark.parametrize("module", ours(sandbox=True))
def test_the_sandbox_imports_nothing_of_ours_but_limits(module):
    wrong = [
        f"{module}:{line} imports {name}"
        for line, name, _ in imports(module)
        if part_of(name) not in ("sandbox", "limits")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "module", [name for name in MODULES if not re.fullmatch(r"backfill\.cli\.\w+_commands", name)]
)
def test_no_import_of_ours_stands_inside_a_function(module):
    """But in those that declare commands: ``backfill --help`` loads what it needs and no more."""
    assert [f"{module}:{line}" for line, _, inside in imports(module) if inside] == []


@pytest.mark.parametrize("part", sorted({part_of(name) for name in MODULES} - {"sandbox"}))
def test_every_part_of_the_package_has_its_place_in_the_order(part):
    assert part in RANK


def cycles(graph):
    """Modules that reach themselves."""
    reach = {name: set(graph[name]) for name in graph}
    for middle in graph:
        for name in graph:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    return sorted(name for name in graph if name in reach[name])


def test_no_module_imports_itself_by_way_of_others():
    graph = {
        name: {to for _, to, inside in imports(name) if not inside and to != name}
        for name in MODULES
    }
    assert cycles(graph) == []
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


PURE = sorted(name for name in MODULES if part_of(name) in ("mapping", "wire"))
OUTSIDE = {
    *(
        "asyncio",
        "datetime",
        "gettext",
        "glob",
        "httpx",
        "importlib",
        "io",
        "multiprocessing",
        "os",
    ),
    *("pathlib", "random", "shutil", "signal", "socket", "subprocess", "tempfile", "threading"),
    *("time", "zoneinfo", "aiohttp"),
}
DEEDS = {
    *("open", "input", "print", "read_text", "read_bytes", "write_text", "write_bytes", "is_file"),
    *("Timer", "Thread", "sleep", "monotonic", "perf_counter", "now", "today", "read_parquet"),
}


def deeds_in(text):
    """Names of modules and of calls by which a module would touch a file, a socket or a clock."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from {alias.name.split(".")[0] for alias in names} & OUTSIDE
            case ast.ImportFrom(module=module):
                yield from {str(module).split(".")[0]} & OUTSIDE
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in DEEDS:
                yield name


@pytest.mark.parametrize("module", PURE)
def test_mapping_and_wire_touch_no_file_socket_or_clock(module):
    assert list(deeds_in(MODULES[module].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "deed"),
    [
        ("from importlib.resources import files", "importlib"),
        ("with path.open('rb') as file: pass", "open"),
        ("timer = threading.Timer(1, stop)", "Timer"),
        ("import time", "time"),
        ("from threading import Timer", "threading"),
        ("datetime.now()", "now"),
    ],
)
def test_a_deed_in_a_module_is_seen(text, deed):
    assert list(deeds_in(text)) == [deed]


def test_mapping_opens_no_file_but_those_that_came_with_python():
    """Reads every type of cell in a process that hears of each file, socket and thread."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.audited_mapping"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert json.loads(ran.stdout) == [[], 1, []]


def loaded_by(command, packages, folder):
    """Those of the packages that a command loads, and what it prints."""
    program = (
        "import sys\n"
        "from backfill.cli.commands import main\n"
        f"sys.argv = {['backfill', *command]!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {packages!r} if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=folder,
        env=environment(),
    )
    *printed, loaded = ran.stdout.splitlines()
    return loaded, "\n".join(printed)


def test_help_loads_none_of_the_heavy_packages(tmp_path):
    loaded, printed = loaded_by(["--help"], HEAVY, tmp_path)
    assert loaded == "[]"
    assert "Usage" in printed


@pytest.mark.parametrize("command", ["check", "preview"])
def test_what_sends_nothing_loads_no_client(command, tmp_path):
    shop = PACKAGE / "cli" / "demo"
    files = [str(shop / "orders.yaml"), str(shop / "orders.csv")]
    loaded, printed = loaded_by([command, *files], ("duckdb", "aiohttp"), tmp_path)
    assert loaded == "['duckdb']"
    assert "orders.yaml: fits" in printed or "Placed Order" in printed


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_parquet_file_is_held_whole_in_memory(module):
    """With ``pre_buffer``, pyarrow's default, the bytes of a whole local file stay in memory."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="pq"), attr="ParquetFile" | "read_table")
            ):
                said = {one.arg: ast.unparse(one.value) for one in node.keywords}
                assert said.get("pre_buffer") == "False", ast.unparse(node)
