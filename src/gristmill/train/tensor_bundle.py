"""From a trained module of any kind to a bundle whose rows are tensors: checked and captured."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gristmill.core.errors import TrainError
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.train.export import as_written, export_graph

_ROWS = 3
_TOLERANCE = 1e-4
_FIX = "the weights are a file by save(); load_state_dict() puts them into the module elsewhere"


def bundle_tensors(
    module: nn.Module,
    folder: Path | str,
    inputs: tuple[Tensor, ...],
    *,
    name: str | None = None,
    metrics: Mapping[str, float] | None = None,
    lineage: Mapping[str, str] | None = None,
) -> Bundle:
    """Write a trained module as a bundle that is asked tensors and answers tensors.

    A served row must get one answer, whoever it shares a batch with. So the module is tried first:
    what it answers to the rows must be finite, and the same (to 1e-4) alone and together.

    Args:
        module: takes one tensor or more [n, ...], returns one or a tuple of them; not changed.
        folder: where to; new, empty or a bundle, which is then replaced as a whole.
        inputs: rows as it takes them, one at least; a served row has their shape.
        name: the model's name; the folder's if None.
        metrics: figures of its evaluation.
        lineage: pairs of words that say what it came from.

    Raises:
        TrainError: the module can't be captured, or fails the trial; says how.
        BundleError: the folder holds something else, or an argument could not be stored.
    """
    twin = copy.deepcopy(module).cpu().eval()
    rows = tuple(_few(each) for each in inputs)
    with torch.inference_mode(), as_written():
        outputs = _tried(twin, rows)
    try:
        graph, weights = export_graph(twin, rows, dynamic=(0,))
    except TrainError as error:
        raise TrainError(
            error.message, where=error.where, fix=f"{error.fix or ''}; {_FIX}"
        ) from error
    return write_bundle(
        folder,
        name=name or Path(folder).name,
        signature=Signature(
            inputs=_fields(_input_names(twin, len(rows)), rows),
            outputs=_fields(_numbered("output", len(outputs)), outputs),
        ),
        graph=graph,
        weights=weights,
        metrics=metrics,
        lineage=lineage,
    )


def _few(rows: Tensor) -> Tensor:
    """Return as many rows as the trial wants; too few are taken again."""
    return rows[torch.arange(_ROWS) % len(rows)]


def _tried(module: nn.Module, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    together = answers_of(module, rows)
    alone = [
        answers_of(module, tuple(each[row : row + 1] for each in rows)) for row in range(_ROWS)
    ]
    for number, whole in enumerate(together):
        parts = torch.cat([each[number] for each in alone])
        if whole.is_floating_point() and not bool(whole.isfinite().all()):
            raise TrainError("expected finite answers, found nan or inf", where=_name(module))
        gap = float((whole.double() - parts.double()).abs().max())
        if gap > _TOLERANCE * max(1.0, float(parts.double().abs().max())):
            raise TrainError(
                "expected the same answer to a row alone and in a batch, found them "
                f"{gap:.3g} apart",
                where=_name(module),
                fix="let no row's answer depend on the other rows of its batch",
            )
    return together


def answers_of(module: nn.Module, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a module answers to rows, as a tuple of tensors with as many rows.

    Raises:
        TrainError: it answers something else.
    """
    found: Any = module(*rows)
    answers = found if isinstance(found, tuple) else (found,)
    for each in answers:
        if not isinstance(each, Tensor) or each.shape[:1] != rows[0].shape[:1]:
            what = f"shape {list(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
            raise TrainError(
                f"expected a tensor, or a tuple of them, with {len(rows[0])} rows, found {what}",
                where=_name(module),
                fix=_FIX,
            )
    return answers


def _fields(names: Sequence[str], tensors: Sequence[Tensor]) -> list[Field]:
    return [
        Field(name, "tensor", dtype=_dtype(each), shape=list(each.shape[1:]))
        for name, each in zip(names, tensors, strict=True)
    ]


def _dtype(tensor: Tensor) -> Any:
    return str(tensor.dtype).removeprefix("torch.")


def _input_names(module: nn.Module, count: int) -> list[str]:
    """Return `inputs`, as a table has it, or the names that `forward` gives to several."""
    if count == 1:
        return ["inputs"]
    named = [
        name
        for name, each in inspect.signature(module.forward).parameters.items()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return named[:count] if len(named) >= count else _numbered("input", count)


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{number}" for number in range(count)]


def _name(module: nn.Module) -> str:
    return type(module).__name__
