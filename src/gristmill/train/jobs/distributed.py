"""The seam for replicas on several machines: what takes the place of shared memory there.

On one machine a `Replica` lets the others read its gradients where they lie, and all replicas have
the same weights in memory. Across machines three things have to travel, and nothing else changes:
the task graph, the parts of the parameters, and the bits. They are here, over any process group of
`torch.distributed` (gloo, NCCL); actors of Ray would join such a group too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup

from gristmill.train.jobs.gradients import GradientLayout, Gradients


class RemoteReplicas:
    """The other replicas of a stage, one in each process of a group.

    Sums are taken in the order of ranks, as in shared memory; the all-reduce of the library would
    add in an order of its own.

    Args:
        layout: where gradients lie, in as many parts as the group has processes.
        group: the processes, one replica each; None for the default group.
    """

    def __init__(self, layout: GradientLayout, group: ProcessGroup | None = None) -> None:
        self._layout, self._group = layout, group
        self._rank = distributed.get_rank(group)
        size = distributed.get_world_size(group)
        self._areas = [torch.zeros(layout.record.nbytes, dtype=torch.uint8) for _ in range(size)]
        self._gradients = [Gradients(layout, area) for area in self._areas]

    def reduce(self, parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, Tensor]:
        """Return the sums of all replicas' gradients, of this rank's part of the parameters.

        Args:
            parameters: with their gradients, which are dropped.
        """
        own = self._areas[self._rank]
        self._gradients[self._rank].publish(parameters)
        distributed.all_gather(self._areas, own.clone(), self._group)
        first, *others = self._gradients
        return first.total(self._rank, others)

    def spread(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        """Give all ranks the parameters that each has updated; called after the update."""
        for rank, names in enumerate(self._layout.parts):
            for name in names:
                distributed.broadcast(parameters[name].data, group_src=rank, group=self._group)
