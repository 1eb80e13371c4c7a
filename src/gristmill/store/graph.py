"""A captured model as data: which operator is applied to what, in order.

The operators are those of `OPERATORS` and no others: a subset of core ATen, PyTorch's documented
set of functional tensor operators, with `linear` and attention kept whole, and integer arithmetic
on sizes. All of them are pure functions
of tensors and numbers: none reads a file, none runs code that a bundle brings, none writes to a
weight. `train.export` writes graphs and `serve.runners.graph` runs them; both take the list from
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from gristmill.core.errors import BundleError

DTypeName: TypeAlias = Literal["bool", "int32", "int64", "float16", "float32", "float64"]
"""Of what a graph is given, of its weights, and of its results."""
InnerDTypeName: TypeAlias = DTypeName | Literal["int8", "int16", "uint8", "bfloat16"]

_POINTWISE_NAMES = """
    abs.default acos.default acosh.default add.Scalar add.Tensor asin.default asinh.default
    atan.default atan2.default atanh.default bitwise_and.Scalar bitwise_and.Tensor
    bitwise_left_shift.Tensor bitwise_not.default bitwise_or.Scalar bitwise_or.Tensor
    bitwise_right_shift.Tensor bitwise_xor.Scalar bitwise_xor.Tensor ceil.default clamp.Tensor
    clamp.default clone.default copy.default copysign.Tensor cos.default cosh.default
    digamma.default div.Scalar div.Tensor div.Tensor_mode elu.default eq.Scalar eq.Tensor
    erf.default erfc.default erfinv.default exp.default exp2.default expm1.default floor.default
    fmax.default fmin.default fmod.Scalar fmod.Tensor ge.Scalar ge.Tensor gelu.default gt.Scalar
    gt.Tensor hardtanh.default hypot.default isinf.default isnan.default le.Scalar le.Tensor
    leaky_relu.default lgamma.default log.default log10.default log1p.default log2.default
    logical_and.default logical_not.default logical_or.default logical_xor.default lt.Scalar
    lt.Tensor maximum.default minimum.default mul.Scalar mul.Tensor ne.Scalar ne.Tensor neg.default
    pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor reciprocal.default relu.default remainder.Scalar
    remainder.Tensor round.default rsqrt.default sigmoid.default sign.default sin.default
    sinh.default sqrt.default sub.Scalar sub.Tensor tan.default tanh.default trunc.default
    where.self
    """
_REDUCTIONS = """
    _log_softmax.default _softmax.default amax.default amin.default any.default any.dim any.dims
    argmax.default argmin.default cummax.default cummin.default cumprod.default cumsum.default
    kthvalue.default linalg_vector_norm.default logcumsumexp.default max.dim mean.default mean.dim
    median.dim min.dim mode.default nanmedian.dim prod.dim_int sort.default sum.default
    sum.dim_IntList topk.default var.correction var_mean.correction
    """
_LAYERS = """
    _adaptive_avg_pool2d.default _adaptive_avg_pool3d.default _cdist_forward.default
    _embedding_bag.default _native_batch_norm_legit_no_training.default
    _upsample_bicubic2d_aa.default _upsample_bilinear2d_aa.default adaptive_max_pool2d.default
    adaptive_max_pool3d.default addmm.default avg_pool1d.default avg_pool2d.default
    avg_pool3d.default bmm.default bucketize.Tensor constant_pad_nd.default convolution.default
    embedding.default linear.default max_pool2d_with_indices.default max_pool3d_with_indices.default
    mm.default native_group_norm.default native_layer_norm.default
    scaled_dot_product_attention.default searchsorted.Tensor upsample_bilinear2d.vec
    upsample_nearest2d.vec
    """
_SHAPES = """
    _to_copy.default _unsafe_view.default alias.default arange.default arange.start
    arange.start_step cat.default diagonal.default expand.default flip.default full.default
    full_like.default gather.default index.Tensor index_put.default index_select.default
    permute.default repeat.default scalar_tensor.default scatter.src scatter.value
    scatter_add.default scatter_reduce.two select.int slice.Tensor slice_scatter.default
    split_with_sizes.default squeeze.dim squeeze.dims sym_size.int unsqueeze.default view.default
    """

OPERATORS = frozenset(
    [f"aten.{name}" for name in (_POINTWISE_NAMES + _REDUCTIONS + _LAYERS + _SHAPES).split()]
    + [f"size.{name}" for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "max", "min")]
    + ["item.get"]
)
"""Names of every operator that a graph may use: `aten.<name>.<overload>`; `size.*`, arithmetic on
whole numbers that came from shapes; `item.get`, one result of an operator that has several."""

POINTWISE = frozenset(f"aten.{name}" for name in _POINTWISE_NAMES.split())
"""Those that compute each element of the result from one element of each tensor, broadcast."""


class Ref(msgspec.Struct, frozen=True, tag="ref", tag_field="is", forbid_unknown_fields=True):
    """The value of an input, a weight or an earlier node, by name."""

    name: str


class Special(msgspec.Struct, frozen=True, tag="float", tag_field="is", forbid_unknown_fields=True):
    """A float that JSON can't write."""

    value: Literal["inf", "-inf", "nan"]


