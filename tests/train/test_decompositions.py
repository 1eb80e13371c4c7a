"""What modules are taken apart into is on the list, and answers as they do, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gristmill.serve.runners.graph import Graph
from gristmill.store.graph import graph_from_json, graph_to_json
from gristmill.train.export import export_graph


class Bilinear(nn.Module):
    """A bilinear form of what it is given and itself."""

    def __init__(self) -> None:
        super().__init__()
        self.form = nn.Bilinear(16, 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.form(x, x)  # type: ignore[no-any-return]


class Does(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.function(x)


def written_to(x: Tensor) -> Tensor:
    copy = x.clone()
    copy[:, 0] = 0.0
    return copy


def warped(x: Tensor) -> Tensor:
    still = functional.affine_grid(
        torch.eye(2, 3)[None].expand(x.shape[0], 2, 3), x.shape, align_corners=False
    )
    moved = still + 0.1 * x[:, :2].permute(0, 2, 3, 1)
    return functional.grid_sample(x, moved, align_corners=False)


def counted(x: Tensor) -> Tensor:
    groups = (torch.arange(16) % 4).expand(x.shape[0], 16)
    return torch.zeros(x.shape[0], 4).scatter_reduce(1, groups, x, "amax")


def of_bytes(x: Tensor) -> Tensor:
    return (x * 255).to(torch.uint8).float() / 255


ROW, SEQUENCE, IMAGE, VOLUME = (16,), (8, 24), (8, 16, 16), (4, 8, 8, 8)
LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "CELU": (nn.CELU(0.5), ROW),
    "RReLU": (nn.RReLU(0.1, 0.5), ROW),
    "bilinear": (Bilinear(), ROW),
    "instance norm": (nn.InstanceNorm2d(8, affine=True), IMAGE),
    "instance norm of its own": (nn.InstanceNorm2d(8, track_running_stats=True), IMAGE),
    "local response norm": (nn.LocalResponseNorm(3), IMAGE),
    "circular padding": (nn.Conv2d(8, 4, 3, padding=1, padding_mode="circular"), IMAGE),
    "maxima of volumes": (nn.MaxPool3d(2), VOLUME),
    "means of volumes": (nn.AvgPool3d(2), VOLUME),
    "a mean of volumes": (nn.AdaptiveAvgPool3d(2), VOLUME),
    "maxima of sequences": (nn.AdaptiveMaxPool1d(5), SEQUENCE),
    "maxima of images": (nn.AdaptiveMaxPool2d(5), IMAGE),
    "fold": (nn.Sequential(nn.Unfold(2, stride=2), nn.Fold((16, 16), 2, stride=2)), IMAGE),
    "smooth scaling": (
        Does(lambda x: functional.interpolate(x, size=(5, 5), mode="bilinear", antialias=True)),
        IMAGE,
    ),
    "warping": (Does(warped), IMAGE),
    "writing": (Does(written_to), ROW),
    "scatter": (Does(counted), ROW),
    "roll": (Does(lambda x: x.roll(2, -1)), IMAGE),
    "median": (Does(lambda x: x.median(dim=1).values), ROW),
    "cumulative": (Does(lambda x: x.cumprod(1) + x.cummax(1).values), ROW),
    "distances": (Does(lambda x: torch.cdist(x, x)), SEQUENCE),
    "angles": (Does(lambda x: torch.atan2(x.asin(), x.tan()) + x.cosh()), ROW),
    "special functions": (Does(lambda x: x.erfinv() + x.lgamma() + x.expm1() + x.log2()), ROW),
    "powers": (Does(lambda x: 2**x + torch.hypot(x, x) + x.fmod(0.3)), ROW),
    "buckets": (Does(lambda x: torch.bucketize(x, torch.tensor([0.2, 0.5])).float()), ROW),
    "bytes": (Does(of_bytes), IMAGE),
    "half the bits": (Does(lambda x: (x.bfloat16() * 2).float()), ROW),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_answer_alike_alone_and_in_a_batch(name: str) -> None:
    torch.manual_seed(0)
    module, shape = LAYERS[name]
    graph, weights = export_graph(module.eval(), torch.rand(2, *shape))
    captured = Graph(graph_from_json(graph_to_json(graph)), weights)
    rows = torch.rand(5, *shape) * 0.8 + 0.1
    with torch.inference_mode():
        wanted = module(rows)
    (found,) = captured(rows)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    alone = torch.cat([captured(row[None])[0] for row in rows])
    torch.testing.assert_close(alone, wanted, rtol=1e-5, atol=1e-5)


def test_no_answer_reads_memory_that_nobody_has_written() -> None:
    graph, _ = export_graph(nn.CircularPad2d(2), torch.rand(2, 3, 4, 4))
    assert not [node.op for node in graph.nodes if "empty" in node.op]


def test_a_batch_normalisation_by_the_batch_is_refused() -> None:
    module = nn.BatchNorm1d(16, track_running_stats=False)
    with pytest.raises(Exception, match=r"_native_batch_norm_legit\.no_stats"):
        export_graph(module, torch.rand(2, 16))
