"""The gates between a plan and its delivery: each lets a plan pass, or raises GateError."""

from collections.abc import Mapping

from backfill.errors import GateError
from backfill.ledger.ledger import Ledger
from backfill.mapping.times import DAY_FOR_MONTH
from backfill.planning.plan import Plan
from backfill.running.settings import Options, RejectLimit
from backfill.schema.id_rule import id_rules
from backfill.schema.model import Schema


def check_gates(plan: Plan, rules: Mapping[str, str], ledger: Ledger, options: Options) -> None:
    """Raise GateError for the first gate that does not let the plan pass.

    Args:
        plan: what would be sent.
        rules: the rule of the ids of each metric.
        ledger: knows the rules of delivered events.
        options: which gates are closed.
    """
    if options.expect is not None:
        _check_digest(plan.judgement.digest, options.expect)
    if options.max_rejects is not None:
        _check_rejects(plan, options.max_rejects)
    else:
        _check_days_and_months(plan)
    if not options.equal_rows:
        _check_equal_rows(plan)
    if not options.new_ids:
        _check_id_rules(rules, ledger)


def planned_rules(schema: Schema, plan: Plan) -> dict[str, str]:
    """The rule of the ids of each metric that has events in the plan."""
    planned = {metric.metric for metric in plan.judgement.metrics}
    return {name: rule for name, rule in id_rules(schema).items() if name in planned}


def _check_digest(digest: str, expected: str) -> None:
    if digest != expected:
        raise GateError(
            f"this plan's digest is {digest} and not {expected}: export, schema or "
            "--profiles are not those that you looked at; nothing was sent"
        )


def _check_rejects(plan: Plan, limit: RejectLimit) -> None:
    rejected = plan.counts.orders_rejected
    orders = rejected + plan.counts.orders_accepted
    if limit.is_exceeded(rejected, orders):
        raise GateError(
            f"{rejected:,} of {orders:,} orders are rejects, more than --max-rejects "
            f"{limit}; nothing was sent"
        )


def _check_days_and_months(plan: Plan) -> None:
    if swapped := plan.reasons.get(DAY_FOR_MONTH, 0):
        raise GateError(
            f"{swapped:,} orders have a time that fits only with day and month the other way "
            "round, so others may be read wrong in silence; correct the format in the schema, "
            "or pass --max-rejects N if just these cells are wrong; nothing was sent"
        )


def _check_equal_rows(plan: Plan) -> None:
    if plan.equal_rows:
        orders = plan.counts.orders_accepted + plan.counts.orders_rejected
        raise GateError(
            f"{plan.equal_rows:,} of {orders:,} orders ({plan.equal_rows / orders:.0%}) have rows "
            "that are equal in every column, and each would count as a line, as after a join that "
            "doubled the rows; export them without copies, or pass --equal-rows if each row is a "
            "line of its own; nothing was sent"
        )


def _check_id_rules(rules: Mapping[str, str], ledger: Ledger) -> None:
    delivered = ledger.metrics()
    for metric, rule in rules.items():
        if metric in delivered and rule not in ledger.rules(metric):
            raise GateError(
                f'the schema makes other ids for "{metric}" than those already delivered, so '
                "delivered orders would be sent a second time; undo the edit of $event_id (or of "
                "what it is made of), or pass --new-ids if the edit is meant, for example because "
                "another schema brings other orders; nothing was sent"
            )
