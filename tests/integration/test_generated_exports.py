"""Over forty generated exports, a draft finds what the orders are worth, or asks; never wrong."""

from collections import Counter
from decimal import Decimal

import pytest

from backfill.errors import UsageError
from tests.drafts import drafted, events, ran
from tests.generated_exports import generate

pytestmark = pytest.mark.slow

SEEDS = range(40)


def money_of(found):
    sums = Counter()
    for event in events(found, "Placed Order"):
        properties = event["properties"]
        sums[event.get("currency", properties.get("$currency_code", ""))] += Decimal(
            str(properties["$value"])
        )
    return dict(sums)


def outcome(export, state):
    """``asked``, ``right``, or what is wrong."""
    try:
        draft = drafted(export.path)
    except UsageError as error:
        return f"wrong: {error}"
    if draft.questions:
        return "asked"
    found = ran(draft, [export.path], state)
    got = money_of(found)
    if got == {code: value for code, value in export.truth.items() if value}:
        return "right"
    return f"wrong: {got}, not {dict(export.truth)}; rejects {found['rejects'][:3]}"


def test_no_draft_is_wrong_and_at_most_a_third_ask(tmp_path):
    outcomes = {}
    for seed in SEEDS:
        export = generate(seed, tmp_path)
        outcomes[seed, *sorted(export.traps)] = outcome(export, tmp_path / f"state{seed}")
    wrong = {traps: found for traps, found in outcomes.items() if found.startswith("wrong")}
    counts = Counter(found.partition(":")[0] for found in outcomes.values())
    assert wrong == {}, f"{dict(counts)}: {wrong}"
    assert counts["asked"] * 3 <= len(SEEDS), outcomes
