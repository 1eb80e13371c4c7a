from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEQUENCES = ["perceptron", "encoder", "gpt", "recurrent", "llama", "t5", "repeating", "branching"]
OTHERS = ["two_inputs", "aliased", "wrapped", "skipping", "own_backward", "translator"]
IMAGES = ["convnet", "resnet", "unet"]
LOOK = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def some_cuts(graph):
    places = range(1, len(graph.layers))
    return st.sets(st.sampled_from(places)) if places else st.just(set())


@pytest.mark.parametrize("name", ["sequence", *SEQUENCES, *OTHERS])
@LOOK
@given(data=st.data(), rows=st.integers(2, 5), length=st.integers(1, 8), training=st.booleans())
def test_stages_have_the_bits_of_the_module(name, case, exact, data, rows, length, training):
    found = case(name)
    cuts = data.draw(some_cuts(found.graph))
    exact(found, cuts, rows, length, training)


@pytest.mark.parametrize("name", IMAGES)
@LOOK
@given(data=st.data(), rows=st.integers(2, 4), length=st.integers(1, 3), training=st.booleans())
def test_stages_of_image_models_have_the_bits_of_the_module(
    name, case, exact, data, rows, length, training
):
    found = case(name)
    cuts = data.draw(some_cuts(found.graph))
    exact(found, cuts, rows, length, training)


@pytest.mark.parametrize("name", ["sequence", "gpt", "recurrent", "resnet", "t5"])
def test_weights_may_move_between_forward_and_backward(name, case, exact):
    found = case(name)
    exact(found, range(1, len(found.graph.layers)), 3, 4, training=True, moved=True)


@pytest.mark.parametrize("name", ["gpt", "encoder", "resnet", "t5"])
def test_evaluation_without_gradients_has_the_bits_too(name, case, stages, forward):
    found = case(name)
    model, parts = stages(found, range(1, len(found.graph.layers)))
    inputs = found.inputs(3, 4)
    with torch.no_grad():
        expected = model.eval()(*inputs)
        output, _ = forward(parts, inputs, False)
    for one, other in zip(*map(torch.utils._pytree.tree_leaves, (output, expected)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["llama", "resnet"])
def test_a_model_cut_only_between_blocks_is_exact_too(name, case, exact):
    found = case(name, "blocks")
    assert found.graph.way == "blocks"
    exact(found, range(1, len(found.graph.layers)), 3, 4, training=True)
