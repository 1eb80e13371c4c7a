from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.images import Images

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
CLASSES = np.arange(6)


def test_bytes_become_normalised_floats_channels_first():
    mean, std = (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)
    dataset = Images(PIXELS, CLASSES, mean=mean, std=std, weights=np.arange(6) + 1)
    rows = np.array([4, 1])
    batch = dataset.take(rows)
    wanted = ((PIXELS[rows] / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(batch.inputs[0].numpy(), wanted, atol=1e-5)
    assert batch.inputs[0].dtype == torch.float32
    assert batch.inputs[0].is_contiguous()
    assert (len(dataset), batch.targets.tolist(), batch.weights.tolist()) == (6, [4, 1], [5, 2])


def test_one_channel_and_masks():
    grey, masks = PIXELS[..., 0], PIXELS[..., 1] % 3
    batch = Images(grey, masks).take(np.array([2]))
    assert batch.inputs[0].shape == (1, 1, 5, 4)
    np.testing.assert_allclose(batch.inputs[0][0, 0].numpy(), grey[2] / 127.5 - 1, atol=1e-6)
    assert batch.targets.tolist() == masks[[2]].tolist()
    assert batch.targets.dtype == torch.int64


def test_fingerprint_knows_the_normalisation():
    found = [
        fingerprint(Images(PIXELS, CLASSES, **options))
        for options in ({}, {"mean": (0.4,)}, {"std": (0.4,)})
    ]
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (
            PIXELS / 255, {},
            "expected images uint8[n, height, width, channels], found float64[6, 5, 4, 3]",
        ),
        (PIXELS[0, 0], {}, "expected images uint8[n, height, width, channels], found uint8[4, 3]"),
        (PIXELS, {"mean": (0.5, 0.5)}, "expected one number for each of 3 channels, found "
         "(0.5, 0.5)"),
        (PIXELS, {"std": (0.0,)}, "std must be above 0, found [0.0, 0.0, 0.0]"),
        (PIXELS[:5], {}, "expected as many rows everywhere, found {'input 0': 5, 'target 0': 6}"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_used(pixels, options, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Images(pixels, CLASSES, **options)
