from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.draws import seeded
from gristmill.train.graphs.deferred import Deferred

ZOO = ["perceptron", "convnet", "unet", "encoder", "gpt", "recurrent", "llama", "t5", "repeating"]


class Juggled(nn.Module):
    """Initialisers of every kind, copies, ties, and weights made from other weights."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(7, 9)
        nn.init.trunc_normal_(self.a.weight, std=0.02)
        nn.init.orthogonal_(self.a.weight)
        self.b = nn.Linear(9, 7)
        self.b.weight.data = self.a.weight.data.t().contiguous() * 2
        self.c = nn.Linear(7, 9)
        self.c.weight = self.a.weight
        nn.init.kaiming_normal_(self.c.weight, mode="fan_out")
        self.rates = [rate.item() for rate in torch.linspace(0, 0.3, 4)]
        self.numbers = torch.arange(4).tolist()
        self.share = float(torch.linspace(0, 1, 5).numpy().sum())
        self.register_buffer("known", torch.tensor([1.0, 2.0, 3.0]))
        self.known[1] = 5
        self.register_buffer("order", torch.randperm(7))
        self.register_buffer("mask", torch.ones(4, 4).tril(), persistent=False)
        self.w = nn.Parameter(torch.randn(5, 3))
        with torch.no_grad():
            self.w[1:3].fill_(0.5)
            self.w.mul_(self.known[1])
            self.b.bias.copy_(self.w.sum(1).repeat(2)[:7])
        nn.init.sparse_(self.b.weight, 0.3)
        self.plain = torch.rand(3)
        self.norm = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
        self.spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))
        if self.w.abs().sum() > 0:
            self.extra = nn.Parameter(torch.empty(3).normal_())


def tensors(module):
    return {**module.state_dict(), **dict(module.named_buffers())}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("name", ZOO)
def test_weights_have_the_bits_of_seeded(name, zoo):
    factory, _ = zoo[name]
    expected = tensors(seeded(factory, 5))
    assert_equal(Deferred.of(factory, 5).materialise(expected), expected)


@pytest.mark.parametrize(
    "factory", [Juggled, lambda: Juggled().to("cpu").double(), lambda: Juggled().bfloat16()]
)
def test_every_initialiser_is_replayed_whole_and_one_by_one(factory):
    model = seeded(factory, 5)
    deferred = Deferred.of(factory, 5)
    expected = {**tensors(model), "plain": model.plain}
    assert_equal(deferred.materialise(expected), expected)
    for name, tensor in expected.items():
        into = {name: torch.empty_like(tensor)}
        made = deferred.materialise([name], into)
        assert made[name] is into[name]
        assert torch.equal(made[name], tensor), name
    assert deferred.module.rates == model.rates
    assert (deferred.module.numbers, deferred.module.share) == (model.numbers, model.share)


def test_the_module_is_on_meta_and_keeps_its_ties():
    module = Deferred.of(Juggled, 5).module
    assert all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    assert module.c.weight is module.a.weight
    assert module.state_dict().keys() == seeded(Juggled, 5).state_dict().keys()


def test_only_what_a_weight_depends_on_is_replayed():
    def factory():
        return nn.Sequential(*[nn.Linear(8, 8) for _ in range(20)])

    deferred = Deferred.of(factory, 5)
    operations = deferred._tape._needed({deferred._places["7.weight"].storage})
    names = [operation.function.__name__ for operation in operations]
    assert names == ["empty.memory_format", "uniform_.default"]


def test_a_model_larger_than_memory_can_be_built():
    deferred = Deferred.of(
        lambda: nn.Sequential(*[nn.Linear(200_000, 200_000) for _ in range(3)]), 5
    )
    assert sum(p.nbytes for p in deferred.module.parameters()) > 400e9
    bias = deferred.materialise(["2.bias"])["2.bias"]
    assert bias.shape == (200_000,)
    assert 0 < bias.abs().max() <= 200_000**-0.5


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    Deferred.of(Juggled, 5).materialise(["w"])
    assert torch.equal(before, torch.get_rng_state())


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="the model has no parameter or buffer called x, y"):
        Deferred.of(lambda: nn.Linear(2, 2), 0).materialise(["weight", "x", "y"])


def test_data_from_elsewhere_are_kept():
    def factory():
        layer = nn.Linear(2, 2)
        layer.weight.data = torch.from_numpy(torch.ones(2, 2).numpy() * 3)
        return layer

    expected = seeded(factory, 0).state_dict()
    assert_equal(Deferred.of(factory, 0).materialise(expected), expected)


def test_a_factory_whose_shapes_depend_on_data_is_refused():
    with pytest.raises(TrainError, match="cannot be built without memory for its weights"):
        Deferred.of(lambda: nn.Linear(2, len(torch.ones(3).nonzero())), 0)
