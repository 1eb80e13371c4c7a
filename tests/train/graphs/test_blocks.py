from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.train.graphs.blocks import (
    ever_coarser,
    kind_of,
    leaves,
    repeated,
    twins,
    with_leaves,
)


def test_leaves_are_torchs_own_outermost_modules(zoo):
    gpt = zoo["gpt"][0]()
    assert {"words", "norm", "blocks.0.qkv", "blocks.2.mlp.3"} <= leaves(gpt)
    assert leaves(nn.Sequential(nn.LSTM(2, 2), nn.Sequential(nn.ReLU()))) == {"0", "1.0"}


def test_repeated_blocks_are_siblings_of_one_class(zoo):
    assert list(repeated(zoo["gpt"][0]())) == ["blocks.0", "blocks.1", "blocks.2"]
    assert list(repeated(zoo["perceptron"][0]())) == []


def test_twins_are_blocks_of_which_there_is_another(zoo):
    # The first block of T5 has the bias that the others are given.
    assert twins(zoo["t5"][0]()) == {"encoder.1", "encoder.2", "decoder.1", "decoder.2"}


def test_leaves_are_added_where_no_block_is(zoo):
    both = with_leaves(zoo["gpt"][0](), frozenset({"blocks.0", "blocks.1", "blocks.2"}))
    assert both == {"words", "positions", "blocks.0", "blocks.1", "blocks.2", "norm", "head"}


def test_what_stays_whole_grows(zoo):
    stacks, children = ever_coarser(zoo["translator"][0]())
    assert stacks == {"both.encoder", "both.decoder"}
    assert children == {"words", "head"}
    blocks, children = ever_coarser(zoo["gpt"][0]())
    assert blocks == {"blocks.0", "blocks.1", "blocks.2"}
    assert children == blocks | {"words", "positions", "norm", "head"}


class Block(nn.Module):
    def __init__(self, width=3, rate=0.1, note=None):
        super().__init__()
        self.layer, self.rate, self.note = nn.Linear(3, width), rate, note


@pytest.mark.parametrize("other", [Block(4), Block(rate=0.2), Block(note=[1]), nn.Linear(3, 3)])
def test_other_sizes_settings_or_classes_are_another_kind(other):
    assert kind_of(Block()) == kind_of(Block())
    assert kind_of(Block()) != kind_of(other)


def test_ties_freezing_and_hooks_count():
    tied, frozen, hooked = nn.Sequential(Block(), Block()), Block(), Block()
    free = kind_of(nn.Sequential(Block(), Block()))
    assert kind_of(tied) == free
    tied[1].layer.weight = tied[0].layer.weight
    assert kind_of(tied) != free
    frozen.layer.weight.requires_grad_(False)
    assert kind_of(frozen) != kind_of(Block())
    hooked.layer.register_forward_hook(lambda module, args, output: output)
    assert kind_of(hooked) != kind_of(Block())


def test_a_shared_object_is_one_setting_and_two_are_two():
    shared = object()
    assert kind_of(Block(note=shared)) == kind_of(Block(note=shared))
    assert kind_of(Block(note=object())) != kind_of(Block(note=shared))
    assert kind_of(Block(note={"a": torch.float32})) == kind_of(Block(note={"a": torch.float32}))
