from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.batches import epoch_batches


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=200),
    size=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_every_row_comes_once(lengths, size, seed):
    batches = epoch_batches(np.array(lengths), size, seed, 1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size
    assert len(batches) == -(-len(lengths) // size)


def test_order_is_keyed_by_seed_and_epoch():
    lengths = np.arange(100) % 7
    orders = {
        key: np.concatenate(epoch_batches(lengths, 10, *key)).tolist()
        for key in [(0, 1), (0, 2), (1, 1)]
    }
    again = np.concatenate(epoch_batches(lengths, 10, 0, 1)).tolist()
    assert orders[0, 1] == again
    assert len({tuple(order) for order in orders.values()}) == 3


def test_rows_of_like_length_share_a_batch():
    lengths = np.random.default_rng(0).integers(1, 200, 640)
    batches = epoch_batches(lengths, 32, 0, 1)
    padding = sum(int((lengths[rows].max() - lengths[rows]).sum()) for rows in batches)
    plain = sum(int((part.max() - part).sum()) for part in lengths.reshape(-1, 32))
    assert padding < plain / 4
