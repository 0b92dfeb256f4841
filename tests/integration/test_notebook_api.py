"""``import backfill as bf`` as notebooks use it: frames, HTML, loops, interrupts."""

import asyncio
import gc
import html.parser
import re
from pathlib import Path

import pandas as pd
import pytest

import backfill as bf
from backfill.sandbox import Sandbox

SCHEMA = """
name: api
source: {order: Order, line: [Item], timezone: UTC}
columns: {Total: money}
profiles: newest
customer_properties: {$email: Email, $first_name: Name}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{Order}", $value: Total, Items: {each: Item}}
"""
ROWS = [
    ("o1", "ann@shop.example", "Ann", "2020-01-02T10:00:00Z", "5.50", "Cup"),
    ("o2", "", "Bo", "2020-01-03T10:00:00Z", "7", "Pot"),
    ("o1", "ann@shop.example", "Ann", "2020-01-02T10:00:00Z", "5.50", "Tin"),
    ("o3", "cy@shop.example", "Cy", "2020-03-03T10:00:00Z", "many", "Pot"),
    ("o4", "ann@shop.example", "Anna", "2020-03-04T10:00:00Z", "8", "Pot"),
]
FRAME = pd.DataFrame(ROWS, columns=["Order", "Email", "Name", "At", "Total", "Item"])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_preview_has_rows_beside_payloads_and_reasons_beside_rejects():
    seen = bf.preview(SCHEMA, FRAME, limit=4)

    assert repr(seen) == "<preview of 4 orders: 2 events, 2 rejects>"
    assert seen.orders.fillna("")[["_row", "rows", "events", "reason"]].to_dict("list") == {
        "_row": [1, 2, 4, 5],
        "rows": [2, 1, 1, 1],
        "events": [1, 0, 0, 1],
        "reason": ["", "no_identity", "not_money", ""],
    }
    assert seen.events["payload"][0]["properties"]["Items"] == ["Cup", "Tin"]
    assert seen.events["time"].tolist() == [
        pd.Timestamp("2020-01-02T10:00", tz="UTC"),
        pd.Timestamp("2020-03-04T10:00", tz="UTC"),
    ]
    assert seen.rejects[["_reason", "_column", "_row", "Total"]].fillna("").to_numpy().tolist() == [
        ["no_identity", "", 2, "7"],
        ["not_money", "Total", 4, "many"],
    ]
    assert seen.rows["Item"].tolist() == ["Cup", "Tin", "Pot", "Pot", "Pot"]


def test_a_preview_shows_unused_columns_pale_and_hides_empty_ones():
    frame = FRAME.assign(Note=["x", "", "", "", ""], Empty="", Name="")
    page = bf.preview(SCHEMA, frame, limit=1)._repr_html_()
    assert '<tr class="unused"><th>Note</th><td>x</td><td></td></tr>' in page
    assert "<tr><th>Name</th><td></td><td></td></tr>" in page
    assert "<th>Empty</th>" not in page


def test_a_page_has_the_counts_of_a_plan_and_its_first_rejects(state):
    plan = bf.plan(SCHEMA, FRAME, state=state)
    page = " ".join(re.sub("<[^>]+>", " ", plan._repr_html_()).split())
    assert "rows orders rejected events people to send 5 4 2 2 1 2" in page
    assert "month Placed Order 2020-01 1 2020-03 1 all 2 value 13.5" in page
    assert "1 no_identity no e-mail, phone number or id" in page
    assert "Rejects (the first 2 rows of 2 orders)" in page
    assert "Total: the cell is not an amount of money" in page


def test_a_plan_is_frames_and_sends_nothing(state):
    with Sandbox() as sandbox:
        plan = bf.plan(bf.load_schema(SCHEMA), FRAME, url=sandbox.url, state=state)
        assert sandbox.stats()["requests"] == 0

    assert (plan.summary.orders, plan.summary.rejected, plan.summary.left) == (4, 2, 2)
    assert plan.events[
        ["event", "event_id", "value", "email", "state", "_row"]
    ].to_numpy().tolist() == [
        ["Placed Order", "o1", 5.5, "ann@shop.example", "to send", 1],
        ["Placed Order", "o4", 8.0, "ann@shop.example", "to send", 5],
    ]
    assert plan.orders[["_row", "events", "reason"]].fillna("").to_numpy().tolist() == [
        [1, 1, ""],
        [2, 0, "no_identity"],
        [4, 0, "not_money"],
        [5, 1, ""],
    ]
    assert plan.rejects["Order"].tolist() == ["o2", "o3"]
    assert plan.months.to_dict() == {"Placed Order": {"2020-01": 1, "2020-03": 1}}
    assert plan.refusals.empty
    bars = plan.plot().containers
    assert [[bar.get_height() for bar in stack] for stack in bars] == [[1, 0, 1]]


