"""Strong ways to run a network on whole frames on a CPU, which incremental inference has to beat.

- packed: the captured graph by packed oneDNN kernels in channels-last memory, every convolution
  window by window, as PyTorch and oneDNN do it;
- compiled: `torch.compile` with its weights frozen, on channels-last frames;
- ONNX Runtime, where `onnx`, `onnxscript` and `onnxruntime` are installed.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gristmill.core.environment import environment
from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.kernels.native.library import SWITCH, library

Way = Callable[[Tensor], Any]
_ONNX = ("onnx", "onnxscript", "onnxruntime")


def peers(module: nn.Module, packed: Way, example: Tensor) -> dict[str, Way]:
    """Return the ways by name, each warmed up with the example.

    Args:
        module: in evaluation mode.
        packed: runs its captured graph `by_windows`.
        example: float32 [batch, channels, height, width]; the ways take inputs of that shape.
    """
    found = {"packed": packed, "compiled": compiled(module)}
    missing = [name for name in _ONNX if importlib.util.find_spec(name) is None]
    if missing:
        print(f"ONNX Runtime left out: {', '.join(missing)} not installed", file=sys.stderr)
    else:
        found["ONNX Runtime"] = onnx_runtime(module, example)
    for way in found.values():
        for _ in range(2):
            way(example)
    return found


def by_windows(graph: Graph) -> Graph:
    """Return a captured graph with no convolution computed by tiles, or by kernels in C."""
    with environment({SWITCH: "off"}):
        library.cache_clear()
        nodes = [
            replace(node, operator=_window_by_window(node.operator))
            if isinstance(node.operator, Convolution)
            else node
            for node in graph.nodes
        ]
    library.cache_clear()
    return replace(graph, nodes=tuple(nodes))


def _window_by_window(operator: Convolution) -> Convolution:
    found = Convolution(operator.layer, operator.padding)
    if found.kernel.maker == "C":
        raise RuntimeError(f"expected oneDNN's kernel, found ours in C: {operator.title}")
    return found


def node_by_node(graph: Graph, frame: Tensor) -> tuple[Tensor, ...]:
    """Compute what a graph returns; a value is let go once nothing reads it any more."""
    with torch.inference_mode():
        found: dict[int, Tensor] = {FRAME: graph.checked(frame)}
        for number, node in enumerate(graph.nodes):
            found[number] = node.operator.run(*[found[source] for source in node.inputs])
            for source in set(node.inputs):
                if graph.readers[source][-1] == number and source not in graph.outputs:
                    del found[source]
        return tuple(found[number] for number in graph.outputs)


def compiled(module: nn.Module) -> Way:
    """Return a module compiled with frozen weights."""
    import torch._inductor.config as inductor

    # What was compiled for one network must not be taken for the next.
    torch._dynamo.reset()
    made = torch.compile(module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def run(values: Tensor) -> Any:
        with torch.no_grad(), inductor.patch(freezing=True):
            return made(values.contiguous(memory_format=torch.channels_last))

    return run


def onnx_runtime(module: nn.Module, example: Tensor) -> Way:
    """Return a module exported to ONNX, with all of ONNX Runtime's optimisations, on one thread."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "module.onnx"
        torch.onnx.export(module, (example,), file, input_names=["values"], verbose=False)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda values: session.run(None, {"values": values.contiguous().numpy()})
