from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.graphs.capture import capture


def test_a_stage_is_on_meta_until_bound_and_keeps_its_parameters(case, stages):
    found = case("sequence")
    stage = found.graph.stage(0, 2)
    assert all(parameter.is_meta for parameter in stage.named_parameters().values())
    _, (stage,) = stages(found, [])
    before = stage.named_parameters()
    before["0.weight"].grad = torch.ones(8, 4)
    tensors = {n: t.detach() + 1 for n, t in (before | stage.named_buffers()).items()}
    stage.bind(tensors)
    after = stage.named_parameters()
    assert all(after[name] is before[name] for name in before)
    assert after["0.weight"].data_ptr() == tensors["0.weight"].data_ptr()
    assert after["0.weight"].grad is not None


def test_a_stage_says_what_it_owns_and_changes(case):
    stage = case("sequence").graph.stage(1, 2)
    assert [spec.name for spec in stage.parameters] == ["1.0.weight", "1.0.bias"]
    assert set(stage.mutates) == {f"1.0.{n}" for n in ("running_mean", "running_var")} | {
        "1.0.num_batches_tracked"
    }
    assert (stage.first_draw, stage.draws, stage.reads) == (0, 1, ("value 0",))


def test_values_read_by_several_stages_travel_as_a_chain(case):
    graph = case("repeating").graph
    first, middle, last = graph.stage(0, 2), graph.stage(2, 3), graph.stage(3, len(graph.layers))
    assert middle.passes
    for written, read in middle.passes.items():
        assert read in first.writes
        assert written in last.reads
        assert written not in first.writes


@pytest.mark.parametrize(("first", "last"), [(0, 0), (2, 1)])
def test_an_empty_stage_is_refused(case, first, last):
    with pytest.raises(UsageError, match="a stage needs at least one layer, not"):
        case("sequence").graph.stage(first, last)


def test_a_cut_outside_the_model_is_refused(case):
    with pytest.raises(UsageError, match="cut 9 is not within 0 to 4, the model's layers"):
        case("sequence").graph.live(9)


def test_binding_names_what_is_missing_or_wrong(case):
    stage = case("sequence").graph.stage(0, 1)
    with pytest.raises(TrainError, match=r"layers 0 to 0: no tensor for 0\.weight among the 0"):
        stage.bind({})
    wrong = {"0.weight": torch.ones(2, 2), "0.bias": torch.ones(8)}
    with pytest.raises(TrainError) as error:
        stage.bind(wrong)
    assert str(error.value) == (
        "0.weight: expected float32 of shape [8, 4], found float32 of shape [2, 2]"
    )


def test_an_input_of_a_shape_that_was_not_captured_is_refused(case, stages):
    found = case("perceptron")
    _, (stage,) = stages(found, [])
    with pytest.raises(
        TrainError, match=r"input\.0: expected shape \[any, any\], found \[2, 3, 6\]"
    ):
        stage({"input.0": torch.ones(2, 3, 6)}, training=False)


def test_weights_changed_before_their_backward_are_noticed(case, stages):
    found = case("perceptron")
    _, (stage,) = stages(found, [])
    output = stage({"input.0": torch.ones(2, 6)}, training=True)["output"]
    with torch.no_grad():
        stage.named_parameters()["middle.weight"].add_(1)
    with pytest.raises(TrainError, match="needs was changed in place after the forward"):
        output.sum().backward()


class Average(nn.Module):
    """Replaces its buffer by a new tensor, and hooks its layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.layer.register_forward_hook(lambda module, args, output: output * 2)

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.layer(x) - self.mean


def test_replaced_buffers_end_in_the_bound_memory():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), Average(), nn.Linear(3, 2))
    graph = capture(model, (torch.ones(4, 3),))
    assert graph.way == "sequential"
    stage = graph.stage(0, 3)
    tensors = {name: t.detach().clone() for name, t in model.state_dict().items()}
    stage.bind(tensors)
    assert stage.mutates == ("1.mean",)
    for _ in range(3):
        x = torch.randn(4, 3)
        assert torch.equal(stage({"input.0": x}, training=True)["output"], model(x))
    assert torch.equal(tensors["1.mean"], model[1].mean)


def test_recorded_and_unrecorded_regions_are_kept_apart(case, stages):
    found = case("llama")
    _, (stage,) = stages(found, [])
    with torch.no_grad():
        output = stage({"input.0": found.inputs(2, 3)[0]}, training=False)["output"]
        assert not torch.is_grad_enabled()
    assert not output["logits"].requires_grad
    assert stage({"input.0": found.inputs(2, 3)[0]}, training=False)["output"][
        "logits"
    ].requires_grad
    assert torch.is_grad_enabled()
