"""Draws keyed one by one, and those of a generator a block (`block_draws`)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.train.block_draws import built, keyed_block
from gristmill.train.draws import KeyedDraws, seeded, steady


@pytest.fixture(params=[seeded, built])
def make(request):
    """What makes an object with draws that depend on a seed alone."""
    return request.param


@pytest.fixture(params=[KeyedDraws, keyed_block])
def keyed(request):
    """A block whose draws depend on its keys alone."""
    return request.param


def test_what_is_made_depends_on_the_seed_alone(make):
    one = make(lambda: nn.Linear(4, 4), 7)
    torch.rand(3)
    again, other = make(lambda: nn.Linear(4, 4), 7), make(lambda: nn.Linear(4, 4), 8)
    assert torch.equal(one.weight, again.weight)
    assert not torch.equal(one.weight, other.weight)


def test_global_state_is_left_alone(make, keyed):
    before = torch.get_rng_state()
    make(lambda: nn.Linear(4, 4), 7)
    with keyed(1, "x", 2):
        torch.rand(100)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_state_is_left_alone_after_an_error(keyed):
    def fail() -> None:
        torch.rand(3)
        raise RuntimeError

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), keyed(1, "x"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_keys_tell_draws_apart(keyed):
    drawn = []
    for keys in (("draws", 1, 2), ("draws", 1, 2), ("draws", 2, 1), ("other", 1, 2)):
        with keyed(0, *keys):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])


def test_steady_restores_threads_even_after_an_error():
    seen = []

    def fail() -> None:
        seen.append(torch.get_num_threads())
        raise RuntimeError

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), steady(before + 1):
        fail()
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_a_part_draws_what_the_whole_does():
    def run(*parts: nn.Module, first: int) -> torch.Tensor:
        x = torch.ones(8)
        with KeyedDraws(3, "draws", 5, 1, first=first) as draws:
            for part in parts:
                x = part(x)
        assert draws.count == first + len(parts)
        return x

    layers = [nn.Dropout(0.5) for _ in range(3)]
    middle = run(layers[0], first=0)
    assert torch.equal(run(*layers, first=0), middle * run(*layers[1:], first=1))


def test_draws_on_the_meta_device_count():
    with torch.device("meta"), KeyedDraws(0, "weights") as draws:
        nn.Linear(3, 4)
    assert draws.count == 2


def test_the_generator_of_a_draw_is_not_moved_by_the_draws_before():
    with KeyedDraws(0, "x"):
        torch.rand(5)
        second = torch.rand(3)
    with KeyedDraws(0, "x"):
        torch.rand(500)
        assert torch.equal(torch.rand(3), second)


def test_what_others_draw_is_put_back_only_after_draws():
    with KeyedDraws(0, "x") as draws:
        torch.ones(3).add_(1)
        torch.manual_seed(5)
    assert draws.count == 0
    assert torch.initial_seed() == 5


def test_a_pause_does_not_see_draws_and_a_resumption_does():
    with KeyedDraws(0, "x"):
        first, second = torch.rand(3), torch.rand(3)
    with KeyedDraws(0, "x") as draws:
        assert KeyedDraws.active() is draws
        with draws.paused():
            assert KeyedDraws.active() is None
            torch.ones(2).add_(1)
            with draws.resumed():
                assert torch.equal(torch.rand(3), first)
            draws.seed_next()
            assert torch.equal(torch.rand(3), second)
        assert draws.count == 2
    assert KeyedDraws.active() is None


def test_a_pause_ends_with_an_error():
    def fail(draws: KeyedDraws) -> None:
        with draws.paused():
            raise RuntimeError

    with KeyedDraws(0, "x") as draws:
        with pytest.raises(RuntimeError):
            fail(draws)
        assert KeyedDraws.active() is draws


def test_another_mode_within_the_block_is_not_stepped_around():
    with KeyedDraws(0, "x"), torch.utils._python_dispatch.TorchDispatchMode():
        assert KeyedDraws.active() is None
