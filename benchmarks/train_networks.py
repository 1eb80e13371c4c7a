"""Models that the training benchmarks train beside the GPT of the example: small, but whole.

Suffixes name the axes: B batch, C channels, H height, W width, D features.
"""

# ruff: noqa: N803, N806

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)


class FeedForward(nn.Module):
    """A block of a transformer without its attention: x + narrow(gelu(widen(norm(x))))."""

    def __init__(self, width: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        out_BD: Tensor = x_BD + self.dropout(self.narrow(F.gelu(self.widen(self.norm(x_BD)))))
        return out_BD


def mlp_stack(
    features: int = 64, classes: int = 10, width: int = 512, depth: int = 8, expansion: int = 4,
    dropout: float = 0.0,
) -> nn.Sequential:  # fmt: skip
    """Return a stack of residual blocks, each of 2 * expansion * width**2 parameters."""
    blocks = [FeedForward(width, expansion, dropout) for _ in range(depth)]
    return nn.Sequential(nn.Linear(features, width), *blocks, nn.Linear(width, classes))


def _convolution(inside: int, outside: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, section 3.2)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inside, outside, stride)
        self.norm_first = nn.BatchNorm2d(outside)
        self.second = _convolution(outside, outside)
        self.norm_second = nn.BatchNorm2d(outside)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        inner = F.relu(self.norm_first(self.first(x_BCHW)))
        return F.relu(self.norm_second(self.second(inner)) + self.shortcut(x_BCHW))


class ResNet(nn.Module):
    """A residual network for small images; depth 3, width 16 is ResNet-20 (section 4.2).

    Args:
        channels: of the images, float32[batch, channels, height, width].
        classes: number of classes k.
        width: channels of the first stage; each of three stages has twice as many.
        depth: blocks of a stage.
    """

    def __init__(
        self, channels: int = 3, classes: int = 4, width: int = 16, depth: int = 3
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(channels, width), nn.BatchNorm2d(width), nn.ReLU())
        inside, blocks = width, []
        for stage in range(3):
            for place in range(depth):
                outside = width * 2**stage
                blocks.append(Residual(inside, outside, 2 if stage and not place else 1))
                inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inside, classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits float32[batch, classes]."""
        logits: Tensor = self.head(self.blocks(self.stem(x_BCHW)).mean(dim=(2, 3)))
        return logits


def _pair(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inside, outside):
        layers += [_convolution(before, outside), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """A class for every pixel; what is seen on the way down is seen again on the way up.

    Ronneberger et al. 2015, with padding, so that the answer is as large as the image, and batch
    normalisation.

    Args:
        channels: of the images, float32[batch, channels, height, width].
        classes: number of classes k.
        width: channels of the first level; each lower one has twice as many.
        depth: times that the image is halved; height and width are multiples of 2**depth.
    """

    def __init__(
        self, channels: int = 3, classes: int = 5, width: int = 16, depth: int = 3
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _pair(inside, outside)
            for inside, outside in zip([channels, *widths[:-1]], widths, strict=True)
        )
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, stride=2)
            for above, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.up = nn.ModuleList(_pair(2 * above, above) for above in widths[-2::-1])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits float32[batch, classes, height, width]."""
        seen: list[Tensor] = []
        for level, pair in enumerate(self.down):
            x_BCHW = pair(F.max_pool2d(x_BCHW, 2) if level else x_BCHW)
            seen.append(x_BCHW)
        for widen, pair, skip in zip(self.widen, self.up, _upwards(seen), strict=True):
            x_BCHW = pair(torch.cat([skip, widen(x_BCHW)], dim=1))
        logits: Tensor = self.head(x_BCHW)
        return logits


def _upwards(seen: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return what the levels above the lowest saw, from the lowest of them up."""
    return seen[-2::-1]