class Dtype(msgspec.Struct, frozen=True, tag="dtype", tag_field="is", forbid_unknown_fields=True):
    """An element type; of what a graph computes on its way, there are more."""

    name: InnerDTypeName


class Device(msgspec.Struct, frozen=True, tag="device", tag_field="is", forbid_unknown_fields=True):
    """The device on which the graph runs, whichever that is."""


class Layout(msgspec.Struct, frozen=True, tag="layout", tag_field="is", forbid_unknown_fields=True):
    """A memory layout; only dense tensors are known."""

    name: Literal["strided"] = "strided"


class MemoryFormat(
    msgspec.Struct, frozen=True, tag="memory_format", tag_field="is", forbid_unknown_fields=True
):
    """The order of a tensor's elements in memory."""

    name: Literal["contiguous_format", "preserve_format"]


class Items(msgspec.Struct, frozen=True, tag="list", tag_field="is", forbid_unknown_fields=True):
    """A list of arguments."""

    items: list[Arg]


Arg: TypeAlias = (
    bool | int | float | str | Ref | Special | Dtype | Device | Layout | MemoryFormat | Items | None
)


CHOICES = {"dtype": Dtype, "layout": Layout, "device": Device, "memory_format": MemoryFormat}
"""Names of arguments that choose one of a few, for every operator on the list -> what they are."""


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One application of an operator.

    Attributes:
        name: what later nodes call the result; given once in a graph.
        op: a member of `OPERATORS`.
        args: positional arguments.
        kwargs: arguments by name.
    """

    name: str
    op: str
    args: list[Arg] = []
    kwargs: dict[str, Arg] = {}


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that the graph is given; `None` in the shape is free, rows come first."""

    name: str
    dtype: DTypeName
    shape: list[int | None]


class GraphSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole model: inputs and weights in, one result or several out.

    Attributes:
        inputs: what the graph is given, in order.
        weights: names of the tensors of `weights.safetensors` that it uses.
        nodes: in an order in which every argument exists before it is used.
        outputs: names of the results.
    """

    inputs: list[Input]
    weights: list[str]
    nodes: list[Node]
    outputs: list[str]

    def check(self) -> None:
        """Make sure that every operator is known and every name defined once and before its use.

        Arguments that choose one of a few must be one of them: PyTorch reads past the end of its
        tables where it is given another number.

        Raises:
            BundleError: naming the node and the operator, name or argument.
        """
        if not self.inputs or not self.outputs:
            raise BundleError(
                f"expected inputs and outputs, found {len(self.inputs)} and {len(self.outputs)}",
                where="graph",
            )
        known: set[str] = set()
        for name in [*(given.name for given in self.inputs), *self.weights]:
            _define(name, known, "graph")
        for node in self.nodes:
            where = f"graph, node {node.name!r}"
            if node.op not in OPERATORS:
                raise BundleError(f"operator {node.op!r} is not on the list", where=where)
            _check_kinds(node, where)
            _check_known(references(node), known, where)
            _define(node.name, known, where)
        _check_known(self.outputs, known, "graph, outputs")


def references(node: Node) -> Iterator[str]:
    """Yield the names that a node reads, in order, as often as it reads them."""
    for arg in [*node.args, *node.kwargs.values()]:
        yield from _references(arg)


def graph_to_json(graph: GraphSpec) -> bytes:
    """Write a graph as JSON, one node a line; equal graphs give equal bytes."""
    lines = [b'{"inputs":', _encode(graph.inputs), b',\n"weights":', _encode(graph.weights)]
    lines += [b',\n"nodes":[\n', b",\n".join(map(_encode, graph.nodes)), b"\n]"]
    return b"".join([*lines, b',\n"outputs":', _encode(graph.outputs), b"}\n"])


def graph_from_json(data: bytes) -> GraphSpec:
    """Read what `graph_to_json` wrote, and check it.

    Raises:
        BundleError: the JSON is not a graph, or `GraphSpec.check` finds fault with it.
    """
    try:
        graph = msgspec.json.decode(data, type=GraphSpec)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"not a graph: {error}") from error
    graph.check()
    return graph


def _encode(part: object) -> bytes:
    return msgspec.json.encode(part, order="deterministic")


def _references(arg: Arg) -> Iterator[str]:
    if isinstance(arg, Ref):
        yield arg.name
    elif isinstance(arg, Items):
        for item in arg.items:
            yield from _references(item)


def _check_kinds(node: Node, where: str) -> None:
    for name, kind in CHOICES.items():
        found = node.kwargs.get(name)
        if found is not None and not isinstance(found, kind):
            raise BundleError(f"expected a {kind.__name__} as {name}, found {found!r}", where=where)


def _define(name: str, known: set[str], where: str) -> None:
    if name in known:
        raise BundleError(f"the name {name!r} is defined twice", where=where)
    known.add(name)


def _check_known(names: Iterator[str] | list[str], known: set[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise BundleError(f"the name {name!r} is not defined before its use", where=where)
