import pytest

from backfill.sandbox import Faults, FaultsError
from backfill.sandbox.faults.script import ANSWERS, NO_FAULTS


def played(faults, numbers):
    """Which request gets which answer."""
    decided = {number: faults.decide(number) for number in numbers}
    return {number: fault.answer for number, fault in decided.items() if fault is not None}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"at": [3, 7]}, {3, 7}, id="at plays these"),
        pytest.param({"from": 4, "to": 6}, {4, 5, 6}, id="from and to play both ends"),
        pytest.param({"from": 8}, {8, 9, 10}, id="from alone has no end"),
        pytest.param({"rate": 1}, set(range(1, 11)), id="a rate of one plays all"),
        pytest.param({"rate": 0}, set(), id="a rate of nothing plays none"),
    ],
)
def test_a_rule_says_which_requests(rule, expected):
    faults = Faults.of({"faults": [{**rule, "answer": 500}]})

    assert set(played(faults, range(1, 11))) == expected


def test_the_first_rule_that_fits_is_played():
    faults = Faults.of(
        {"faults": [{"at": [2], "answer": "drop"}, {"from": 1, "to": 3, "answer": 429}]}
    )

    assert played(faults, range(1, 5)) == {1: "429", 2: "drop", 3: "429"}


def test_a_text_chooses_the_requests_that_have_it():
    faults = Faults.of(
        {"faults": [{"contains": "O-7", "answer": 403}, {"at": [2], "answer": "drop"}]}
    )
    texts = ["O-1", "O-2", "an O-7 in it", ""]

    decided = [faults.decide(number, text) for number, text in enumerate(texts, 1)]

    assert [fault and fault.answer for fault in decided] == [None, "drop", "403", None]


def test_a_rate_is_a_share_of_all_requests():
    faults = Faults.of({"seed": 7, "faults": [{"rate": 0.02, "answer": 500}]})

    assert 150 < len(played(faults, range(1, 10_001))) < 250


def test_a_script_plays_the_same_everywhere():
    """By value: a script that is kept with a bug report has to play on any machine."""
    faults = Faults.of(
        {"seed": 7, "faults": [{"rate": 0.1, "answer": 500}, {"rate": 0.1, "answer": "drop"}]}
    )

    assert played(faults, reversed(range(1, 31))) == {
        11: "500",
        14: "drop",
        21: "500",
        26: "500",
    }


def test_another_seed_draws_other_requests():
    script = {"faults": [{"rate": 0.5, "answer": 500}]}

    one, two = (played(Faults.of({**script, "seed": seed}), range(1, 101)) for seed in (1, 2))

    assert one != two


def test_two_rates_draw_independently():
    """One draw for both would leave nothing to the second."""
    rules = [{"rate": 0.5, "answer": 500}, {"rate": 0.5, "answer": 502}]

    assert "502" in played(Faults.of({"faults": rules}), range(1, 101)).values()


def test_without_a_script_nothing_happens():
    assert NO_FAULTS.decide(1) is None


