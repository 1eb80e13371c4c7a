from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.jobs.clipping import clip_scale


@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(1e-3, 1e3))
def test_bits_are_those_of_torch(seed, count, max_norm):
    draw = torch.Generator().manual_seed(seed)
    shapes = torch.randint(1, 40, (count, 2), generator=draw).tolist()
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for number, each in enumerate(parameters):
        if number % 5 != 4:
            each.grad = torch.randn(each.shape, generator=draw) * 10
    norms = {
        str(number): torch.linalg.vector_norm(each.grad).item()
        for number, each in enumerate(parameters)
        if each.grad is not None
    }
    before = [each.grad.clone() if each.grad is not None else None for each in parameters]
    norm, scale = clip_scale(norms, [str(number) for number in range(count)], max_norm)
    assert norm == torch.nn.utils.clip_grad_norm_(parameters, max_norm).item()
    for each, was in zip(parameters, before, strict=True):
        if was is not None:
            assert torch.equal(each.grad, was * torch.tensor(scale, dtype=torch.float32))


def test_without_gradients_nothing_is_scaled():
    assert clip_scale({}, ["a", "b"], 1.0) == (0.0, 1.0)
