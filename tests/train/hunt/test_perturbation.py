from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.hunt.perturbation import perturbed
from gristmill.train.space import Space, integers, log_uniform, uniform

SPACE = Space(
    lr=log_uniform(1e-4, 1.0), drop=uniform(-1, 1), depth=integers(2, 12, step=2),
    kind=["a", "b", "c"], fixed=7,
)  # fmt: skip


@given(st.floats(1e-4, 1.0), st.floats(-1, 1), st.integers(1, 6), st.integers(0, 2), st.integers(0))
def test_stays_in_the_space_and_near(lr, drop, half, kind, seed):
    drawn = {"lr": lr, "drop": drop, "depth": 2 * half, "kind": kind, "fixed": 0}
    found = perturbed(drawn, SPACE, list(SPACE.dimensions), seed, 3, 1)
    for name, distribution in SPACE.distributions().items():
        assert distribution._contains(distribution.to_internal_repr(found[name])), name
    assert found["lr"] in {min(lr * 1.2, 1.0), max(lr * 0.8, 1e-4)}
    assert abs(found["depth"] - 2 * half) in {0, 2}
    assert abs(found["kind"] - kind) <= 1
    assert found["fixed"] == 0
    assert SPACE.values(found)["fixed"] == 7


def test_whole_numbers_move_even_where_a_fifth_is_less_than_a_step():
    drawn = {"lr": 0.1, "drop": 0.0, "depth": 4, "kind": 1, "fixed": 0}
    found = {perturbed(drawn, SPACE, ["depth"], seed)["depth"] for seed in range(20)}
    assert found == {2, 6}


def test_what_is_not_to_vary_is_copied():
    drawn = {"lr": 0.1, "drop": 0.5, "depth": 4, "kind": 1, "fixed": 0}
    found = perturbed(drawn, SPACE, ["lr"], 0, 1, 1)
    assert found["lr"] in {0.1 * 0.8, 0.1 * 1.2}
    assert found | {"lr": 0.1} == drawn


def test_draws_are_keyed():
    drawn = {"lr": 0.1, "drop": 0.5, "depth": 4, "kind": 1, "fixed": 0}
    names = list(drawn)
    assert perturbed(drawn, SPACE, names, 5, 1, 1) == perturbed(drawn, SPACE, names, 5, 1, 1)
    several = {perturbed(drawn, SPACE, names, 5, 1, copy)["lr"] for copy in range(20)}
    assert len(several) == 2
