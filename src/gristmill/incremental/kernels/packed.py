"""Convolutions with weights packed beforehand, whose rectangles equal the whole map bit for bit.

PyTorch's own convolution repacks its weights on every call and picks a kernel by the size of the
map, so the same pixel gets other last bits in a small rectangle than in the whole map. oneDNN with
packed weights (what `torch.compile` emits for frozen models) adds a pixel's products in one order
whatever the size of the map. That is not documented and the operator is not public: a self-test at
first use decides whether this process may rely on it, each layer is checked once more at its own
size, and where either fails PyTorch's own convolution takes its place or says it is not exact.

The layout that oneDNN wants the weights in does depend on the map's size. Handing it another one is
right but slow (a generic reordering of all weights on every call, up to 400 times the convolution),
so a layout is asked for once, which takes a reordering itself: for a single pixel's window at each
size, for larger ones, whose layout hardly depends on it, at the first of sizes of one magnitude.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.kernels import point
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native import convolution as native
from gristmill.incremental.kernels.point import PointKernel

# oneDNN keeps the kernels of the sizes that were used last, and reads how many when it is first
# used. Rectangles have more sizes than the thousand that it keeps by itself; each takes 60 KB.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")

_THREADS = (1, 2)
_LOCK = threading.Lock()


class Kernel(Protocol):
    """A convolution ready to run.

    Attributes:
        maker: whose it is: ours in "C", "oneDNN" or "PyTorch".
    """

    maker: str

    @property
    def exact(self) -> bool:
        """Whether a rectangle's values equal the whole map's bit for bit."""

    def __call__(self, values: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve a map [1, channels, height, width] in channels-last memory.

        Args:
            values: the map, or a rectangle of it.
            padding: zeros above and below, and to the left and right.
        """


