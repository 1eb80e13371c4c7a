"""Whether a bundle's graph does the same to pictures of any size.

A graph is captured with pictures of one size, and some operators then name places of that size:
they would cut a larger map down, or read it in another order, without a word.
"""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.store.graph import POINTWISE, GraphSpec, Node, references

_OF_ANY_SIZE = POINTWISE | {
    "aten._adaptive_avg_pool2d.default",
    "aten._log_softmax.default",
    "aten._native_batch_norm_legit_no_training.default",
    "aten._softmax.default",
    "aten.addmm.default",
    "aten.alias.default",
    "aten.amax.default",
    "aten.amin.default",
    "aten.avg_pool2d.default",
    "aten.cat.default",
    "aten.constant_pad_nd.default",
    "aten.convolution.default",
    "aten.linear.default",
    "aten.max_pool2d_with_indices.default",
    "aten.mean.dim",
    "aten.native_layer_norm.default",  # of other numbers than it was captured with, it raises
    "aten.permute.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.sym_size.int",
    "aten.unsqueeze.default",
    "item.get",
}
_CUTS = {"aten.select.int": 1, "aten.slice.Tensor": 1, "aten.split_with_sizes.default": 2}
"""Operators that cut a tensor along an axis, and the place of the axis among their arguments."""
_NO_END = 2**63 - 1
"""What `x[:]` becomes as the end of a cut."""
_ENLARGEMENTS = {"aten.upsample_bilinear2d.vec", "aten.upsample_nearest2d.vec"}
"""Their second argument is the size, the last one factors; one of the two is given."""
_VIEWS = {"aten._unsafe_view.default", "aten.view.default"}
_OF_OWN_SIZE = _VIEWS | {
    "aten._adaptive_avg_pool2d.default",
    "aten.addmm.default",
    "aten.amax.default",
    "aten.amin.default",
    "aten.linear.default",
    "aten.mean.dim",
    "aten.squeeze.dims",
}
"""Operators whose values have one size, whatever that of the picture: they may be laid out anew."""


def size_bound(spec: GraphSpec) -> Node | None:
    """Return the first node that may tie a graph to the size of its pictures; None without any."""
    made = {node.name: node for node in spec.nodes}
    return next((node for node in spec.nodes if not _is_free(node, made)), None)


def _is_free(node: Node, made: Mapping[str, Node]) -> bool:
    if node.op in _CUTS:
        place = _CUTS[node.op]
        axis = node.args[place] if len(node.args) > place else node.kwargs.get("dim", 0)
        return axis in (0, 1) or _takes_all(node)  # rows, channels
    if node.op in _ENLARGEMENTS:
        return len(node.args) > 1 and node.args[1] is None
    if node.op in _VIEWS:
        source = made.get(next(references(node)))
        while source is not None and source.op in POINTWISE:
            source = made.get(next(references(source)))
        return source is not None and source.op in _OF_OWN_SIZE
    return node.op in _OF_ANY_SIZE


def _takes_all(node: Node) -> bool:
    start, end = (*node.args[2:4], None, None)[:2]
    all_ = node.op == "aten.slice.Tensor" and not node.kwargs and len(node.args) < 5
    return all_ and start in (None, 0) and end in (None, _NO_END)
