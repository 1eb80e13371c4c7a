from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEQUENCES = ["mlp", "tf", "gpt", "lstm", "llama", "t5", "albert", "branch", "two"]
IMAGES = ["cnn", "res", "unet"]
LOOK = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", ["seq", *SEQUENCES])
@LOOK
@given(data=st.data(), rows=st.integers(2, 5), length=st.integers(1, 8), training=st.booleans())
def test_stages_have_the_bits_of_the_module(name, case, exact, data, rows, length, training):
    found = case(name)
    cuts = data.draw(st.sets(st.integers(1, len(found.graph.layers) - 1)))
    exact(found, cuts, rows, length, training)


@pytest.mark.parametrize("name", IMAGES)
@LOOK
@given(data=st.data(), rows=st.integers(2, 4), length=st.integers(1, 3), training=st.booleans())
def test_stages_of_image_models_have_the_bits_of_the_module(
    name, case, exact, data, rows, length, training
):
    found = case(name)
    cuts = data.draw(st.sets(st.integers(1, len(found.graph.layers) - 1)))
    exact(found, cuts, rows, length, training)


@pytest.mark.parametrize("name", ["seq", "gpt", "lstm", "res", "t5"])
def test_weights_may_move_between_forward_and_backward(name, case, exact):
    found = case(name)
    exact(found, range(1, len(found.graph.layers)), 3, 4, training=True, moved=True)


@pytest.mark.parametrize("name", ["gpt", "tf", "res", "t5"])
def test_evaluation_without_gradients_has_the_bits_too(name, case, stages, forward):
    found = case(name)
    model, parts = stages(found, range(1, len(found.graph.layers)))
    inputs = found.inputs(3, 4)
    with torch.no_grad():
        expected = model.eval()(*inputs)
        output, _ = forward(parts, inputs, False)
    for one, other in zip(*map(torch.utils._pytree.tree_leaves, (output, expected)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["llama", "res"])
def test_a_model_cut_only_between_blocks_is_exact_too(name, case, exact):
    found = case(name, "blocks")
    assert found.graph.way == "blocks"
    exact(found, range(1, len(found.graph.layers)), 3, 4, training=True)
