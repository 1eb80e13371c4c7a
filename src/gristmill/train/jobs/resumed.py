"""The commit that a trial goes on from."""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.core.errors import UsageError
from gristmill.core.progress import current
from gristmill.train.jobs.identity import check_identity
from gristmill.train.jobs.trial_plan import TrialPlan
from gristmill.train.records.commit import Commit
from gristmill.train.records.record_store import RecordStore
from gristmill.train.records.recut import is_laid_out, recut_commit

IDENTITY = "identity"
"""Where a commit keeps what tells its trial from others."""


def resumed(
    store: RecordStore, number: int, plan: TrialPlan, identity: Mapping[str, str]
) -> Commit | None:
    """Return the last whole commit of a trial, its records as the plan cuts them; None before one.

    A damaged commit is told of, and the one before it taken.

    Args:
        store: the folder of the run.
        number: of the trial.
        plan: the trial as it is to go on.
        identity: of the trial as it is to go on; see `identity_of`.

    Raises:
        UsageError: the folder's trial is another one, or further on than its end.
        TrainError: all its commits are damaged.
    """
    commit = store.last(number)
    if commit is None:
        return None
    if commit.note:
        current().say(f"trial {number}: {commit.note}; it goes on from step {commit.step}")
    check_identity(commit.extra.get(IDENTITY, {}), identity, number)
    if commit.step > plan.spec.steps:
        raise UsageError(
            f"trial {number} has made {commit.step} steps, and {plan.spec.steps} are asked for",
            where=str(store.folder),
            fix="ask for at least as many, or train in a new folder",
        )
    layouts = {
        (number, at, section): layout
        for at, shard in enumerate(plan.shards)
        for section, layout in shard.layouts.items()
    }
    if is_laid_out(store, commit, layouts):
        return commit
    recut_commit(store, commit, layouts)
    return store.last(number, verify=False)
