"""How a model larger than memory answers: in which stages, and how many rows between readings.

All figures follow from the bundle and the memory alone, none is measured: a run that goes on cuts
its rows as the run before did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, prod

from gristmill.core.closing import Closing
from gristmill.core.errors import BundleError, ServeError, UsageError
from gristmill.core.quantities import format_bytes, format_count, format_seconds
from gristmill.serve.runners.footprint import Footprint, footprint_of
from gristmill.serve.runners.graph import DTYPES
from gristmill.serve.runners.loaded import LoadedRunner
from gristmill.serve.runners.opening import ends_of
from gristmill.serve.runners.stages import Stage, cut_stages, node_weights
from gristmill.serve.runners.streamed import StageWeights, StreamedBody
from gristmill.store.bundle import WEIGHTS, Bundle
from gristmill.store.graph import GraphSpec
from gristmill.store.signature import Field
from gristmill.store.tensor_file import StoredTensor, TensorFile

_DISK = 200e6
"""Bytes a second: of a slow disk, as one in the cloud is."""
_COMPUTE = 100e9
"""Operations a second: of several cores."""
_TIMES_HIDDEN = 4
_MOST_ROWS, _LEAST_ROWS = 8192, 256
_MOST_BATCH, _MOST_ELEMENTS = 1024, 1 << 14
_COPIES = 8
"""Of a part's rows: read, as arrays, as answers, and those of the parts before and after."""
_POOL_STAGES = 4
_TEXT_BYTES, _LENGTH = 1024, 256
"""Of a text, and of rows of free length, where the bundle doesn't say."""
_LINE, _BLOCK = 64, 4096
"""In memory tensors begin on a cache line, and those of a stage take whole blocks together."""
_UNKNOWN = Footprint(1 << 16, 1 << 16, 0)


@dataclass(frozen=True)
class StreamingPlan:
    """How the weights of a bundle pass through memory.

    Attributes:
        spec: the graph.
        stages: it, cut.
        largest: bytes of the weights of the largest stage.
        weight_bytes: of all weights.
        memory: bytes for weights, values and rows together, Python apart.
        pool: bytes of them for weights.
        row_memory: bytes of them for rows under way.
        rows: that pass through a stage while its weights are there.
        hiding_rows: that take as long to compute as all weights take to be read, by a guess.
        batch_rows: rows that are computed together.
        batch_elements: elements of them, where rows differ in length.
    """

    spec: GraphSpec = field(repr=False)
    stages: Sequence[Stage] = field(repr=False)
    largest: int
    weight_bytes: int
    memory: int
    pool: int
    row_memory: int
    rows: int
    hiding_rows: int
    batch_rows: int
    batch_elements: int

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Names of the weights of each stage."""
        return [stage.weights for stage in self.stages]

    @property
    def summary(self) -> str:
        """One line on what is done."""
        return (
            f"weights of {format_bytes(self.weight_bytes)} pass through {format_bytes(self.pool)} "
            f"of memory in {self._stages}, once for each {format_count(self.rows)} rows"
        )

    @property
    def _stages(self) -> str:
        return "one stage" if len(self.stages) == 1 else f"{len(self.stages)} stages"

    def __str__(self) -> str:
        seconds = self.weight_bytes / _DISK
        hidden = "hidden behind" if self.rows >= self.hiding_rows else "not hidden by"
        return "\n".join(
            [
                f"weights  {format_bytes(self.weight_bytes)} on disk, read in {self._stages} of at "
                f"most {format_bytes(self.largest)}",
                f"memory   {format_bytes(self.memory)}: {format_bytes(self.pool)} for weights, "
                f"{format_bytes(self.row_memory)} for rows, the rest for values and kernels",
                f"rows     {format_count(self.rows)} between two readings of the weights, in "
                f"batches of {format_count(min(self.batch_rows, self.rows))}",
                f"reading  {format_seconds(seconds)} at {format_bytes(_DISK)}/s, {hidden} the "
                f"computing (from {format_count(self.hiding_rows)} rows)",
            ]
        )


def plan_streaming(bundle: Bundle, memory: int) -> StreamingPlan:
    """Plan how a bundle answers within a budget.

    Args:
        bundle: the bundle; only the header of its weights is read.
        memory: bytes for weights, values and rows together.

    Raises:
        BundleError: the weights are no safetensors file, or the graph's are not among them.
        UsageError: the budget is too small; names the layer that needs most, and the least budget.
    """
    spec = bundle.graph()
    ends_of(bundle, spec)
    tensors = _tensors(bundle, spec)
    sizes = {name: _whole(tensor.nbytes, _LINE) for name, tensor in tensors.items()}
    node, least = _largest_node(spec, sizes)
    usable = memory * 7 // 8 - least
    pool = _pool(usable, least)
    stages = cut_stages(spec, sizes, max(least, pool // _POOL_STAGES))
    length = _length(bundle)
    try:
        row = footprint_of(spec, stages, tensors, length)
    except ServeError:  # an operator whose result's shape depends on values
        row = _UNKNOWN
    needed = ceil((least + max(ceil(least * 4 / 3), 16 * row.working)) * 8 / 7)
    if memory < needed:
        raise UsageError(
            f"a memory of {format_bytes(memory)} is too small for this model: {node} alone takes "
            f"{format_bytes(least)}, and the values of one row {format_bytes(row.working)}",
            where=f"model {bundle.name!r}",
            fix=f"give it {_rounded_up(needed)} or more",
        )
    values = (usable - pool) // 2
    batch = max(1, min(_MOST_BATCH, values // 2 // max(row.working, 1)))
    batch = 1 << (batch.bit_length() - 1)
    groups = [stage.weights for stage in stages]
    weight_bytes = sum(tensor.nbytes for tensor in tensors.values())
    hiding = ceil(weight_bytes / _DISK * _COMPUTE / max(row.operations, 1))
    fitting = min(
        values // 2 // max(row.carried, 1), values // _COPIES // _row_bytes(bundle, length)
    )
    wanted = max(_TIMES_HIDDEN * hiding, _LEAST_ROWS)
    ragged = _is_ragged(spec)
    return StreamingPlan(
        spec=spec,
        stages=stages,
        largest=max(sum(sizes[name] for name in each) for each in groups),
        weight_bytes=weight_bytes,
        memory=memory,
        pool=pool,
        row_memory=values,
        rows=max(1, min(wanted, fitting, _MOST_ROWS)),
        hiding_rows=hiding,
        batch_rows=_MOST_BATCH if ragged else batch,
        batch_elements=min(_MOST_ELEMENTS, batch * length),
    )


class StreamedRunner(LoadedRunner, Closing):
    """A runner of a bundle whose weights are lent stage by stage; to be closed.

    Args:
        bundle: the bundle.
        plan: of it.
        weights: lends those of `plan.groups`; closed with the runner.
        threads: how many threads one operator may use; None leaves PyTorch's number alone.

    Raises:
        BundleError: the signature is not that of the graph.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: StreamingPlan,
        weights: StageWeights,
        *,
        threads: int | None = 1,
    ) -> None:
        read, write = ends_of(bundle, plan.spec)
        ragged = [False] if bundle.classes else [each.ragged for each in write.outputs]
        self._streamed = StreamedBody(plan.spec, plan.stages, weights, ragged, plan, threads)
        super().__init__(bundle, read, self._streamed, write, threads=None, note=plan.summary)

    def close(self) -> None:
        """Let the weights go."""
        self._streamed.close()


