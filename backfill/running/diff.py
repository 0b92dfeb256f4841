"""What an edit of a schema does to the events of an export, before it is run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backfill.account.account import Account, wire_of
from backfill.errors import StoppedByUserError
from backfill.planning.difference import Comparison, difference
from backfill.planning.judgement import Known
from backfill.planning.make import make_plan
from backfill.running.folder import State, disk_of
from backfill.running.lock import hold
from backfill.running.settings import Exports, Hooks, Options, bounds_of, chosen, prepare
from backfill.schema.id_rule import id_rules
from backfill.schema.load import LoadedSchema


def compare(
    old: LoadedSchema,
    new: LoadedSchema,
    exports: Exports,
    state: Path,
    account: Account,
    options: Options,
    hooks: Hooks,
) -> Comparison:
    """Plan by both, side by side; nothing is sent, and nothing stays in the state folder."""
    now = datetime.now(UTC)
    ready, rules = {}, []
    for side, loaded in (("old", old), ("new", new)):
        found, profiles = chosen(loaded, timezone=options.timezone, profiles=options.profiles)
        bounds = bounds_of(found.schema, options.until, now, min_time_s=account.api.min_time_s)
        rules.append(id_rules(found.schema))
        ready[side] = (*prepare(found, exports, account.api), profiles, bounds)

    def on_rows(rows: int) -> None:
        if hooks.stop.is_set():
            raise StoppedByUserError(
                "stopped while planning; nothing was sent; run the same command"
            )
        hooks.on_rows(rows)

    with _folder(state) as folder:
        plans = {
            side: make_plan(
                bound,
                export,
                folder / side,
                profiles=profiles,
                bounds=bounds,
                limits=wire_of(account),
                known=Known(),
                on_rows=on_rows,
            )
            for side, (export, bound, profiles, bounds) in ready.items()
        }
        on_rows(0)
        answer = difference(plans["old"], plans["new"], folder / "spill")
    before, after = rules
    edited = tuple(name for name in after if name in before and before[name] != after[name])
    return Comparison(answer, ready["new"][0].files, edited)


@contextmanager
def _folder(state: Path) -> Iterator[Path]:
    """A folder that is gone afterwards; what a killed process left goes with its successor."""
    with hold(state):
        State(state).drop_dead_plans()
        folder = State(state).scratch
        try:
            with disk_of(folder):
                folder.mkdir(mode=0o700)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
