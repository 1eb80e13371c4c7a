"""Which tensors a task changes: what another memory than the one it ran in has to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from gristmill.train.jobs.optimizer_state import owner_of
from gristmill.train.jobs.order import Order
from gristmill.train.jobs.running_trial import UPDATING
from gristmill.train.jobs.trial_plan import BUFFERS, STATE
from gristmill.train.records.layout import RecordLayout

Place: TypeAlias = tuple[int, str]
"""(shard, section) of a record."""


def changed_by(
    order: Order, layouts: Mapping[Place, RecordLayout], updates: Collection[str]
) -> dict[Place, Collection[str]]:
    """Return the names of the tensors that a task has changed in records.

    Args:
        order: of the task.
        layouts: of its records.
        updates: parameters of the stage that the device updates: all, or the replica's part.
    """
    kind = order.task.kind
    changed: dict[Place, Collection[str]] = {}
    for place, layout in layouts.items():
        names = [entry.name for entry in layout.entries]
        if place[1] == BUFFERS:
            # Replicas change copies; that of the first one is kept with the update.
            moves = kind == "forward" and order.replicas == 1
            if moves or (kind in UPDATING and order.task.replica == 0):
                changed[place] = names
        elif kind in UPDATING:
            changed[place] = [
                name for name in names if (owner_of(name) if place[1] == STATE else name) in updates
            ]
    return changed
