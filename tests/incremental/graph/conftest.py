"""Tiny networks of the shapes that the package is for, each captured once a session."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gristmill.incremental.graph.capture import capture


def convolution(inputs, outputs, side=3, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = convolution(inputs, outputs, stride=stride)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.side = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else None

    def forward(self, x):
        found = self.norm(self.second(self.first(x)))
        found += x if self.side is None else self.side(x)
        return functional.relu(found)


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = convolution(3, 8, 5, 2)
        self.one = convolution(8, 4, 1)
        self.three = nn.Sequential(convolution(8, 6, 1), convolution(6, 8))
        self.pooled = nn.Sequential(
            nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(8, 4, 1)
        )

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.one(x), self.three(x), self.pooled(x)], dim=1)
        return functional.max_pool2d(x, 3, 2, ceil_mode=True)


class Inverted(nn.Module):
    def __init__(self, channels):
        super().__init__()
        wide = 4 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(True),
            nn.ZeroPad2d((0, 2, 0, 2)), nn.Conv2d(wide, wide, 3, groups=wide), nn.ReLU6(True),
            nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        return x + self.layers(x)


class Shuffled(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = convolution(3, 8, stride=2)
        self.branch = convolution(4, 4)
        self.up = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x):
        kept, worked = self.stem(x).chunk(2, dim=1)
        x = torch.cat([kept, self.branch(worked)], 1)
        count, channels, height, width = x.shape
        x = x.view(count, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return self.up(x.view(count, channels, height, width))


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.fine = convolution(3, 6, stride=2)
        self.coarse = convolution(6, 8, stride=2)
        self.lateral = nn.Conv2d(6, 8, 1)
        self.head = nn.Conv2d(8, 5, 3, padding=1)

    def forward(self, x):
        fine = self.fine(x)
        coarse = self.coarse(fine)
        lateral = self.lateral(fine)
        up = functional.interpolate(coarse, size=lateral.shape[-2:], mode="nearest")
        return self.head(lateral + up), self.head(coarse)


class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = convolution(3, 8)
        self.gate = nn.Sequential(nn.Conv2d(8, 2, 1), nn.SiLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())

    def forward(self, x):
        x = self.stem(x)
        return x * self.gate(x.mean((2, 3), keepdim=True)) - 0.5


def vgg():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(True), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(True),
        nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten(), nn.Linear(108, 10), nn.ReLU(), nn.Dropout(),
        nn.Linear(10, 4),
    )  # fmt: skip


def resnet():
    return nn.Sequential(
        convolution(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), Residual(8, 8, 1), Residual(8, 12, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


def mobilenet():
    return nn.Sequential(convolution(3, 8, stride=2), Inverted(8), Inverted(8))


NETS = {
    "vgg": vgg,
    "resnet": resnet,
    "inception": Branches,
    "mobilenet": mobilenet,
    "shuffle": Shuffled,
    "pyramid": Pyramid,
    "squeezed": Squeezed,
}


def trained(module, seed=0):
    """Give a module weights under which all layers count, and statistics far from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif tensor.is_floating_point():
                scale = 2 / max(1, tensor[0].numel()) if tensor.dim() > 1 else 0.1
                tensor.normal_(0.0, scale**0.5, generator=generator)
    return module


def frame(height, width, seed=0):
    return torch.randn((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


SIZE = (45, 38)


@pytest.fixture(scope="session", params=NETS)
def net(request):
    """A module in evaluation mode and what was captured of it."""
    module = trained(NETS[request.param]()).eval()
    return module, capture(module, frame(*SIZE))


@pytest.fixture(scope="session")
def frames():
    return frame
