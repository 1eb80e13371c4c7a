"""From a trained module and rows as it takes them to a bundle: a field of fixed shape an input."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gristmill.store.bundle import Bundle, Field
from gristmill.train.module_bundle import bundle_module

_ROWS = 3


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

    What `bundle_module` does, whose signature is read off `inputs`: a field for each, named as
    `forward` names it, or `inputs` if there is only one.

    Args:
        module: takes one tensor or more [n, ...], returns one, several or a dict of them; not
            changed.
        folder: where to; new, empty or a bundle, which is then replaced as a whole.
        inputs: rows as it takes them, one at least; a served row has their shape.
        name: the model's name; the folder's if None.
        metrics: figures of its evaluation.
        lineage: pairs of words that say what it came from.

    Raises:
        TrainError: the module can't be captured, or fails the trial; says how.
        BundleError: the folder holds something else, or an argument could not be stored.
    """
    names = _input_names(module, len(inputs))
    return bundle_module(
        module,
        folder,
        inputs=[_field(*each) for each in zip(names, inputs, strict=True)],
        example={each: _few(rows) for each, rows in zip(names, inputs, strict=True)},
        name=name,
        metrics=metrics,
        lineage=lineage,
    )


def _field(name: str, rows: Tensor) -> Field:
    dtype: Any = str(rows.dtype).removeprefix("torch.")
    return Field(name, "tensor", dtype=dtype, shape=list(rows.shape[1:]))


def _few(rows: Tensor) -> Tensor:
    """Return as many rows as the trial wants; too few are taken again."""
    return rows[torch.arange(_ROWS) % len(rows)]


def _input_names(module: nn.Module, count: int) -> Sequence[str]:
    """Return `inputs`, as a table has it, or the names that `forward` gives to several."""
    if count == 1:
        return ["inputs"]
    named = [
        name
        for name, each in inspect.signature(module.forward).parameters.items()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return named[:count] if len(named) >= count else [f"input_{at}" for at in range(count)]
