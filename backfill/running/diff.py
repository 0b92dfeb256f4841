"""What an edit of a schema does to the events of an export, before it is run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backfill.account.account import Account, wire_of
from backfill.planning.difference import Comparison, difference
from backfill.planning.judgement import Known
from backfill.running.folder import StateFolder, disk_errors
from backfill.running.lock import hold
from backfill.running.prepare import Exports, prepare
from backfill.running.settings import Hooks, Options
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
    """Plan the export with both schemas. Nothing is sent, and nothing stays in the state folder."""
    before, after = (prepare(loaded, exports, options, account.api) for loaded in (old, new))
    with _temporary_folder(state) as folder:
        old_plan, new_plan = (
            prepared.make_plan(folder / side, limits=wire_of(account), known=Known(), hooks=hooks)
            for side, prepared in (("old", before), ("new", after))
        )
        hooks.report_rows(0)
        answer = difference(old_plan, new_plan, folder / "spill")
    old_rules, new_rules = id_rules(before.schema), id_rules(after.schema)
    edited = tuple(name for name, rule in new_rules.items() if rule != old_rules.get(name, rule))
    return Comparison(answer, after.export.files, edited)


@contextmanager
def _temporary_folder(state: Path) -> Iterator[Path]:
    """A folder that is removed at the end. After a kill, the next run removes it."""
    with hold(state):
        StateFolder(state).drop_abandoned_plans()
        folder = StateFolder(state).temporary
        try:
            with disk_errors(folder):
                folder.mkdir(mode=0o700)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
