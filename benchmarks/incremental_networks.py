"""Networks that the benchmarks of incremental inference run: known shapes, random weights.

They are for time alone, and take frames of any size. Convolutions draw their weights so that values
keep their magnitude from layer to layer (He et al. 2015); their answers mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

CLASSES = 1000


def conv(
    inside: int,
    outside: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    *,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Return a convolution that keeps the map's size up to its stride, and what mostly follows."""
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (rows // 2, columns // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, (rows, columns), stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class Head(nn.Sequential):
    """The mean over all places, and a class for it."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions with biases, five poolings (Simonyan and Zisserman 2015, D)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for outside, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
                inside = outside
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, CLASSES),
        )  # fmt: skip

    def forward(self, frame: Tensor) -> Tensor:
        """Return scores of classes, [1, classes]."""
        found: Tensor = self.classifier(self.pool(self.features(frame)))
        return found


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(inside, outside, 3, stride), conv(outside, outside, 3, activation=None)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = conv(inside, outside, 1, stride, activation=None)

    def forward(self, values: Tensor) -> Tensor:
        """Add what the convolutions find."""
        return F.relu(self.body(values) + self.shortcut(values))


class ResNet18(nn.Sequential):
    """Eight residual blocks (He et al. 2016)."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
        inside = 64
        for outside, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [Residual(inside, outside, stride), Residual(outside, outside, 1)]
            inside = outside
        super().__init__(*layers, Head(inside))


class Bottleneck(nn.Module):
    """A wide 3x3 convolution of single channels between two of 1x1 (Sandler et al. 2018)."""

    def __init__(self, inside: int, outside: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        widen = [conv(inside, wide, 1, activation=nn.ReLU6)] if expansion > 1 else []
        self.body = nn.Sequential(
            *widen,
            conv(wide, wide, 3, stride, groups=wide, activation=nn.ReLU6),
            conv(wide, outside, 1, activation=None),
        )
        self.adds = stride == 1 and inside == outside

    def forward(self, values: Tensor) -> Tensor:
        """Add what the convolutions find, where sizes allow it."""
        found: Tensor = self.body(values)
        return values + found if self.adds else found


class MobileNetV2(nn.Sequential):
    """Seventeen bottlenecks (Sandler et al. 2018, table 2)."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [conv(3, 32, 3, 2, activation=nn.ReLU6)]
        inside = 32
        for expansion, outside, depth, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1),
        ):  # fmt: skip
            for number in range(depth):
                layers.append(Bottleneck(inside, outside, 1 if number else stride, expansion))
                inside = outside
        super().__init__(*layers, conv(inside, 1280, 1, activation=nn.ReLU6), Head(1280))


class Mixed(nn.Module):
    """Four branches side by side, as in the 35x35 part of Inception v3 (Szegedy et al. 2016)."""

    def __init__(self, inside: int, pooled: int) -> None:
        super().__init__()
        self.point = conv(inside, 64, 1)
        self.five = nn.Sequential(conv(inside, 48, 1), conv(48, 64, 5))
        self.three = nn.Sequential(conv(inside, 64, 1), conv(64, 96, 3), conv(96, 96, 3))
        self.pool = nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(inside, pooled, 1))

    def forward(self, values: Tensor) -> Tensor:
        """Return all branches' channels."""
        branches = (self.point, self.five, self.three, self.pool)
        return torch.cat([branch(values) for branch in branches], 1)


class Factored(nn.Module):
    """Branches of 1x7 and 7x1 convolutions, as in the 17x17 part of Inception v3."""

    def __init__(self, inside: int, middle: int) -> None:
        super().__init__()
        self.point = conv(inside, 192, 1)
        self.seven = nn.Sequential(
            conv(inside, middle, 1), conv(middle, middle, (1, 7)), conv(middle, 192, (7, 1))
        )
        self.pool = nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(inside, 192, 1))

    def forward(self, values: Tensor) -> Tensor:
        """Return all branches' channels."""
        branches = (self.point, self.seven, self.pool)
        return torch.cat([branch(values) for branch in branches], 1)


class Inception(nn.Sequential):
    """The stem and both kinds of mixed blocks of Inception v3 (Szegedy et al. 2016), fewer of them.

    Maps keep their size in windows that the original leaves unpadded.
    """

    def __init__(self) -> None:
        super().__init__(
            conv(3, 32, 3, 2), conv(32, 32, 3), conv(32, 64, 3), nn.MaxPool2d(3, 2, 1),
            conv(64, 80, 1), conv(80, 192, 3), nn.MaxPool2d(3, 2, 1),
            Mixed(192, 32), Mixed(256, 64), Mixed(288, 64),
            conv(288, 384, 3, 2), Factored(384, 128), Factored(576, 160),
            Head(576),
        )  # fmt: skip


class Detector(nn.Module):
    """A small fully convolutional detector: separable convolutions, two scales, one grid of boxes.

    After the shape of single-stage detectors for phones: a body of strides up to 32, whose last map
    is enlarged and joined with the one before; at every cell a score, a box and 80 classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1))
        self.middle = nn.Sequential(
            self._separable(24, 48, 2), self._separable(48, 48, 1), self._separable(48, 96, 2),
            *(self._separable(96, 96, 1) for _ in range(4)),
        )  # fmt: skip
        self.deep = nn.Sequential(
            self._separable(96, 192, 2), *(self._separable(192, 192, 1) for _ in range(3))
        )
        self.join = nn.Sequential(conv(96 + 192, 96, 1), self._separable(96, 96, 1))
        self.boxes = nn.Conv2d(96, 1 + 4 + 80, 1)

    @staticmethod
    def _separable(inside: int, outside: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            conv(inside, inside, 3, stride, groups=inside), conv(inside, outside, 1)
        )

    def forward(self, frame: Tensor) -> Tensor:
        """Return a score, a box and classes of each cell, [1, 85, height / 16, width / 16]."""
        middle = self.middle(self.stem(frame))
        deep = F.interpolate(self.deep(middle), size=middle.shape[2:])
        found: Tensor = self.boxes(self.join(torch.cat([middle, deep], 1)))
        return found


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "VGG16": VGG16,
    "ResNet18": ResNet18,
    "Inception": Inception,
    "MobileNetV2": MobileNetV2,
    "detector": Detector,
}


def network(name: str) -> nn.Module:
    """Return a network in evaluation mode, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = NETWORKS[name]().eval()
        for module in made.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return made.requires_grad_(False)
