import pytest

from backfill.sandbox import strict_json
from backfill.sandbox.store.event import RefusedError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": {"b": [1, 2.5, null]}}\n', {"a": {"b": [1, 2.5, None]}}, id="JSON"),
        pytest.param('{"a": "\\ud83d\\ude00"}', {"a": "\N{GRINNING FACE}"}, id="a whole pair"),
        pytest.param('{"a": "caf\\u00e9"}', {"a": "café"}, id="an escaped letter"),
        pytest.param('{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}, id="scopes"),
    ],
)
def test_json_is_read(text, expected):
    assert strict_json.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        pytest.param("", "json", "not JSON at character 0", id="nothing"),
        pytest.param('{"a": 1', "json", "not JSON", id="an end that is missing"),
        pytest.param('{"a": 1} x', "json", "not JSON", id="something behind the end"),
        pytest.param("{'a': 1}", "json", "not JSON", id="Python in place of JSON"),
        pytest.param('\ufeff{"a": 1}', "json", "not JSON", id="a byte order mark"),
        pytest.param('[{"a": 1}]', "object", "not an object", id="a list: Track takes one event"),
        pytest.param("1", "object", "not an object", id="a number"),
        pytest.param("null", "object", "not an object", id="null"),
        pytest.param('{"a": NaN}', "json", "NaN", id="NaN"),
        pytest.param('{"a": [-Infinity]}', "json", "Infinity", id="an infinity"),
        pytest.param('{"a": 1e999}', "json", "Infinity", id="an infinity in disguise"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "json", "not JSON", id="an endless integer"),
        pytest.param('{"a": 1, "a": 1}', "repeated_key", "'a' is given twice", id="a key twice"),
        pytest.param('{"x": [{"a": 1, "a": 2}]}', "repeated_key", "twice", id="deep inside too"),
        pytest.param('{"a": "\\ud800"}', "encoding", "surrogate", id="half of a surrogate pair"),
        pytest.param('{"a\\udc00": 1}', "encoding", "surrogate", id="in a key as well"),
        pytest.param('{"a":' * 100_000, "json", "too deeply", id="nested without an end"),
    ],
)
def test_lenient_json_is_refused(text, reason, message):
    with pytest.raises(RefusedError, match=message) as refused:
        strict_json.parse(text)

    assert refused.value.reason == reason
