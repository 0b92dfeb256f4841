"""What ``import backfill as bf`` gives: names and signatures that notebooks rely on."""

import inspect
import subprocess
import sys

import pytest

import backfill as bf

NAMES = {
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
}
SIGNATURES = {
    "load_schema": "(source)",
    "preview": "(schema, export, *, limit, profiles, timezone, until, method, url)",
    "plan": "(schema, export, *, state, url, key, private_key, account, api, profiles, "
    "timezone, until, method)",
    "run": "(schema, export, *, state, url, key, private_key, account, api, profiles, "
    "timezone, until, limit, max_rejects, expect, new_ids, equal_rows, method, concurrency, rate, "
    "quota, trigger_flows, verify, visibility_delay, yes)",
    "runs": "(state)",
}
ATTRIBUTES = {
    "Preview": {"events", "orders", "rejects", "rows"},
    "Report": {"events", "orders", "rejects", "refusals", "months", "plot"},
}


def test_the_public_names_are_these():
    assert set(bf.__all__) == NAMES
    assert set(dir(bf)) >= NAMES
    assert all(getattr(bf, name) is not None for name in NAMES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_public_functions_take_these(name):
    shown, keywords = [], False
    for parameter in inspect.signature(getattr(bf, name)).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            shown.append("*")
            keywords = True
        shown.append(parameter.name)
    assert f"({', '.join(shown)})" == SIGNATURES[name]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_the_public_results_have_these(name):
    own = {found for found in vars(getattr(bf, name)) if not found.startswith("_")}
    assert own == ATTRIBUTES[name]


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'send'"):
        _ = bf.send


@pytest.mark.parametrize("name", ["plan", "run", "preview"])
def test_no_module_of_ours_hides_a_public_function(name):
    """A submodule of that name would take its place once somebody imports it."""
    program = (
        "import backfill.cli.commands, backfill.notebook.api, backfill.running.prepare\n"
        f"import backfill; assert callable(backfill.{name}), backfill.{name}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
