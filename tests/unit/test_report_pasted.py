"""What is pasted means what the payload means, whatever a cell holds."""

import json
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.report.pasted import curl, learnq

texts = st.text(max_size=20) | st.sampled_from(["'", "</script>", "__proto__", "\u2028", "😀\x9b"])
values = st.recursive(
    texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
payloads = st.builds(
    lambda name, properties: json.dumps(
        {"token": "PUBKEY", "event": name, "properties": properties},
        ensure_ascii=False,
        separators=(",", ":"),
    ),
    texts,
    st.dictionaries(texts, values, max_size=4),
)


@given(payloads)
@pytest.mark.parametrize("method", ["post", "get"])
def test_a_shell_reads_the_payload_out_of_the_curl_line(method, payload):
    line = curl(payload, "https://a.klaviyo.com/api/track", method)
    printf, text, token, *_ = shlex.split(line)
    assert (printf, text) == ("printf", "%s")
    said = token.replace("${KLAVIYO_PUBLIC_KEY:?}", "PUBKEY")
    assert json.loads(said) == json.loads(payload)


def test_a_url_cannot_leave_its_quotes():
    line = curl('{"token":"PUBKEY","event":"e"}', "http://127.0.0.1/it's$(id)", "post")
    assert line.endswith("'http://127.0.0.1/it%27s$(id)'")


def test_a_payload_whose_token_is_not_the_shown_one_is_never_printed():
    with pytest.raises(ValueError, match="does not begin with the token that is shown"):
        curl('{"token":"ABC123","event":"e"}', "https://a.klaviyo.com", "post")


@given(payloads)
def test_the_front_ends_call_is_printable_and_holds_no_mark_of_html(payload):
    call = learnq(payload)
    assert call.isprintable()
    assert not re.search("[<>&]", call)
    assert not re.search(r'(?<!\[)"__proto__": ', call)