class PackedKernel:
    """A convolution by oneDNN with weights packed for it; its tensors are on the CPU."""

    exact = True
    maker = "oneDNN"

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._after = layer.activation.packed if layer.activation else ("none", [], "")
        self._point = layer.weight.shape[2:].numel() == 1
        self._convolve = torch.ops.mkldnn._convolution_pointwise.default
        self._weights: dict[tuple[int, ...], Tensor] = {}
        self._layouts: dict[bytes, Tensor] = {}

    def __call__(self, values: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve; see `Kernel`."""
        layer = self._layer
        # A copy unless the rows are whole: oneDNN would make the same, in the layout it guesses.
        values = values.contiguous(memory_format=torch.channels_last)
        height, width = values.shape[2:]
        size = (height, width) if self._point else (height.bit_length(), width.bit_length())
        key = (*size, *padding, torch.get_num_threads())
        weight = self._weights.get(key)
        if weight is None:
            weight = self._weights[key] = self._packed((height, width), padding)
        found: Tensor = self._convolve(
            values,
            weight,
            layer.bias,
            padding,
            layer.stride,
            layer.dilation,
            layer.groups,
            *self._after,
        )
        return found

    def _packed(self, size: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        """Weights in the layout that oneDNN wants for maps of this size."""
        layer = self._layer
        channels = layer.weight.shape[1] * layer.groups
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        found: Tensor = reorder(
            layer.weight.to_mkldnn(),
            padding,
            layer.stride,
            layer.dilation,
            layer.groups,
            (1, channels, *size),
        )
        return self._layouts.setdefault(_layout(found), found)


def _layout(weight: Tensor) -> bytes:
    """What tells layouts of one layer's weights apart: oneDNN's description of the memory.

    Four bytes of it lie between two fields and hold whatever was there. Were they a field, layouts
    that differ in it alone would be taken for one: slower, and as right as before.
    """
    described: bytes = torch.ops.mkldnn._get_mkldnn_serialized_md(weight).numpy().tobytes()
    return described[:108] + described[112:]


class PlainKernel:
    """A convolution by PyTorch: on any device, and equal up to rounding only."""

    exact = False
    maker = "PyTorch"

    def __init__(self, layer: Layer) -> None:
        weight = layer.weight.contiguous(memory_format=torch.channels_last)
        self._layer = layer._replace(weight=weight)

    def __call__(self, values: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve; see `Kernel`."""
        weight, bias, stride, dilation, groups, activation = self._layer
        found = functional.conv2d(values, weight, bias, stride, padding, dilation, groups)
        found = found.contiguous(memory_format=torch.channels_last)
        return found if activation is None else activation.apply_(found)


def kernel_for(layer: Layer) -> Kernel:
    """The best kernel that this machine has for a layer."""
    if native.fits(layer) and native_self_test():
        return DirectKernel(layer)
    if layer.weight.device.type == "cpu" and self_test():
        return PointKernel(layer) if point.fits(layer) else PackedKernel(layer)
    return PlainKernel(layer)


def available() -> bool:
    """Whether this PyTorch has the packed operators."""
    return (
        torch.backends.mkldnn.is_available()
        and point.available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_get_mkldnn_serialized_md")
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    )


@cache
def self_test() -> bool:
    """Whether rectangles equal whole maps bit for bit here, on one thread and on two.

    A few layers are tried once a process, which takes about as long as oneDNN takes to start. Each
    layer of a network is checked once more, at its own size.
    """
    if not available():
        return False
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(), _LOCK:
        return all(
            agrees(kernel(layer), layer, (17, 14), padding)
            for kernel, layer, padding in _trial_layers(generator)
        )


@cache
def native_self_test() -> bool:
    """Whether rectangles of the kernels in C equal whole maps here: that compilers keep to it."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(), _LOCK:
        return all(
            agrees(DirectKernel(layer), layer, (17, 14), padding)
            for _, layer, padding in _trial_layers(generator)
        )


def agrees(kernel: Kernel, layer: Layer, size: tuple[int, int], padding: tuple[int, int]) -> bool:
    """Whether a kernel's rectangles equal its whole map bit for bit, on one thread and on two.

    So must rows of the map, from edge to edge, where the kernel itself adds the padding.

    Args:
        kernel: computes the layer.
        layer: says what sizes its inputs and windows have.
        size: height and width of the whole map.
        padding: of the whole map.
    """
    channels = layer.weight.shape[1] * layer.groups
    values = _noise(channels, *size)
    padded = pad(values, padding)
    before = torch.get_num_threads()
    for threads in _THREADS:
        with _threads(threads, before):
            whole = kernel(values, padding)
            if not _rectangles_agree(kernel, layer, whole, padded):
                return False
            if any(padding) and not _rows_agree(kernel, layer, whole, values, padding):
                return False
    return True


def _noise(channels: int, height: int, width: int) -> Tensor:
    """A map of random numbers that repeat: to draw them all would take longer than the check."""
    count = channels * height * width
    drawn = torch.randn(65_537, generator=torch.Generator().manual_seed(1))
    pixels = drawn.repeat(-(-count // len(drawn)))[:count].view(1, height, width, channels)
    return pixels.permute(0, 3, 1, 2)


def pad(values: Tensor, padding: tuple[int, int]) -> Tensor:
    """A map with zeros around it, in channels-last memory."""
    if padding == (0, 0):
        return values
    rows, columns = padding
    found = functional.pad(values, (columns, columns, rows, rows))
    return found.contiguous(memory_format=torch.channels_last)


def _rectangles_agree(kernel: Kernel, layer: Layer, whole: Tensor, padded: Tensor) -> bool:
    height, width = whole.shape[2:]
    for top, left, rows, columns in _trial_rectangles(height, width):
        begin = (top * layer.stride[0], left * layer.stride[1])
        last = (rows - 1) * layer.stride[0], (columns - 1) * layer.stride[1]
        read = padded[
            :,
            :,
            begin[0] : begin[0] + last[0] + layer.span[0],
            begin[1] : begin[1] + last[1] + layer.span[1],
        ]
        if not torch.equal(kernel(read), whole[:, :, top : top + rows, left : left + columns]):
            return False
    return True


def _rows_agree(
    kernel: Kernel, layer: Layer, whole: Tensor, values: Tensor, padding: tuple[int, int]
) -> bool:
    above, beside = padding
    top = -(-above // layer.stride[0])  # the first output that reads no padding above
    rows = min(3, whole.shape[2] - 2 * top)
    if rows < 1:
        return True
    begin = top * layer.stride[0] - above
    end = begin + (rows - 1) * layer.stride[0] + layer.span[0]
    middle = kernel(values[:, :, begin:end], (0, beside))
    upper = kernel(values[:, :, :end], padding)[:, :, : top + rows]
    return torch.equal(middle, whole[:, :, top : top + rows]) and torch.equal(
        upper, whole[:, :, : top + rows]
    )


def _trial_rectangles(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """A pixel, a corner, a strip and a third of the map, as top, left, rows and columns."""
    yield height // 2, width // 2, 1, 1
    yield 0, 0, min(8, height), min(8, width)
    yield height // 3, 0, min(3, height - height // 3), width
    yield height // 3, width // 3, -(-height // 3), -(-width // 3)


def _trial_layers(
    generator: torch.Generator,
) -> Iterator[tuple[Callable[[Layer], Kernel], Layer, tuple[int, int]]]:
    def layer(outputs: int, inputs: int, side: int, **others: object) -> Layer:
        weight = torch.randn((outputs, inputs, side, side), generator=generator)
        bias = torch.randn(outputs, generator=generator)
        return Layer(weight, bias, **others)  # type: ignore[arg-type]

    relu6 = Activation("hardtanh", (0.0, 6.0))
    yield PackedKernel, layer(24, 16, 3, activation=Activation("relu")), (1, 1)
    yield PackedKernel, layer(24, 1, 3, groups=24, activation=relu6), (1, 1)
    yield PackedKernel, layer(16, 40, 1), (0, 0)
    yield PackedKernel, layer(3, 16, 3), (1, 1)  # few sums at a time may be compiled otherwise
    yield PointKernel, layer(16, 40, 1, activation=relu6), (0, 0)


@contextmanager
def _threads(count: int, before: int) -> Iterator[None]:
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
