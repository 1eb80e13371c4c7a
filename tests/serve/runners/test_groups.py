"""Rows sorted by length, cut into groups and joined again."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.runners.groups import Groups, of_rows, of_tokens, to_rows, to_tokens


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_groups_cover_rows_and_tokens_in_order(lengths):
    lengths = sorted(lengths)
    groups = Groups(np.array(lengths))
    assert (groups.rows, groups.tokens) == (len(lengths), sum(lengths))
    at_row = at_token = 0
    for part in groups.parts:
        assert (part.at_row, part.at_token) == (at_row, at_token)
        assert lengths[at_row : at_row + part.rows] == [part.length] * part.rows
        at_row, at_token = at_row + part.rows, at_token + part.rows * part.length
    assert (at_row, at_token) == (groups.rows, groups.tokens)
    owners = [row for row, length in enumerate(lengths) for _ in range(length)]
    assert groups.owners.tolist() == owners

    tokens = torch.arange(2 * groups.tokens).reshape(-1, 2)
    for order, back in ((None, None), ((2, 0, 1), (1, 2, 0))):
        parts = of_tokens(tokens, groups, order)
        assert all(part.untyped_storage().data_ptr() == tokens.untyped_storage().data_ptr()
                   for part in parts)  # fmt: skip
        assert torch.equal(to_tokens(parts, back), tokens)
    rows = torch.arange(3 * groups.rows).reshape(-1, 3)
    for swap in (None, (1, 0)):
        assert torch.equal(to_rows(of_rows(rows, groups, swap), swap), rows)
