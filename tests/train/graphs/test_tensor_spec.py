from __future__ import annotations

import pytest
import torch

from gristmill.train.graphs.tensor_spec import TensorSpec


def test_bytes_follow_shape_and_dtype():
    assert TensorSpec("w", (3, 4), "float32").nbytes == 48
    assert TensorSpec("n", (), "int64", trainable=False).nbytes == 8
    assert TensorSpec("e", (0, 5), "bfloat16").nbytes == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int64])
def test_a_spec_describes_its_tensor(dtype):
    spec = TensorSpec.of("x", torch.zeros(2, 3, dtype=dtype))
    assert spec == TensorSpec("x", (2, 3), str(dtype).removeprefix("torch."), trainable=False)
    assert spec.torch_dtype is dtype


def test_an_unknown_dtype_is_refused():
    with pytest.raises(TypeError, match="'relu' is no dtype of torch"):
        TensorSpec("x", (1,), "relu").torch_dtype  # noqa: B018
