"""``preview --as``: what it prints is read, pasted and run as a person or a program would."""

import csv
import json
import os
import pty
import re
import select
import shutil
import subprocess
from unicodedata import east_asian_width

import pytest

from backfill.planning.preview import PreviewedOrder
from backfill.report.preview import curl_lines, js_lines, json_lines, table_lines
from backfill.sandbox import Sandbox
from tests.conftest import Said, Tool, environment

pytestmark = pytest.mark.slow

SCHEMA = """
name: shown
source: {order: No}
columns: {Sum: money, Extra: json}
profiles: newest
customer_properties: {$email: Mail, $phone_number: Phone, $first_name: First}
events:
  - event: "Placed 'Order' </script>"
    time: At
    properties: {$event_id: "{No}", $value: Sum, Item: Item, Extra: Extra, "it's $(id)": Item}
"""
HOSTILE = (
    "it's",
    "''",
    "$(touch pwned) `touch pwned` $HOME ${IFS}",
    "'; touch pwned; '",
    "!! !1 !touch ^a^b^",
    "line\nbreak\r\n# tab\t",
    "\\ \\n \\' \\u0027 %s %n %",
    '"quoted" \\"more\\"',
    "</script><script>alert(1)</script><!-- -->",
    "Åsa 日本 👍🏽 e\u0301 \u202eright\u202c",
    "\u2028\u2029\x85\x9b2J\x1b]0;title\x07\x7f",
    "EOF\nEOF\n",
    "@/etc/passwd",
    "&data=1+1=2#x",
    "*?[a-z]{1..9} ~ -n",
    "-",
    "x" * 200_000,
)
EXTRA = '{"a":\n [1.50, 12345678901234567890.5, 9007199254740993], "__proto__": {"b": "\'"}}'
COLUMNS = ("No", "Mail", "Phone", "First", "At", "Sum", "Item", "Extra")
REJECTED = ("r", "no\nbody'$(touch pwned)", "", "", "2020-01-01T00:00:00Z", "1", "x", "")


@pytest.fixture
def shop(tool: Tool) -> Tool:
    (tool.folder / "s.yaml").write_text(SCHEMA)
    rows = [
        (str(n), f"p{n}@x.example", "", text[:200], "2020-01-01T00:00:00Z", "10.50", text, EXTRA)
        for n, text in enumerate(HOSTILE)
    ]
    rows.append(REJECTED)
    with (tool.folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return tool


def preview(shop: Tool, form: str, *args: str) -> Said:
    said = shop("preview", "s.yaml", "a.csv", "--limit", "99", "--as", form, *args)
    assert said.code == 0, said.err
    return said


def pasted(shop: Tool, shell: list[str], text: str) -> subprocess.CompletedProcess[str]:
    (shop.folder / "home").mkdir(exist_ok=True)
    return subprocess.run(
        shell,
        cwd=shop.folder,
        env=environment() | {"KLAVIYO_PUBLIC_KEY": "LOCAL1", "NO_PROXY": "*", "HOME": "home"},
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@NEEDS_CURL
@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(["sh"], id="sh"),
        pytest.param(["bash"], id="bash"),
        pytest.param(["bash", "-o", "history", "-o", "histexpand"], id="bash that looks for !"),
        pytest.param(["zsh"], id="zsh"),
        pytest.param(["zsh", "-o", "nointeractivecomments", "-o", "rcquotes"], id="odd zsh"),
    ],
)
def test_the_curl_lines_send_what_a_run_sends(
    shop: Tool, sandbox: Sandbox, shell: list[str], method: str
):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    keep_short(shop, method)
    shop("run", "s.yaml", "a.csv", "--url", sandbox.url, "--method", method)
    events, profiles = sandbox.events(), sandbox.profiles()

    lines = preview(shop, "curl", "--url", sandbox.url, "--method", method).out
    done = pasted(shop, shell, lines)

    assert (done.returncode, done.stdout) == (0, "1\n" * len(events)), done.stderr
    assert_merged(sandbox, len(HOSTILE))
    assert (sandbox.events(), sandbox.profiles()) == (events, profiles)
    assert not list(shop.folder.rglob("pwned"))


def assert_merged(sandbox: Sandbox, events: int) -> None:
    stats = sandbox.stats()
    found = [stats[name] for name in ("recorded", "merged", "merged_different", "refused")]
    assert found == [events, events, 0, 0]


