from __future__ import annotations

import pytest
import sympy
import torch
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.sizes import Condition, InputSizes

LENGTH = sympy.Symbol("s0")
SOURCES = {LENGTH: (("input.0", 1), ("input.1", 0))}


def test_fixed_sizes_are_checked_and_free_ones_are_not():
    sizes = InputSizes({"input.0": (None, 3)})
    sizes.check({"input.0": torch.ones(7, 3), "other": 1})
    with pytest.raises(TrainError) as error:
        sizes.check({"input.0": torch.ones(7, 4)})
    assert str(error.value) == (
        "input.0: expected shape [any, 3], found [7, 4]\n"
        "  fix: pad or cut the input to that size, or capture the model with such an input"
    )


def test_a_condition_is_checked_wherever_its_sizes_are_known():
    condition = Condition(LENGTH > 4, SOURCES)
    assert condition.holds({"input.0": (2, 5)})
    assert not condition.holds({"input.1": (3, 9)})
    assert condition.holds({"input.2": (1,)})
    assert str(condition) == "input.0.shape[1] > 4"


def test_shapes_are_looked_at_once():
    class Counting(Condition):
        seen = 0

        def holds(self, shapes):
            Counting.seen += 1
            return super().holds(shapes)

    sizes = InputSizes({"input.0": (None, None)}, [Counting(LENGTH > 4, SOURCES)])
    for _ in range(3):
        sizes.check({"input.0": torch.ones(2, 5)})
    assert Counting.seen == 1


class Lengths(nn.Module):
    """Does something else with long inputs."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(x) * (2 if x.shape[1] > 4 else 1)

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Lengths.Block() for _ in range(3))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def test_code_that_branches_on_a_size_is_not_run_beyond_it():
    model = Lengths()
    graph = capture(model, (torch.ones(2, 6, 3),))
    assert (graph.way, len(graph.layers)) == ("exported", 3)
    stage = graph.stage(0, 3)
    stage.bind(dict(model.state_dict()))
    x = torch.randn(3, 5, 3)
    assert torch.equal(stage({"input.0": x}, training=True)["output"], model(x))
    with pytest.raises(TrainError, match=r"for inputs with input\.0\.shape\[1\] > 4, found input"):
        stage({"input.0": x[:, :4]}, training=True)
