from __future__ import annotations

import pytest
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.graphs.program import Ref
from gristmill.train.graphs.sequential import chain, flattened, is_sequential


class Louder(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def nested():
    hooked = nn.Sequential(nn.Identity())
    hooked.register_forward_hook(lambda *_: None)
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())))
    model.add_module("loud", Louder(nn.Identity()))
    model.add_module("hooked", hooked)
    model.register_module("nothing", None)
    return model


def test_sequentials_within_are_flattened_unless_they_do_more():
    assert list(flattened(nested())) == ["0", "1.0", "1.1.0", "loud", "hooked"]
    assert not is_sequential(Louder())
    assert not is_sequential(nested().hooked)


def test_each_part_is_called_with_what_the_one_before_made():
    program = chain(nested(), 1)
    assert [(call.target, call.args) for call in program.calls[:2]] == [
        ("0", (Ref("input.0"),)), ("1.0", (Ref("value 0"),))
    ]  # fmt: skip
    assert program.output == Ref("value 4")
    assert chain(nn.Sequential(), 1).output == Ref("input.0")


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (Louder(), 1, "^Louder is no nn.Sequential$"),
        (nn.Sequential(), 2, "^an nn.Sequential takes one input, not 2$"),
    ],
)
def test_what_is_no_chain(module, inputs, message):
    with pytest.raises(TrainError, match=message):
        chain(module, inputs)
