"""A bundle that answers one picture, as a network that recomputes only what changed.

`serve` opens and judges bundles, `incremental` computes; neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gristmill.core.errors import UsageError
from gristmill.incremental import Model, Pixels
from gristmill.incremental.planning.calibration import SECONDS
from gristmill.pipeline.size_bound import size_bound
from gristmill.serve.runners.answering import TensorWriter, Writer, writer_of
from gristmill.serve.runners.graph_module import GraphModule
from gristmill.serve.runners.opening import ends_of
from gristmill.store.bundle import Bundle, Field
from gristmill.store.graph import GraphSpec, Items, Node, Ref

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gristmill.serve.runners.rows import Rows

_LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in a grey level (ITU-R BT.601)."""
_RGB = "rgb"
_GREY = "grey"
_ONE_BY_ONE = (Items([1, 1]), Items([0, 0]), Items([1, 1]), False, Items([0, 0]), 1)
"""Stride, padding, dilation, not transposed, no output padding, one group."""


@dataclass(frozen=True)
class BundledModel:
    """A bundle's network, captured for streams of pictures.

    Args:
        bundle: what it came from.
        model: takes float32 [1, 3, height, width], returns what the bundle's graph returns.
        pixels: makes such numbers of pictures, as the bundle's answers by HTTP and in tables do.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        outputs: what `answer` gives, field by field.
    """

    bundle: Bundle
    model: Model
    pixels: Pixels
    height: int
    width: int
    outputs: tuple[Field, ...]
    _write: Writer

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits; none where the bundle answers tensors."""
        return tuple(self.bundle.classes)

    def answer(self, outputs: Sequence[Tensor]) -> Rows:
        """Put what the network returned for one picture as the bundle's answers are put.

        Args:
            outputs: of one picture, as `model` and its streams return them.

        Returns:
            One row: of a classifier `label`, `prob` and `probs`; else one column an output.
        """
        return self._write([each.numpy() for each in outputs], 1)


def bundled_model(
    bundle: Bundle | Path | str,
    *,
    size: tuple[int, int] | None = None,
    calibration: float = SECONDS,
) -> BundledModel:
    """Open a bundle of a model of images, and capture its network; no code comes from the bundle.

    A bundle of grey images is given colour ones: grey is made of them by the network's first
    operator, to within half a level of what image files are read as.

    Args:
        bundle: an open bundle, or its folder.
        size: height and width of the pictures, where they are others than the bundle's: only for
            networks that do the same to them, convolutions and the like.
        calibration: seconds of measuring, at the first picture.

    Raises:
        BundleError: the bundle is damaged, or its signature is not that of its graph.
        UsageError: it takes something else than one image, or no images of that size.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    field = _image_field(bundle)
    spec, weights = bundle.graph(), bundle.weights()
    ends_of(bundle, spec)
    height, width, channels = field.inner
    same = size is None or size == (height, width)
    if size is not None and not same:
        height, width = size
        _check_size(spec, bundle, height, width)
    if channels == 1:
        spec, weights = _of_colours(spec, weights)
    pixels = Pixels()
    # In the memory order in which the graph was captured: its views count on that.
    example = pixels.frame(np.zeros((height, width, 3), np.uint8)).contiguous()
    try:
        model = Model.from_module(
            GraphModule(spec, weights).eval(), example, any_size=False, calibration=calibration
        )
    except UsageError as error:
        what = "" if same else f" for pictures of {width}x{height}"
        raise UsageError(
            f"this bundle's network can't be captured{what}: {error.message}",
            where=str(bundle.folder),
            fix="`gristmill predict` answers images one by one" if same else _own_size(field),
        ) from error
    write = writer_of(bundle) if same else _writer(bundle, model, (height, width))
    return BundledModel(bundle, model, pixels, height, width, write.outputs, write)


def _image_field(bundle: Bundle) -> Field:
    fields = bundle.signature.inputs
    if bundle.has_featurizer or len(fields) != 1 or fields[0].kind != "image":
        kinds = [f"{field.name} ({field.kind})" for field in fields]
        raise UsageError(
            f"expected a model of one image, found one of {', '.join(kinds) or 'nothing'}",
            where=str(bundle.folder),
            fix="write the bundle with one field of kind 'image' (docs: bundles)",
        )
    return fields[0]


def _check_size(spec: GraphSpec, bundle: Bundle, height: int, width: int) -> None:
    bound = size_bound(spec)
    if bound is not None:
        raise UsageError(
            f"the network may do something else to pictures of {width}x{height}: {bound.op} at "
            f"{bound.name!r} depends on their size",
            where=str(bundle.folder),
            fix=_own_size(bundle.signature.inputs[0]),
        )


def _of_colours(
    spec: GraphSpec, weights: Mapping[str, NDArray[Any]]
) -> tuple[GraphSpec, dict[str, NDArray[Any]]]:
    """Put before a graph of grey images what makes them of red, green and blue."""
    (given,) = spec.inputs
    luma = np.array(_LUMA, np.float32).reshape(1, 3, 1, 1)
    taken = {given.name, *spec.weights, *(node.name for node in spec.nodes)}
    rgb, share = _unused(_RGB, taken), _unused(_GREY, taken)
    grey = Node(
        given.name,
        "aten.convolution.default",
        [Ref(rgb), Ref(share), None, *_ONE_BY_ONE],
    )
    rows, _, *size = given.shape
    coloured = msgspec.structs.replace(
        spec,
        inputs=[msgspec.structs.replace(given, name=rgb, shape=[rows, 3, *size])],
        weights=[share, *spec.weights],
        nodes=[grey, *spec.nodes],
    )
    return coloured, {share: luma, **weights}


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name


def _writer(bundle: Bundle, model: Model, size: tuple[int, int]) -> Writer:
    """Return what writes answers to pictures of another size: maps may be of another size, too."""
    if bundle.classes:
        return writer_of(bundle)
    shapes = model.graph.shapes((3, *size))
    found = [list(shapes[number]) for number in model.graph.outputs]
    fields = zip(bundle.signature.outputs, found, strict=True)
    return TensorWriter([msgspec.structs.replace(field, shape=shape) for field, shape in fields])


def _own_size(field: Field) -> str:
    height, width, _ = field.inner
    return f"use the size that the bundle was written for, {width}x{height}"
