"""Building without memory: what is recorded, and what a replay makes of it."""

from __future__ import annotations

import torch

from gristmill.train.graphs.tape import Disguise, Tape


def seeded(number):
    torch.default_generator.manual_seed(100 + number)


def recorded(build):
    """Build under a tape; return it and the places of what was built."""
    tape = Tape(seeded)
    with torch.random.fork_rng(devices=[]), Disguise(tape), tape:
        made = build()
        places = {name: tape.place(tensor) for name, tensor in made.items()}
    return tape, made, places


def replayed(tape, places):
    with torch.random.fork_rng(devices=[]):
        return {name: tensor.clone() for name, tensor in tape.replay(places)}


def test_nothing_is_computed_and_a_replay_has_the_bits():
    def build():
        a = torch.randn(3, 4)
        return {"a": a, "b": (a @ torch.randn(4, 2)).relu_()}

    tape, made, places = recorded(build)
    assert {each.device.type for each in made.values()} <= {"meta", "cpu"}
    assert tape.draws == 2
    found = replayed(tape, places)
    with torch.random.fork_rng(devices=[]):
        seeded(0)
        a = torch.randn(3, 4)
        seeded(1)
        b = (a @ torch.randn(4, 2)).relu_()
    assert torch.equal(found["a"], a)
    assert torch.equal(found["b"], b)


def test_only_what_a_tensor_depends_on_is_done_again():
    done = []
    tape = Tape(done.append)
    with torch.random.fork_rng(devices=[]), Disguise(tape), tape:
        first, second = torch.empty(4), torch.empty(4)
        first.uniform_()
        second.uniform_()
        place = tape.place(second)
    list(tape.replay({"second": place}))
    assert done == [1]


def test_views_share_memory_and_order_counts():
    def build():
        a = torch.zeros(4)
        a[1:3].fill_(2.0)
        b = a.clone()
        a.mul_(5.0)
        return {"a": a, "b": b, "part": a[2:]}

    tape, _, places = recorded(build)
    found = replayed(tape, places)
    assert found["a"].tolist() == [0.0, 10.0, 10.0, 0.0]
    assert found["b"].tolist() == [0.0, 2.0, 2.0, 0.0]
    assert found["part"].tolist() == [10.0, 0.0]
    assert places["part"].storage == places["a"].storage


def test_data_that_were_there_before_are_kept_as_they_were():
    table = torch.tensor([1.0, 2.0, 3.0])

    def build():
        return {"a": torch.zeros(3) + table}

    tape, _, places = recorded(build)
    table.fill_(9.0)
    assert replayed(tape, places)["a"].tolist() == [1.0, 2.0, 3.0]
    assert replayed(tape, places)["a"].tolist() == [1.0, 2.0, 3.0]  # a second time, too


def test_a_question_about_data_is_answered_by_a_replay():
    def build():
        a = torch.full((2,), 3.0)
        return {"a": a * 2 if a.sum() > 5 else a}

    tape, _, places = recorded(build)
    assert replayed(tape, places)["a"].tolist() == [6.0, 6.0]
