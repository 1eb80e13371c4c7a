from __future__ import annotations

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records.layout import RecordLayout

DTYPES = ["float32", "float64", "bfloat16", "int64", "int8", "bool", "uint8"]
SPECS = st.lists(
    st.tuples(st.lists(st.integers(0, 5), max_size=3).map(tuple), st.sampled_from(DTYPES)),
    max_size=8,
).map(lambda kinds: [TensorSpec(f"t{n}", *kind) for n, kind in enumerate(kinds)])


@given(SPECS)
def test_tensors_are_aligned_apart_and_inside(specs):
    layout = RecordLayout.of(specs)
    assert layout.nbytes % 4096 == 0
    assert layout.tensor_bytes == sum(spec.nbytes for spec in specs)
    buffer = torch.zeros(layout.nbytes, dtype=torch.uint8)
    views = layout.views(buffer)
    assert list(views) == [spec.name for spec in specs]
    for spec, view in zip(specs, views.values(), strict=True):
        assert (tuple(view.shape), view.dtype) == (spec.shape, spec.torch_dtype)
        assert (view.data_ptr() - buffer.data_ptr()) % 64 == 0 or not view.numel()
        assert not view.view(-1).view(torch.uint8).any()  # nobody else wrote here
        view.view(-1).view(torch.uint8).fill_(1)
    assert int(buffer.sum()) == layout.tensor_bytes


def test_offsets():
    layout = RecordLayout.of(
        [
            TensorSpec("a", (3,), "float32"),
            TensorSpec("b", (), "int64"),
            TensorSpec("c", (2, 600), "float32"),
        ]
    )
    assert [(entry.name, entry.offset, entry.nbytes) for entry in layout.entries] == [
        ("a", 0, 12),
        ("b", 64, 8),
        ("c", 128, 4800),
    ]
    assert layout.nbytes == 8192


def test_no_tensors_take_no_bytes():
    assert RecordLayout.of([]).nbytes == 0


def test_it_survives_json():
    layout = RecordLayout.of([TensorSpec("a", (3, 2), "float32")])
    assert msgspec.json.decode(msgspec.json.encode(layout), type=RecordLayout) == layout


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(UsageError, match=r"^tensors of one record need names of their own: 'a'$"):
        RecordLayout.of([TensorSpec("a", (1,), "int8"), TensorSpec("a", (2,), "int8")])


def test_a_short_buffer_is_refused():
    layout = RecordLayout.of([TensorSpec("a", (3,), "float32")])
    with pytest.raises(UsageError, match=r"^a record of 4096 bytes does not fit a buffer of 64$"):
        layout.views(torch.zeros(64, dtype=torch.uint8))
