"""Captured models, and helpers that run them in stages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from tests.train.graphs.model_zoo import MODELS
from torch.utils import _pytree as pytree

from gristmill.train.draws import KeyedDraws, seeded
from gristmill.train.graphs.capture import capture


@dataclass
class Case:
    """A captured model, its factory and a maker of inputs."""

    name: str
    factory: object
    inputs: object
    graph: object


@cache
def captured(name, way=None):
    factory, inputs = MODELS[name]
    ways = {"ways": (way,)} if way else {}
    graph = capture(seeded(factory, 3), inputs(4, 5), **ways)
    return Case(name, factory, inputs, graph)


def bound_stages(case, cuts, seed=3):
    edges = [0, *sorted(cuts), len(case.graph.layers)]
    model = seeded(case.factory, seed)
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    stages = [case.graph.stage(first, last) for first, last in itertools.pairwise(edges)]
    for stage in stages:
        specs = (*stage.parameters, *stage.buffers)
        stage.bind({spec.name: held[spec.name].detach().clone() for spec in specs})
    return model, stages


def run_stages(stages, inputs, training):
    """Run forward as workers would: each value copied on its way. Returns output and records."""
    values = {f"input.{at}": tensor for at, tensor in enumerate(inputs)}
    records = []
    for stage in stages:
        taken = {}
        for name in stage.reads:
            value = values[name]
            graded = torch.is_grad_enabled() and value.requires_grad
            taken[name] = value.detach().clone().requires_grad_(graded)
        with KeyedDraws(7, "test", first=stage.first_draw) as draws:
            made = stage(taken, training=training)
        if training and not stage.varies:
            assert draws.count == stage.first_draw + stage.draws
        assert set(made) == set(stage.writes)
        values |= made
        records.append((taken, made))
    return values["output"], records


def run_backward(records, loss):
    grads = {}
    for taken, made in reversed(records):
        roots = [(loss, None)] if "output" in made else []
        roots += [(value, grads[name]) for name, value in made.items() if name in grads]
        if roots:
            torch.autograd.backward(*map(list, zip(*roots, strict=True)))
        grads |= {name: v.grad for name, v in taken.items() if v.is_leaf and v.grad is not None}


def total(output):
    """A loss that gives every element of every tensor in `output` another gradient."""
    tensors = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
    return sum((tensor * (at + 1)).sin().sum() for at, tensor in enumerate(tensors))


def assert_same(found, expected):
    assert pytree.tree_structure(found) == pytree.tree_structure(expected)
    for one, other in zip(*map(pytree.tree_leaves, (found, expected)), strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def assert_exact(case, cuts, rows, length, training, moved=False):
    """Two micro-batches forward and backward: outputs, gradients and buffers, bit for bit."""
    model, stages = bound_stages(case, cuts)
    model.train(training)
    for micro in range(2):
        torch.manual_seed(micro)
        inputs = case.inputs(rows, length)
        with KeyedDraws(7, "test"):
            expected = model(*inputs)
        total(expected).backward()
        output, records = run_stages(stages, inputs, training)
        assert_same(output, expected)
        if moved:
            move(stages)
        run_backward(records, total(output))
    for stage in stages:
        for name, parameter in stage.named_parameters().items():
            grad = model.get_parameter(name).grad
            assert (parameter.grad is None) == (grad is None), name
            assert grad is None or torch.equal(parameter.grad, grad), name
        for name, buffer in stage.named_buffers().items():
            assert torch.equal(buffer, model.get_buffer(name)), name
    owned = [name for stage in stages for name in stage.named_parameters()]
    assert sorted(owned) == sorted(dict(model.named_parameters()))


def move(stages):
    """Bind all tensors elsewhere and spoil where they were."""
    for stage in stages:
        held = {**stage.named_parameters(), **stage.named_buffers()}
        before = [tensor.data for tensor in held.values()]
        stage.bind({name: tensor.detach().clone() for name, tensor in held.items()})
        for tensor in before:
            tensor.fill_(77)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def zoo():
    """All models: name to (factory, maker of inputs)."""
    return MODELS


@pytest.fixture
def case():
    """`case(name, way=None)`: the captured model, captured once."""
    return captured


@pytest.fixture
def exact():
    """The check of a case: `exact(case, cuts, rows, length, training, moved=False)`."""
    return assert_exact


@pytest.fixture
def stages():
    """`stages(case, cuts)`: the eager module and the bound stages."""
    return bound_stages


@pytest.fixture
def forward():
    """`forward(stages, inputs, training)`: output and what each stage read and wrote."""
    return run_stages