@NEEDS_CURL
def test_the_curl_lines_work_at_a_prompt_too(shop: Tool, sandbox: Sandbox):
    """Where ! is looked for in what is typed, and a tab completes it."""
    keep_short(shop, "get")
    shop("run", "s.yaml", "a.csv", "--url", sandbox.url)
    lines = preview(shop, "curl", "--url", sandbox.url).out

    shown = typed(shop, f"{lines}exit\n")

    assert "event not found" not in shown
    assert_merged(sandbox, len(HOSTILE))
    assert not list(shop.folder.rglob("pwned"))


def typed(shop: Tool, text: str) -> str:
    """What a bash with a terminal of its own shows when somebody pastes ``text``."""
    person, terminal = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=shop.folder,
        env=environment() | {"KLAVIYO_PUBLIC_KEY": "LOCAL1", "TERM": "dumb", "HISTFILE": ""},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown, left = b"", text.encode()
    try:
        while True:
            readable, writable, _ = select.select([person], [person] if left else [], [], 60)
            assert readable or writable, "bash says nothing more"
            if readable:
                shown += os.read(person, 65_536)
            elif writable:
                left = left[os.write(person, left[:1_024]) :]
    except OSError:  # the terminal's end
        assert bash.wait(60) == 0
        return shown.decode("utf-8", "replace")
    finally:
        bash.kill()
        bash.wait()
        os.close(person)


def keep_short(shop: Tool, method: str) -> None:
    """The longest cell has no room in a URL."""
    if method == "get":
        path = shop.folder / "a.csv"
        path.write_bytes(path.read_bytes().replace(b"x" * 200_000, b"x" * 2_000))


@NEEDS_CURL
@pytest.mark.parametrize("method", ["post", "get"])
def test_without_a_key_the_shell_says_so_and_nothing_is_recorded(
    shop: Tool, sandbox: Sandbox, method: str
):
    keep_short(shop, method)
    lines = preview(shop, "curl", "--url", sandbox.url, "--method", method).out
    done = pasted(shop, ["sh"], f"unset KLAVIYO_PUBLIC_KEY\n{lines}")
    assert done.stderr.count("KLAVIYO_PUBLIC_KEY") == len(HOSTILE)
    assert (set(done.stdout.split()), sandbox.stats()["recorded"]) == ({"0"}, 0)


def test_no_key_is_in_what_is_shown(shop: Tool):
    for form in ("table", "json", "curl", "js"):
        said = shop("preview", "s.yaml", "a.csv", "--as", form, KLAVIYO_PUBLIC_KEY="KEY777")
        assert "KEY777" not in said.out + said.err


@pytest.mark.parametrize("form", ["table", "json", "curl", "js"])
def test_nothing_that_is_shown_moves_a_cursor_or_hides(shop: Tool, form: str):
    out = preview(shop, form).out
    assert all(line.isprintable() for line in out.split("\n"))
    lines = len(HOSTILE) + 1
    assert len(out.splitlines()) == {"json": lines, "curl": 2 * lines - 1, "js": 2 * lines - 1}.get(
        form, len(out.splitlines())
    )


def events_of(shop: Tool) -> list[tuple[str, dict[str, object]]]:
    lines = map(json.loads, preview(shop, "json").out.splitlines())
    found = [payload for order in lines for payload in order.get("payloads", ())]
    return [(event["event"], event["properties"]) for event in found]


def test_the_front_ends_calls_track_the_events(shop: Tool):
    """Each call is read apart here; the next test has a JavaScript engine do it."""
    calls = [line for line in preview(shop, "js").out.splitlines() if not line.startswith("// ")]
    assert not re.search("[<>&]", "".join(calls))
    read = []
    for call in calls:
        name, properties = re.fullmatch(
            r"_learnq\.push\(\['track', '((?:[^'\\]|\\.)*)', (\{.*\})\]\);", call
        ).groups()  # type: ignore[union-attr]
        properties = properties.replace('["__proto__"]:', '"__proto__":')
        read.append((json.loads(f'"{name}"'), json.loads(properties)))
    assert read == [(name, doubles(properties)) for name, properties in events_of(shop)]


