from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.train.records.key import checked_key, describe_key, whole_blocks


@pytest.mark.parametrize(("nbytes", "whole"), [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192)])
def test_sizes_are_whole_blocks(nbytes, whole):
    assert whole_blocks(nbytes) == whole


def test_a_key_in_words():
    assert describe_key((3, 1, "state")) == "trial 3, shard 1, state"


@pytest.mark.parametrize(
    "key", [(-1, 0, "weights"), (0, -1, "weights"), (0, 0, "../x"), (0, 0, "")]
)
def test_what_cannot_name_a_file_is_refused(key):
    with pytest.raises(UsageError, match=r"^a record's key is \(trial, shard, section\)"):
        checked_key(key)


def test_a_good_key_is_returned():
    assert checked_key((0, 12, "grads")) == (0, 12, "grads")
