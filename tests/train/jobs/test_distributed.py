"""Replicas over a process group beside sums in the order of ranks."""

from __future__ import annotations

import torch
from torch import distributed, multiprocessing
from torch.nn import Parameter

from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.distributed import RemoteReplicas
from gristmill.train.jobs.gradients import GradientLayout

SPECS = [TensorSpec(f"p{at}", (size,), "float32") for at, size in enumerate((5, 40, 7))]
RANKS = 2


def gradients_of(rank):
    draw = torch.Generator().manual_seed(rank)
    return {each.name: torch.randn(each.shape, generator=draw) for each in SPECS}


def step(rank, store):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS
    )
    parameters = {each.name: Parameter(torch.zeros(each.shape)) for each in SPECS}
    for name, gradient in gradients_of(rank).items():
        parameters[name].grad = gradient
    replicas = RemoteReplicas(GradientLayout.of(SPECS, RANKS))
    for name, total in replicas.reduce(parameters).items():
        parameters[name].data -= total
    replicas.spread(parameters)
    for name, parameter in parameters.items():
        wanted = gradients_of(0)[name]
        for other in range(1, RANKS):
            wanted = wanted + gradients_of(other)[name]
        assert torch.equal(parameter.data, 0 - wanted), name
    distributed.destroy_process_group()


def test_every_rank_ends_with_the_same_update(tmp_path):
    store = str(tmp_path / "store")
    multiprocessing.start_processes(step, (store,), nprocs=RANKS, start_method="fork")