def _tensors(bundle: Bundle, spec: GraphSpec) -> dict[str, StoredTensor]:
    """Return the weights that a graph names, from the header of the file."""
    with TensorFile(bundle.folder / WEIGHTS, bundle.manifest.files[WEIGHTS]) as file:
        found = file.tensors
    for name in spec.weights:
        if name not in found or name in spec.outputs or found[name].dtype not in DTYPES:
            raise BundleError(
                f"expected a weight {name!r} for the graph, found none", where=WEIGHTS
            )
    return {name: found[name] for name in spec.weights}


def _largest_node(spec: GraphSpec, sizes: Mapping[str, int]) -> tuple[str, int]:
    """Return the node whose weights take most, in words, and their bytes."""
    read = node_weights(spec)
    totals = [_whole(sum(sizes[name] for name in names), _BLOCK) for names in read]
    at = max(range(len(totals)), key=totals.__getitem__, default=None)
    if at is None or not totals[at]:
        return "no layer", 0
    return f"layer {spec.nodes[at].name!r} (weight {read[at][0]!r})", totals[at]


def _pool(usable: int, least: int) -> int:
    """Return the bytes for weights: of two stages if they fit, so that one is read meanwhile.

    Usable is what kernels leave, which may lay out the weights of a layer anew, and allocators.
    """
    most = usable * 3 // 4
    fitting = next((each for each in (2 * least, least) if each <= most), most)
    return max(usable // 2, fitting)


def _length(bundle: Bundle) -> int:
    """Return how long a row of free length may be."""
    if bundle.has_featurizer:
        return int(getattr(bundle.featurizer(), "max_tokens", 1))
    longest = [each.max_length or _LENGTH for each in bundle.signature.inputs if each.ragged]
    return max(longest, default=1)


def _is_ragged(spec: GraphSpec) -> bool:
    return any(len(each.shape) > 1 and each.shape[1] is None for each in spec.inputs)


def _row_bytes(bundle: Bundle, length: int) -> int:
    return sum(_field_bytes(each, length) for each in bundle.signature.inputs) or 1


def _field_bytes(each: Field, length: int) -> int:
    if each.kind == "string":
        return _TEXT_BYTES
    if each.shape is None:
        return 8
    # An image is read as float32, too.
    return prod((*each.inner, length if each.ragged else 1)) * 8


def _whole(nbytes: int, unit: int) -> int:
    """Round up to whole units."""
    return -(-nbytes // unit) * unit


def _rounded_up(nbytes: int) -> str:
    """Return a size as it is given on the command line, with two digits, never too small."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if nbytes >= scale:
            tenths = ceil(nbytes * 10 / scale)
            return f"{ceil(tenths / 10)}{unit}" if tenths >= 100 else f"{tenths / 10:g}{unit}"
    return f"{nbytes}B"