def doubles(properties: dict[str, object]) -> object:
    """All that JavaScript has for numbers."""
    return json.loads(json.dumps(properties), parse_int=float)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_an_engine_reads_the_front_ends_calls(shop: Tool):
    out = preview(shop, "js").out
    script = f"var _learnq = _learnq || [];\n{out}\nconsole.log(JSON.stringify(_learnq));"
    done = subprocess.run(
        ["node", "-"], input=script, capture_output=True, text=True, check=True, timeout=60
    )
    pushed = [("track", name, doubles(properties)) for name, properties in events_of(shop)]
    assert [tuple(call) for call in json.loads(done.stdout, parse_int=float)] == pushed


def test_the_front_end_form_says_what_it_cannot_say(shop: Tool):
    assert "the front-end form says neither who nor when" in preview(shop, "js").err


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_reads_the_json(shop: Tool):
    done = subprocess.run(
        ["jq", "-r", ".row, .payloads[0].properties.Item?, .reject.reason?"],
        input=preview(shop, "json").out,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "touch pwned" in done.stdout
    assert done.stdout.endswith("not_an_email\n")


def test_json_has_the_payload_digit_by_digit_and_the_reason_in_words(shop: Tool):
    first, *_, last = preview(shop, "json").out.splitlines()
    assert '"a":[1.50,12345678901234567890.5,9007199254740993]' in first
    assert json.loads(first)["payloads"][0]["token"] == "PUBKEY"
    assert json.loads(last) == {
        "file": "a.csv",
        "row": json.loads(last)["row"],
        "reject": {
            "reason": "not_an_email",
            "column": "Mail",
            "why": "the cell is not an e-mail address",
        },
    }


PAYLOAD = json.dumps(
    {
        "token": "PUBKEY",
        "event": "Placed Order",
        "customer_properties": {"$email": "a@x.example", "$first_name": "日本"},
        "properties": {
            "Items": [{"SKU": "A", "Deep": {"a": {"b": 1}}, "Sold": True, "Note": None}],
            "A very long name of a property": "x" * 100,
            "$event_id": "1",
            "$value": 10.5,
        },
        "time": 1577836800,
    },
    separators=(",", ":"),
)
ORDERS = (
    PreviewedOrder(at=(0, 2), file="a.csv", payloads=(PAYLOAD, PAYLOAD)),
    PreviewedOrder(at=(0, 4), file="b\n'`.csv", reason="no_identity", column="Mail"),
)


def test_the_table_is_for_people():
    assert list(table_lines(ORDERS, 60)) == [
        "a.csv row 2: 2 events",
        *EVENT,
        "",
        *EVENT,
        "",
        'b\\u000a\'`.csv row 4: reject no_identity ("Mail"): no e-mail,',
        "    phone number or id",
    ]


EVENT = [
    "  metric      Placed Order",
    "  time        2020-01-01 00:00:00 UTC",
    "  value       10.5",
    "  person      $email                    a@x.example",
    "              $first_name               日本",
    "  properties  Items                     [{SKU: A, Deep: {a:…",
    "              A very long name of a p…  xxxxxxxxxxxxxxxxxxx…",
    "              $event_id                 1",
]


@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal(shop: Tool, width: int):
    said = shop("preview", "s.yaml", "a.csv", "--limit", "99", COLUMNS=str(width))
    joined = "\u0301\U0001f3fd"  # an accent and a skin tone take no room of their own
    widths = [
        sum(2 if east_asian_width(sign) in "WF" else 1 for sign in line if sign not in joined)
        for line in said.out.splitlines()
    ]
    assert max(widths) <= width
    assert sum(line.endswith("…") for line in said.out.splitlines()) > 3 or width == 200


def test_comments_are_one_line_that_no_shell_or_page_reads():
    [first, _, _, last] = curl_lines(ORDERS, str)
    assert first == "# 'a.csv row 2: 2 events'"
    assert last.startswith("# 'b\\u000a\\u0027`.csv row 4: reject no_identity")
    assert last.count("'") == 2
    order = PreviewedOrder(at=(0, 4), file="</script>\u2028.csv", reason="no_identity")
    [*_, told] = js_lines([order])
    assert told.startswith("// \\u003c/script\\u003e\\u2028.csv row 4: reject")


def test_a_name_that_is_no_text_is_still_json():
    order = PreviewedOrder(at=(0, 4), file="a\udcff.csv", reason="no_identity")
    [line] = json_lines([order])
    assert json.loads(line)["file"] == "a\udcff.csv"
    assert line.isascii()
