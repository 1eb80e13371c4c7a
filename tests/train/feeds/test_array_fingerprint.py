from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.train.feeds.array_fingerprint import array_fingerprint


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(0, 40), block=st.integers(1, 100), gaps=st.booleans())
def test_array_fingerprint_does_not_depend_on_blocks(rows, block, gaps):
    array = np.arange(rows * 6, dtype=np.int16).reshape(rows, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gristmill.train.feeds.array_fingerprint._BLOCK_BYTES", block)
        found = array_fingerprint(np.asfortranarray(array) if gaps else array)
    assert found == array_fingerprint(array)
    assert found != array_fingerprint(array.reshape(rows, 3, 2))
    assert found != array_fingerprint(array.astype(np.int32))
