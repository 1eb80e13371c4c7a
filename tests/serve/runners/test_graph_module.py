"""A graph as a module: what `Graph` computes, open to being captured again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.core.errors import BundleError
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.graph_module import GraphModule
from gristmill.train.draws import seeded
from gristmill.train.export import export_graph

EXAMPLE = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.MaxPool2d(2)),
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 2, 2), nn.AvgPool2d(2), nn.Flatten()),
        lambda: nn.Sequential(nn.ChannelShuffle(3), nn.Upsample(scale_factor=2), nn.Softmax(1)),
    ],
    ids=["convolution", "transposed", "shuffle"],
)
def test_it_computes_what_the_graph_computes_and_can_be_captured_again(make):
    spec, weights = export_graph(seeded(make, 0).eval(), EXAMPLE)
    module = GraphModule(spec, weights).eval()
    (expected,) = Graph(spec, weights)(EXAMPLE)
    with torch.no_grad():
        (found,) = module(EXAMPLE)
    assert torch.equal(found, expected)
    again, its_weights = export_graph(module, EXAMPLE)
    assert torch.equal(Graph(again, its_weights)(EXAMPLE)[0], expected)


def test_a_weight_that_is_missing_is_named():
    spec, _ = export_graph(nn.Conv2d(3, 2, 3), EXAMPLE)
    with pytest.raises(BundleError, match="expected a weight"):
        GraphModule(spec, {})
