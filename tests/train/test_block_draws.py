from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.train.block_draws import built, keyed_block


def test_what_is_built_depends_on_the_seed_alone():
    one = built(lambda: nn.Linear(4, 4), 7)
    torch.rand(3)
    again, other = built(lambda: nn.Linear(4, 4), 7), built(lambda: nn.Linear(4, 4), 8)
    assert torch.equal(one.weight, again.weight)
    assert not torch.equal(one.weight, other.weight)


def test_global_state_is_left_alone():
    before = torch.get_rng_state()
    built(lambda: nn.Linear(4, 4), 7)
    with keyed_block(1, "x", 2):
        torch.rand(100)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_state_is_left_alone_after_an_error():
    def fail() -> None:
        torch.rand(3)
        raise RuntimeError

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), keyed_block(1, "x"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_keys_tell_draws_apart():
    drawn = []
    for keys in (("draws", 1, 2), ("draws", 1, 2), ("draws", 2, 1), ("other", 1, 2)):
        with keyed_block(0, *keys):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])
