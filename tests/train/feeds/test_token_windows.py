from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.token_windows import TokenWindows


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(2, 90),
    length=st.integers(1, 12),
    stride=st.one_of(st.none(), st.integers(1, 15)),
    dtype=st.sampled_from(["u1", "u2", "i8"]),
)
def test_windows_by_slicing(count, length, stride, dtype):
    text = np.arange(count) * 7 % 101
    if count <= length:
        return
    step = stride or length
    starts = [at for at in range(0, count, step) if at + length < count]
    dataset = TokenWindows(text.astype(dtype), length, stride)
    assert len(dataset) == len(starts)
    batch = dataset.take(np.arange(len(starts))[::-1])
    wanted = torch.tensor(np.array([text[at : at + length + 1] for at in starts[::-1]]))
    assert torch.equal(batch.inputs[0], wanted[:, :-1])
    assert torch.equal(batch.targets, wanted[:, 1:])
    assert batch.inputs[0].dtype == batch.targets.dtype == torch.int64
    assert batch.weights.tolist() == [1] * len(starts)


def test_a_text_and_a_file_of_it_are_the_same(tmp_path):
    text = b"to be or not to be"
    np.save(tmp_path / "text.npy", np.frombuffer(text, np.uint8))
    in_memory, in_file = TokenWindows(text, 4), TokenWindows(tmp_path / "text.npy", 4)
    assert isinstance(in_file.tokens, np.memmap)
    assert fingerprint(in_memory) == fingerprint(in_file)
    assert fingerprint(in_memory) != fingerprint(TokenWindows(text, 4, 3))
    found = in_file.take(np.array([1, 3]))
    assert [bytes(row) for row in found.inputs[0].tolist()] == [text[4:8], text[12:16]]
    assert [bytes(row) for row in found.targets.tolist()] == [text[5:9], text[13:17]]


def test_no_window_begins_before_the_text_or_after_it():
    for row in (-1, 3):
        with pytest.raises(IndexError):
            TokenWindows(np.arange(13), 4).take(np.array([row]))


@pytest.mark.parametrize(
    ("tokens", "length", "error", "message"),
    [
        (b"four", 4, TrainError, "a text of 4 tokens has no window of 4 and the one after\n"
         "  fix: lower length, or take a longer text"),
        ([[1, 2], [3, 4]], 1, TrainError, "expected one row of integer tokens, found int64[2, 2]"),
        ([0.5, 1.5], 1, TrainError, "expected one row of integer tokens, found float64[2]"),
        (b"four", 0, UsageError, "length and stride must be at least 1, found 0 and 0"),
    ],
)  # fmt: skip
def test_texts_that_cannot_be_used(tokens, length, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        TokenWindows(tokens, length)