def test_a_report_has_the_state_of_each_event(state):
    with Sandbox() as sandbox:
        first = bf.run(SCHEMA, FRAME, url=sandbox.url, state=state, limit=1)
        states = first.events["state"].tolist()
        rest = bf.run(SCHEMA, FRAME, url=sandbox.url, state=state)
        again = bf.run(SCHEMA, FRAME, url=sandbox.url, state=state)
        assert sandbox.stats()["recorded"] == 2
    assert sorted(states) == ["delivered", "left"]
    assert "--limit 1 is reached" in str(first.error)
    assert sorted(rest.events["state"]) == ["already", "delivered"]
    assert again.events["state"].tolist() == ["already", "already"]
    assert bf.runs(state)[["state", "delivered", "left"]].to_numpy().tolist() == [
        ["stopped", 1, 1],
        ["finished", 1, 0],
        ["finished", 0, 0],
    ]


def test_the_plans_files_live_as_long_as_the_report(state):
    with Sandbox() as sandbox:
        plan = bf.plan(SCHEMA, FRAME, url=sandbox.url, state=state)
        bf.run(SCHEMA, FRAME, url=sandbox.url, state=state)
        gc.collect()
        assert len(list(state.glob("runs/*/plan"))) == 1
        assert len(plan.events) == 2
        del plan
        gc.collect()
        assert list(state.glob("runs/*/plan")) == []


def test_it_works_inside_a_running_loop(state):
    async def cell(url: str) -> bf.Report:
        return bf.run(SCHEMA, FRAME, url=url, state=state)

    with Sandbox() as sandbox:
        assert asyncio.run(cell(sandbox.url)).summary.delivered == 2


def test_a_live_account_needs_a_yes(state):
    with pytest.raises(bf.GateError, match=r"is a live account.*yes=True; nothing was sent"):
        bf.run(SCHEMA, FRAME, key="ABC123", state=state)


def test_gates_are_raised(state):
    with Sandbox() as sandbox:
        with pytest.raises(bf.GateError, match="more than --max-rejects"):
            bf.run(SCHEMA, FRAME, url=sandbox.url, state=state, max_rejects="10%")
        with pytest.raises(bf.GateError, match="digest"):
            bf.run(SCHEMA, FRAME, url=sandbox.url, state=state, expect="0" * 16)
        assert sandbox.stats()["requests"] == 0


def test_all_problems_of_a_schema_are_one_sentence_each_in_a_notebook():
    with pytest.raises(bf.SchemaError) as raised:
        bf.preview(SCHEMA.replace("$email: Email", "$email: Mail"), FRAME)
    [shown] = raised.value._render_traceback_()
    assert shown == f"SchemaError: {raised.value}"
    assert 'did you mean "Email"?' in shown


class _Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def test_pages_escape_whatever_an_export_says(state, tmp_path):
    schema = SCHEMA.replace("name: api", f"name: '{EVIL.replace(chr(39), '')}'").replace(
        "event: Placed Order", "event: '<script>metric</script>'"
    )
    evil = FRAME.assign(Item=EVIL, Name=EVIL, Note=EVIL, Total=["1", "1", "1", EVIL, "2"])
    evil = evil.rename(columns={"Note": EVIL})
    path = tmp_path / "<script>x<\uff0fscript>.csv"
    evil.to_csv(path, index=False)
    with Sandbox() as sandbox:
        shown = [
            bf.preview(schema, path, limit=9)._repr_html_(),
            bf.preview(schema, evil, limit=9)._repr_html_(),
            bf.plan(schema, path, url=sandbox.url, state=state)._repr_html_(),
            bf.run(schema, path, url=sandbox.url, state=state)._repr_html_(),
            bf.runs(state)._repr_html_(),
            *(page.read_text("utf-8") for page in state.glob("runs/*/report.html")),
        ]
    assert len(shown) == 7
    for page in shown:
        text = _Text()
        text.feed(page)
        assert not text.tags & {"script", "img", "iframe", "a"}
        assert "<script>" in text.text
    assert all(EVIL in _fed(page) for page in shown[:2])


def _fed(page: str) -> str:
    text = _Text()
    text.feed(page)
    return text.text


def test_the_page_in_the_state_folder_shows_no_cell(state):
    with Sandbox() as sandbox:
        bf.run(SCHEMA, FRAME, url=sandbox.url, state=state)
    [page] = state.glob("runs/*/report.html")
    text = page.read_text("utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert not [cell for row in ROWS for cell in row[1:3] if cell and cell in text]
    assert "no e-mail, phone number or id" in text


def test_no_repr_names_a_person(state):
    with Sandbox() as sandbox:
        said = [
            repr(bf.preview(SCHEMA, FRAME)),
            repr(bf.run(SCHEMA, FRAME, url=sandbox.url, key="QWERTZ", state=state)),
            repr(bf.load_schema(SCHEMA)),
        ]
    assert "shop.example" not in str(said)
    assert "QWERTZ" not in str(said)


def test_what_klaviyo_refuses_is_a_frame_too(state):
    """A sandbox whose clock stands more than a year back takes the later order for the future."""
    with Sandbox(clock=lambda: 1_546_300_800.0 + 40 * 86_400) as sandbox:
        ran = bf.run(SCHEMA, FRAME, url=sandbox.url, state=state)
    assert (ran.summary.delivered, ran.summary.refused, ran.error) == (1, 1, None)
    assert ran.refusals[["metric", "status", "code"]].to_numpy().tolist() == [
        ["Placed Order", 200, "answered-no"]
    ]
    assert ran.events["state"].tolist() == ["delivered", "refused"]
