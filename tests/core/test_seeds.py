from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.seeds import derive_seed

KEYS = st.lists(st.integers() | st.text(), max_size=4)


@given(st.integers(), KEYS)
def test_in_range_and_reproducible(seed, keys):
    random.seed(seed)
    found = derive_seed(seed, *keys)
    assert 0 <= found < 2**63
    assert derive_seed(seed, *keys) == found


def test_every_name_matters():
    seeds = {
        derive_seed(0), derive_seed(1), derive_seed(0, 1), derive_seed(0, "1"),
        derive_seed(0, "a", "b"), derive_seed(0, "b", "a"), derive_seed(0, "ab"),
    }  # fmt: skip
    assert len(seeds) == 7


def test_fixed_for_good():
    assert derive_seed(0, "split") == 6682928078616706572
