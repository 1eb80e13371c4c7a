"""Sums of replicas' gradients beside plain sums, in the order of replicas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Parameter

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.gradients import GradientLayout, Gradients, divided

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def specs_of(sizes, dtypes=("float32",)):
    return [
        TensorSpec(f"p{at}", (size,), dtypes[at % len(dtypes)]) for at, size in enumerate(sizes)
    ]


def area_of(layout):
    return Gradients(layout, torch.zeros(layout.record.nbytes, dtype=torch.uint8))


@given(SIZES, st.integers(1, 4))
def test_parts_hold_every_parameter_once_and_about_as_much(sizes, parts):
    specs = specs_of(sizes)
    found = divided(specs, parts)
    assert sorted(each.name for part in found for each in part) == [each.name for each in specs]
    loads = [sum(each.nbytes for each in part) for part in found]
    assert max(loads) - min(loads) <= 4 * max(sizes)


@settings(deadline=None)
@given(SIZES, st.integers(1, 4), st.booleans(), st.data())
def test_sums_are_taken_in_the_order_of_replicas(sizes, replicas, mixed, data):
    specs = specs_of(sizes, ("float32", "float64") if mixed else ("float32",))
    layout = GradientLayout.of(specs, replicas)
    areas = [area_of(layout) for _ in range(replicas)]
    everyone = data.draw(st.booleans())
    draw = torch.Generator().manual_seed(len(sizes))
    wanted = {}
    for area in areas:
        parameters = {each.name: Parameter(torch.zeros(each.shape, dtype=each.torch_dtype))
                      for each in specs}  # fmt: skip
        for name, parameter in parameters.items():
            if everyone or data.draw(st.booleans()):
                parameter.grad = torch.randn(parameter.shape, dtype=parameter.dtype, generator=draw)
                known = wanted.get(name)
                wanted[name] = parameter.grad if known is None else known + parameter.grad
        area.publish(parameters)
        assert all(each.grad is None for each in parameters.values())
    found = {}
    for part in range(replicas):
        found |= areas[0].total(part, areas[1:])
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_step_without_a_gradient_leaves_nothing_of_the_one_before():
    layout = GradientLayout.of(specs_of([3]), 1)
    area, parameter = area_of(layout), Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    area.publish({"p0": parameter})
    area.publish({"p0": parameter})
    assert area.total(0, []) == {}


def test_sparse_gradients_are_refused():
    area, parameter = area_of(GradientLayout.of(specs_of([3]), 1)), Parameter(torch.zeros(3))
    parameter.grad = torch.zeros(3).to_sparse()
    with pytest.raises(TrainError) as caught:
        area.publish({"p0": parameter})
    assert str(caught.value).startswith("p0: replicas add dense gradients, found a sparse one")
