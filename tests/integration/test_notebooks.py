"""The committed notebooks run, and their outputs are what they put out today."""

from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from backfill.sandbox import Faults, Sandbox
from tests.conftest import ROOT
from tests.notebooks import FOLDER, executed, texts
from tests.waiting import HOLD_FAULT, wait_until

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_two():
    assert [path.name for path in NOTEBOOKS] == [
        "01_explore_a_mapping.ipynb",
        "02_backfill_and_look.ipynb",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_puts_out_what_is_committed(path, tmp_path):
    """``python -m tests.notebooks`` writes the outputs anew."""
    committed = nbformat.read(path, as_version=4)

    assert texts(executed(path, tmp_path)) == texts(committed)


ENDLESS = """
import backfill as bf, pandas as pd
frame = pd.DataFrame({{"No": range(2_000), "At": "2020-01-02T03:04:05Z"}}).assign(
    Email=lambda f: "p" + f["No"].astype("str") + "@shop.example"
)
schema = '''name: endless
customer_properties: {{$email: Email}}
events:
  - event: Placed Order
    time: At
    properties: {{$event_id: "{{No}}"}}
'''
stopped = bf.run(schema, frame, url="{url}", state="state", rate="100/s")
print(stopped.summary.state, stopped.summary.delivered + stopped.summary.left, stopped.error)
rest = bf.run(schema, frame, url="{url}", state="state", rate="none")
print(rest.summary.state, rest.summary.already == stopped.summary.delivered, rest.summary.left)
"""


@pytest.mark.slow
def test_the_stop_button_ends_a_run_cleanly_and_the_next_goes_on(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Sandbox(faults=Faults.of({"faults": [{"at": [21], **HOLD_FAULT}]})) as sandbox:
        manager, client = start_new_kernel(cwd=str(tmp_path))
        try:
            sent = client.execute(ENDLESS.format(url=sandbox.url))
            wait_until(lambda: bool(sandbox.stats()["faults"]), "the fault that holds the run")
            manager.interrupt_kernel()
            answer = client.get_shell_msg(timeout=60)
            while answer["parent_header"].get("msg_id") != sent:
                answer = client.get_shell_msg(timeout=60)
            said = _said(client, sent)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
        stats = sandbox.stats()
    assert answer["content"]["status"] == "ok", answer["content"]
    assert "stopped 2000 stopped as asked; run the same command to go on" in said
    assert "finished True 0" in said
    assert (stats["recorded"], stats["merged"]) == (2_000, 0)


def _said(client, sent: str) -> str:
    said = ""
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        if message["msg_type"] == "stream":
            said += message["content"]["text"]
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return said
