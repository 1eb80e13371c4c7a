"""The weights of a trained model, from the records of its last commit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gristmill.core.errors import TrainError
from gristmill.train.graphs.layer_graph import LayerGraph
from gristmill.train.jobs.trial_plan import STATE
from gristmill.train.records.commit import Commit
from gristmill.train.records.export import export_commit
from gristmill.train.records.record_store import RecordStore

_BLOCK = 4096


def stored_weights(store: RecordStore, trial: int, graph: LayerGraph) -> dict[str, Tensor]:
    """Return the weights of a trial's last commit, as the model's state dict: tied ones twice.

    Args:
        store: where it was committed.
        trial: its number.
        graph: its model.

    Raises:
        TrainError: nothing was committed, or it is damaged.
    """
    found: dict[str, Tensor] = {}
    for record in _commit(store, trial).records:
        if record.section != STATE:
            area = _aligned(record.nbytes)
            store.read(trial, record, memoryview(area.numpy()))  # type: ignore[arg-type]
            found |= store.layout(record).views(area)
    return {name: found[first] for name, first in graph.skeleton.listed.items()}


def save_weights(store: RecordStore, trial: int, graph: LayerGraph, file: Path) -> None:
    """Write the weights of a trial's last commit as safetensors, in pieces: memory stays small.

    Args:
        store: where it was committed.
        trial: its number.
        graph: its model.
        file: appears whole or not at all.

    Raises:
        TrainError: nothing was committed, or a tensor is of a dtype that the format has not.
    """
    commit = _commit(store, trial)
    sections = {record.section for record in commit.records} - {STATE}
    export_commit(store, commit, file, sections=sections, names=graph.skeleton.listed)


def _commit(store: RecordStore, trial: int) -> Commit:
    commits = store.commits(trial)
    if not commits:
        raise TrainError(f"nothing of trial {trial} was committed", where=str(store.folder))
    return commits[-1]


def _aligned(nbytes: int) -> Tensor:
    """Return uint8[nbytes] that begins at a block of 4096 bytes."""
    room = torch.empty(nbytes + _BLOCK, dtype=torch.uint8)
    start = -room.data_ptr() % _BLOCK
    return room[start : start + nbytes]