def test_a_file_is_read(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text(
        "seed: 7\n"
        "faults:\n"
        "  - {at: [1], answer: 429, retry_after: 2}\n"
        "  - {from: 2, to: 2, answer: slow, seconds: 0.2}\n"
        "  - {at: [3], answer: '503'}\n"
    )

    faults = Faults.read(path)

    assert faults.seed == 7
    assert [faults.decide(number).answer for number in (1, 2, 3)] == ["429", "slow", "503"]
    assert [faults.decide(number).retry_after_s for number in (1, 3)] == [2, 1]
    assert faults.decide(2).seconds == 0.2


@pytest.mark.parametrize("answer", ANSWERS)
def test_each_answer_can_be_asked_for(answer):
    seconds = {"seconds": 0} if answer in ("slow", "surplus") else {}

    assert played(Faults.of({"faults": [{"at": [1], "answer": answer, **seconds}]}), [1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "", "faults.yaml: must be a mapping with keys out of seed, faults", id="empty"
        ),
        pytest.param("- at: [1]\n", "faults.yaml: must be a mapping", id="a bare list"),
        pytest.param("seed: 7\n", 'faults.yaml: "faults" must be a list', id="no faults"),
        pytest.param("seed: x\nfaults: []\n", 'yaml:1: "seed" must be an integer', id="no seed"),
        pytest.param("faults:\n  - 429\n", "yaml:2: fault 1: must be a mapping", id="no rule"),
        pytest.param(
            "faults:\n  - {at: [1], answer: 429}\n  - {answer: 429}\n",
            "yaml:3: fault 2: takes exactly one of at, from, rate, contains",
            id="no numbers",
        ),
        pytest.param(
            "faults:\n  - {at: [1], rate: 0.5, answer: 429}\n", "exactly one of", id="two kinds"
        ),
        pytest.param(
            "faults:\n  - at: [1]\n    anwser: 429\n",
            'yaml:3: fault 1: "anwser" is not a key here; did you mean answer',
            id="a key misspelt",
        ),
        pytest.param(
            "faults:\n  - at: [1]\n", 'fault 1: "answer" must be one of 302', id="no answer"
        ),
        pytest.param(
            "faults:\n  - at: [1]\n    answer: 418\n",
            'yaml:3: fault 1: "answer" must',
            id="a teapot",
        ),
        pytest.param(
            "faults:\n  - {at: 1, answer: 429}\n", '"at" must be a list', id="a bare number"
        ),
        pytest.param(
            "faults:\n  - {at: [0], answer: 429}\n", '"at" must be a list', id="number zero"
        ),
        pytest.param(
            "faults:\n  - {at: [true], answer: 429}\n", '"at" must be a list', id="a boolean"
        ),
        pytest.param(
            "faults:\n  - {from: 5, to: 4, answer: 429}\n",
            '"to" must be an integer from 5',
            id="back",
        ),
        pytest.param(
            "faults:\n  - {at: [1], to: 4, answer: 429}\n",
            '"to" goes with "from" only',
            id="to alone",
        ),
        pytest.param(
            "faults:\n  - {rate: 2, answer: 429}\n",
            '"rate" must be a number from 0 to 1',
            id="a percent",
        ),
        pytest.param(
            "faults:\n  - {rate: .nan, answer: 429}\n", '"rate" must be a number', id="NaN"
        ),
        pytest.param(
            "faults:\n  - {at: [1], answer: 500, retry_after: 1}\n",
            '"retry_after" goes with 429 and 503 only',
            id="a wait without a reason",
        ),
        pytest.param(
            "faults:\n  - at: [1]\n    answer: 500\n    retry_after: 1\n",
            'yaml:4: fault 1: "retry_after" goes with 429 and 503 only',
            id="on a line of its own",
        ),
        pytest.param(
            "faults:\n  - {at: [1], answer: 429, retry_after: 0.5}\n",
            '"retry_after" must be an integer from 0',
            id="half a second",
        ),
        pytest.param(
            "faults:\n  - {at: [1], answer: slow}\n", '"seconds" goes with slow', id="slow by what"
        ),
        pytest.param(
            "faults:\n  - {at: [1], answer: surplus}\n", "slow and surplus", id="surplus when"
        ),
        pytest.param(
            "faults:\n  - {contains: '', answer: 403}\n",
            '"contains" must be a text of one character',
            id="contains nothing",
        ),
        pytest.param(
            "faults:\n  - {contains: 7, answer: 403}\n", '"contains" must be a text', id="a number"
        ),
        pytest.param(
            "faults:\n  - {contains: x, rate: 1, answer: 403}\n", "exactly one of", id="and a rate"
        ),
        pytest.param(
            "faults:\n  - {at: [1], answer: drop, seconds: 1}\n", '"seconds" goes', id="a slow drop"
        ),
        pytest.param("faults: [\n", "yaml:2: not valid YAML", id="no YAML"),
        pytest.param("seed: 1\nseed: 2\n", "yaml:2: not valid YAML: found duplicate", id="twice"),
    ],
)
def test_a_problem_is_one_sentence_with_its_place(tmp_path, text, message):
    path = tmp_path / "faults.yaml"
    path.write_text(text)

    with pytest.raises(FaultsError) as error:
        Faults.read(path)

    lines = str(error.value).split("\n")
    assert any(message in line for line in lines)
    assert all(line.startswith(str(path)) for line in lines)


def test_all_problems_come_at_once(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("sed: 1\nfaults:\n  - {at: [1], answer: 429}\n  - {rate: 2, answer: 418}\n")

    with pytest.raises(FaultsError) as error:
        Faults.read(path)

    assert str(error.value).split("\n") == [
        f'{path}:4: fault 2: "rate" must be a number from 0 to 1',
        f'{path}:4: fault 2: "answer" must be one of {", ".join(ANSWERS)}',
        f'{path}:1: "sed" is not a key here; did you mean seed?',
    ]


@pytest.mark.parametrize("key", ["at", "from", "to", "rate", "contains", "retry_after", "seconds"])
def test_a_key_without_a_value_is_not_a_key_left_out(key):
    with pytest.raises(FaultsError, match=f'fault 1: "{key}" must be'):
        Faults.of({"faults": [{"from": 1, "answer": "429", key: None}]})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FaultsError, match=r"none\.yaml: cannot be read: No such file"):
        Faults.read(tmp_path / "none.yaml")


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(FaultsError, match=r"faults\.yaml: is not UTF-8 text"):
        Faults.read(path)


def test_a_python_object_has_no_lines():
    with pytest.raises(FaultsError, match=r'^faults: fault 1: "answer" must be one of'):
        Faults.of({"faults": [{"at": [1], "answer": "maybe"}]})
