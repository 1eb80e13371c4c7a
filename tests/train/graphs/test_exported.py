"""What an export would drop in silence, or takes for granted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.train.graphs.capture import capture

X = torch.linspace(-1.0, 1.0, 20).reshape(5, 4)


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 5


def hook_if_graded(h, _):
    if h.requires_grad:
        h.register_hook(lambda gradient: gradient * 2)
    return h


def hooked(h, _):
    h.register_hook(lambda gradient: gradient * 2)
    return h


def branch_if_graded(h, _):
    return h * 3 if h.requires_grad else h


def own_backward(h, _):
    return Scale.apply(h)


def frozen_weight(h, weight):
    return h * 3 if weight.requires_grad else h


def enabled(h, _):
    return h * 3 if torch.is_grad_enabled() else h


class Model(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.first, self.last, self.act = nn.Linear(4, 4), nn.Linear(4, 2), act

    def forward(self, x):
        return self.last(self.act(self.first(x), self.first.weight))


class Block(Model):
    def __init__(self, act):
        super().__init__(act)
        self.last = nn.Linear(4, 4)


class Blocks(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.blocks, self.head = nn.ModuleList([Block(act), Block(act)]), nn.Linear(4, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def gradients(module, graph):
    """Return the output and gradients of a graph's stages, a layer each, chained in one tape."""
    held, values, found = dict(module.named_parameters()), {"input.0": X}, {}
    for at in range(len(graph.layers)):
        stage = graph.stage(at, at + 1)
        stage.bind({each.name: held[each.name].detach().clone() for each in stage.parameters})
        found |= stage.named_parameters()
        values |= stage({name: values[name] for name in stage.reads}, training=True)
    values["output"].sin().sum().backward()
    return values["output"], {name: each.grad for name, each in found.items()}


@pytest.mark.parametrize("kind", [Model, Blocks])
@pytest.mark.parametrize(
    ("act", "why"),
    [
        (hook_if_graded, "its forward asks whether a tensor requires a gradient"),
        (branch_if_graded, "its forward asks whether a tensor requires a gradient"),
        (hooked, "hook"),
        (own_backward, "which has its own backward"),
        (frozen_weight, None),
        (enabled, None),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_gradients_are_those_of_the_module_or_it_is_cut_elsewhere(kind, act, why):
    torch.manual_seed(0)
    module = kind(act)
    graph = capture(module, (X,))
    assert (graph.way == "exported") == (why is None)
    assert why is None or why in graph.why
    output = module(X)
    output.sin().sum().backward()
    found, grads = gradients(module, graph)
    assert torch.equal(found, output)
    assert all(torch.equal(each.grad, grads[name]) for name, each in module.named_parameters())
