from __future__ import annotations

import pickle

import cloudpickle
import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.deferred import Deferred

WAYS = {
    "sequence": "sequential",
    "perceptron": "exported",
    "convnet": "exported",
    "resnet": "exported",
    "unet": "exported",
    "encoder": "exported",
    "gpt": "exported",
    "two_inputs": "exported",
    "recurrent": "exported",
    "llama": "exported",
    "repeating": "exported",
    "aliased": "exported",
    "wrapped": "exported",
    "branching": "blocks",
    "skipping": "blocks",
    "t5": "blocks",
    "translator": "blocks",
}


@pytest.mark.parametrize(("name", "way"), WAYS.items())
def test_the_way_taken_and_every_size_free(name, way, case):
    graph = case(name).graph
    assert graph.way == way
    assert all(size is None for shape in graph.sizes.shapes.values() for size in shape)


def test_a_branch_between_layers_leaves_the_model_whole_and_says_why(case):
    graph = case("branch_between").graph
    assert (graph.way, len(graph.layers)) == ("whole", 1)
    assert graph.why.startswith(
        "it cannot be cut; tried before: sequential: BranchBetween is no nn."
    )
    assert "data-dependent" in graph.why


def test_a_backward_of_its_own_is_not_lost(case):
    graph = case("own_backward").graph
    assert graph.way == "whole"
    assert "its forward calls Straight, which has its own backward" in graph.why


def test_blocks_that_branch_stay_whole_and_are_named(case):
    graph = case("branching").graph
    names = ", ".join(f"blocks.{at}" for at in range(4))
    start = f"its forward could be exported but for blocks ({names}: its forward branches on data"
    assert graph.why.startswith(start)
    assert len(graph.layers) == 6


def test_draws_are_counted(case):
    assert case("unet").graph.draws == 0
    assert case("gpt").graph.draws == 6
    names = [layer.name for layer in case("gpt").graph.layers]
    block = case("gpt").graph.stage(names.index("blocks.1.norm1"), names.index("blocks.2.norm1"))
    assert (block.first_draw, block.draws, block.varies) == (2, 2, False)
    assert case("skipping").graph.stage(0, 3).varies


def test_a_list_of_blocks_is_a_sequence(zoo):
    graph = capture(
        [nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))], (torch.ones(2, 4),)
    )
    assert (graph.way, [layer.name for layer in graph.layers]) == ("sequential", ["0", "1.1"])


def test_weights_are_owned_once_and_ties_cross_the_cuts(case):
    graph = case("gpt").graph
    owners = {spec.name: layer.name for layer in graph.layers for spec in layer.parameters}
    assert owners["words.weight"] == "words"
    assert "head.weight" not in owners
    assert "tensor:words.weight" in graph.live(1)
    assert graph.live(0) == graph.live(len(graph.layers)) == ()


def test_the_module_is_left_as_it_was(zoo):
    factory, inputs = zoo["resnet"]
    module, example = factory().eval(), inputs(4, 5)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    objects = [id(tensor) for tensor in module.parameters()]
    state = torch.get_rng_state()
    capture(module, example)
    assert not any(part.training for part in module.modules())
    assert [id(tensor) for tensor in module.parameters()] == objects
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_graph_without_weights_is_small_and_travels(case):
    huge = Deferred.of(lambda: nn.Sequential(*[nn.Linear(50_000, 50_000) for _ in range(4)]), 0)
    graph = capture(huge.module, (torch.empty(2, 50_000),))
    payload = cloudpickle.dumps(graph)
    assert len(payload) < 20_000
    assert pickle.loads(payload).layers == graph.layers
    small = case("t5").graph
    assert pickle.loads(cloudpickle.dumps(small)).live(3) == small.live(3)


def test_a_module_on_meta_is_captured_as_one_with_weights(zoo, case):
    factory, inputs = zoo["perceptron"]
    graph = capture(Deferred.of(factory, 3).module, inputs(4, 5))
    assert graph.layers == case("perceptron").graph.layers


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.ones(2), "the example must be a tuple of tensors"),
        ((), r"the example must be a tuple of tensors, not \(\)"),
        ((3,), "the example must hold tensors only, it holds int"),
    ],
)
def test_a_wrong_example_is_refused(example, message):
    with pytest.raises(UsageError, match=message):
        capture(nn.Linear(2, 2), example)


def test_an_unknown_way_is_refused():
    with pytest.raises(UsageError, match="ways must be among sequential, exported, blocks, whole"):
        capture(nn.Linear(2, 2), (torch.ones(1, 2),), ways=("magic",))


def test_no_way_that_works_is_an_error_with_reasons():
    with pytest.raises(
        TrainError, match=r"Linear could not be captured\. sequential: Linear is no"
    ):
        capture(nn.Linear(2, 2), (torch.ones(1, 2),), ways=("sequential",))


def test_lazy_modules_are_refused():
    with pytest.raises(TrainError, match="weight has no shape yet: it belongs to a lazy module"):
        capture(nn.LazyLinear(2), (torch.ones(1, 2),))
