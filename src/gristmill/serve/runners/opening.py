"""From a bundle to the runner that suits its inputs."""

from __future__ import annotations

import logging
from pathlib import Path

from gristmill.core.errors import BundleError, GristmillError
from gristmill.serve.runners.answering import Writer, writer_of
from gristmill.serve.runners.body import Body
from gristmill.serve.runners.dense import DenseBody
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.loaded import LoadedRunner
from gristmill.serve.runners.packed import PackedBody, gap_between
from gristmill.serve.runners.reading import Reader, reader_of
from gristmill.serve.runners.samples import sample_inputs
from gristmill.store.bundle import Bundle
from gristmill.store.graph import GraphSpec, Ref

log = logging.getLogger("gristmill.serve")

_TOLERANCE = 1e-6
_LEAST_WEIGHTS = 1 << 14
"""Of its dense layers together; below that a model's padding costs less than packing does."""


def open_runner(bundle: Bundle | Path | str, *, threads: int | None = 1) -> LoadedRunner:
    """Load a bundle: packed where its rows differ in length and its graph allows, else dense.

    A packed model has answered a few rows as the padded one does, within 1e-6 of the largest
    answer (or of 1); where it does not, the runner is dense and its `note` says why.

    Args:
        bundle: an open bundle, or its folder.
        threads: how many threads one operator may use. PyTorch has one number for the process; it
            is put back when no call is under way. None leaves it alone.

    Raises:
        BundleError: the bundle is damaged, or its signature is not that of its graph.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    graph = Graph(bundle.graph(), bundle.weights())
    read, write = ends_of(bundle, graph.spec)
    body, note = _body(bundle, graph, write)
    if note:
        log.info("%s runs in padded batches: %s", bundle.name, note)
    return LoadedRunner(bundle, read, body, write, threads=threads, note=note)


def ends_of(bundle: Bundle, spec: GraphSpec) -> tuple[Reader, Writer]:
    """Return what reads a bundle's rows, and what writes its answers.

    Raises:
        BundleError: its signature is not that of its graph.
    """
    read, write = reader_of(bundle, spec.inputs), writer_of(bundle)
    if len(spec.outputs) != (1 if bundle.classes else len(write.outputs)):
        raise BundleError(
            f"expected the outputs of the signature, found {len(spec.outputs)} of the graph",
            where="graph",
        )
    return read, write


def _body(bundle: Bundle, graph: Graph, write: Writer) -> tuple[Body, str]:
    """Return what runs the graph, and why it is not packed where that was tried."""
    ragged = [False] if bundle.classes else [field.ragged for field in write.outputs]
    dense = DenseBody(graph, ragged)
    free = any(len(each.shape) > 1 and each.shape[1] is None for each in graph.spec.inputs)
    if not free or _dense_weights(graph) < _LEAST_WEIGHTS:
        return dense, ""
    try:
        inputs, rows = sample_inputs(bundle, graph.spec.inputs)
        if not rows:
            return dense, "the bundle keeps no example to try it on"
        packed = PackedBody(graph.spec, graph.weights, ragged)
        gap = gap_between(packed, dense, inputs, rows)
    except GristmillError as error:
        return dense, error.message
    if not gap <= _TOLERANCE:
        return dense, f"packed answers are {gap:.1e} from the padded ones"
    return packed, ""


def _dense_weights(graph: Graph) -> int:
    spec: GraphSpec = graph.spec
    layers = [node.args[1] for node in spec.nodes if node.op == "aten.linear.default"]
    named = {arg.name for arg in layers if isinstance(arg, Ref)} & set(graph.weights)
    return sum(graph.weights[name].numel() for name in named)
