"""From a module with any inputs and outputs to a bundle: tried on an example, captured, written."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gristmill.core.errors import TrainError
from gristmill.data.features import Columns, Featurizer
from gristmill.store.bundle import OFFSETS, Bundle, Field, Signature, write_bundle
from gristmill.train.bundle import example_input, signature_of
from gristmill.train.export import as_written, export_graph
from gristmill.train.table_bounds import bounded

Example: TypeAlias = Mapping[str, Tensor | Sequence[Tensor]]
"""By name of an input: rows [n, ...], or a list of rows of different lengths."""

_TOLERANCE = 1e-4
_FIX = "the weights are a file by save(); load_state_dict() puts them into the module elsewhere"
_WHITE = 255.0


def bundle_module(
    module: nn.Module,
    folder: Path | str,
    *,
    inputs: Sequence[Field] = (),
    outputs: Sequence[str] = (),
    example: Example | None = None,
    featurizer: Featurizer | None = None,
    classes: Sequence[str] = (),
    name: str | None = None,
    metrics: Mapping[str, float] | None = None,
    lineage: Mapping[str, str] | None = None,
) -> Bundle:
    """Write a module as a bundle, after checking that it can be served.

    Rows are tensors, images or numbers, one field for each argument of the module; or, with a
    featurizer, texts or columns of a table. Rows of a field of free length are filled up with 0
    behind their end, and the module must ignore that. So it is tried on the example first: a row's
    answer must be finite and the same (to 1e-4) alone and in a padded batch.

    Args:
        module: takes one tensor [n, ...] for each input, returns one, several or a dict of them;
            not changed. A result that is None is left out.
        folder: where to; new, empty or a bundle, which is then replaced as a whole.
        inputs: what a row holds, in the order of the module's arguments; not with a featurizer.
        outputs: names of what it returns; by default a dict's own, `output`, or `output_0`,
            `output_1`...
        example: two rows or more that it can answer, kept in the bundle; of an image
            uint8[n, height, width, channels]. Not with a featurizer.
        featurizer: how a row of a table becomes the module's one input.
        classes: class names, where it returns logits [n, classes].
        name: the model's name; the folder's if None.
        metrics: figures of its evaluation.
        lineage: pairs of words that say what it came from.

    Raises:
        TrainError: the module can't be captured, or fails the trial; says how.
        BundleError: the folder holds something else, or an argument could not be stored.
    """
    twin = copy.deepcopy(module).cpu().eval()
    tensors: tuple[Tensor, ...]
    if featurizer is not None:
        kept, inputs = {}, signature_of(featurizer, ("", "-")).inputs
        ids = example_input(featurizer)
        lengths = None if isinstance(featurizer, Columns) else (ids != 0).sum(1).clamp(min=1)
        tensors, free = (ids,), [(0,) if lengths is None else (0, 1)]
    else:
        kept = {field.name: _rows(field, example or {}) for field in inputs}
        tensors = tuple(_stacked(field, kept[field.name]) for field in inputs)
        free = [(0, 1) if field.ragged else (0,) for field in inputs]
        ragged = [kept[field.name] for field in inputs if field.ragged]
        lengths = torch.tensor([len(row) for row in ragged[0]]) if ragged else None
    with torch.inference_mode(), as_written():
        named = _answers(twin, tensors)
        found = list(named.values())
        fields = _fields(found, outputs or list(named), lengths)
        _check_rows(twin, tensors, free, lengths, found, fields)
    if classes:
        _check_logits(twin, fields, len(classes))
        fields = [
            Field("label", "string", domain=list(classes)),
            Field("prob", "float", min=0.0, max=1.0),
        ]
    try:
        graph, weights = export_graph(twin, tensors, dynamic=free)
    except TrainError as error:
        raise TrainError(
            error.message, where=error.where, fix=f"{error.fix or ''}; {_FIX}"
        ) from error
    return write_bundle(
        folder,
        name=name or Path(folder).name,
        classes=classes,
        signature=Signature(
            inputs=list(inputs) if featurizer is not None else bounded(inputs, graph, weights),
            outputs=fields,
        ),
        featurizer=featurizer,
        graph=graph,
        weights=weights,
        example=_arrays(inputs, kept),
        metrics=metrics,
        lineage=lineage,
    )


def _rows(field: Field, example: Example) -> list[Tensor]:
    if field.name not in example or len(example[field.name]) < 2:
        raise TrainError(
            "expected an example of two rows or more", where=f"input {field.name!r}", fix="example="
        )
    rows = [each.detach().cpu() for each in example[field.name]]
    expected = list(field.shape or [])
    for row in rows:
        same = len(expected) == row.dim() and all(
            size in (None, actual) for size, actual in zip(expected, row.shape, strict=True)
        )
        if not same or (field.dtype is not None and str(row.dtype) != f"torch.{field.dtype}"):
            raise TrainError(
                f"expected rows of {field.dtype or field.kind} {expected}, "
                f"found {str(row.dtype).removeprefix('torch.')} {list(row.shape)}",
                where=f"input {field.name!r}",
            )
    return rows


def _stacked(field: Field, rows: Sequence[Tensor]) -> Tensor:
    """Return the rows as the module takes them, filled up with 0 where they are shorter."""
    if field.kind == "image":
        pixels = torch.stack(list(rows)).permute(0, 3, 1, 2).float() / _WHITE
        # In the order in which pixels are served: another one would be captured with the graph.
        return pixels.clone(memory_format=torch.contiguous_format)
    return (
        nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
        if field.ragged
        else torch.stack(list(rows))
    )


def _answers(module: nn.Module, rows: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Return what a module answers to rows by name: tensors with as many rows; None is left out."""
    found: Any = module(*rows)
    if isinstance(found, Mapping):
        answers = {str(name): each for name, each in found.items() if each is not None}
    else:
        several = found if isinstance(found, tuple | list) else (found,)
        kept = [each for each in several if each is not None]
        names = ["output"] if len(kept) == 1 else [f"output_{at}" for at in range(len(kept))]
        answers = dict(zip(names, kept, strict=True))
    for each in answers.values() or (None,):
        if not isinstance(each, Tensor) or each.shape[:1] != rows[0].shape[:1]:
            what = f"shape {list(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
            raise TrainError(
                f"expected a tensor, or several, with {len(rows[0])} rows each, found {what}",
                where=type(module).__name__,
                fix=_FIX,
            )
    return answers


def _fields(found: Sequence[Tensor], names: Sequence[str], lengths: Tensor | None) -> list[Field]:
    """Describe what the module returns; as long as the longest row means: as long as each row."""
    if len(names) != len(found):
        raise TrainError(f"expected {len(names)} outputs, found {len(found)}", fix="name each")
    longest = -1 if lengths is None else int(lengths.max())
    fields = []
    for name, each in zip(names, found, strict=True):
        shape: list[int | None] = list(each.shape[1:])
        if shape and shape[0] == longest:
            shape[0] = None
        dtype: Any = str(each.dtype).removeprefix("torch.")
        fields.append(Field(name, "tensor", dtype=dtype, shape=shape))
    return fields


def _check_rows(
    module: nn.Module,
    tensors: tuple[Tensor, ...],
    free: Sequence[tuple[int, ...]],
    lengths: Tensor | None,
    found: Sequence[Tensor],
    fields: Sequence[Field],
) -> None:
    """Compare each row's answers in the padded batch with those that it gets alone."""
    for row in range(len(tensors[0])):
        length = None if lengths is None else int(lengths[row])
        alone = _answers(
            module,
            tuple(
                each[row : row + 1, :length] if len(axes) > 1 else each[row : row + 1]
                for each, axes in zip(tensors, free, strict=True)
            ),
        )
        for field, one, many in zip(fields, alone.values(), found, strict=True):
            mine = many[row, :length] if field.ragged else many[row]
            _check_same(module, field, one[0], mine, row)


def _check_same(module: nn.Module, field: Field, alone: Tensor, mine: Tensor, row: int) -> None:
    where = f"{type(module).__name__}, output {field.name!r}"
    if alone.shape != mine.shape:
        raise TrainError(
            f"expected the same shape alone and in a batch, found {list(alone.shape)} and "
            f"{list(mine.shape)} for row {row}",
            where=where,
        )
    if not bool(alone.isfinite().all() and mine.isfinite().all()):
        raise TrainError(f"expected finite answers, found nan or inf for row {row}", where=where)
    gap = float((alone.double() - mine.double()).abs().max()) if alone.numel() else 0.0
    if gap > _TOLERANCE * max(1.0, float(alone.double().abs().max()) if alone.numel() else 1.0):
        raise TrainError(
            "expected the same answer to a row alone and in a batch, found them "
            f"{gap:.3g} apart for row {row}",
            where=where,
            fix="leave padding, and the other rows, out of sums, means, maxima and attention",
        )


def _check_logits(module: nn.Module, fields: Sequence[Field], classes: int) -> None:
    shapes = [field.shape for field in fields]
    if shapes != [[classes]]:
        raise TrainError(
            f"expected logits [n, {classes}], found rows of {', '.join(map(str, shapes))}",
            where=type(module).__name__,
        )


def _arrays(
    inputs: Sequence[Field], kept: Mapping[str, Sequence[Tensor]]
) -> dict[str, NDArray[Any]]:
    """Return the example as a bundle keeps it."""
    arrays: dict[str, NDArray[Any]] = {}
    for field in inputs:
        rows = kept.get(field.name, ())
        if field.ragged and rows:
            arrays[field.name] = torch.cat(list(rows)).numpy()
            lengths = [len(row) for row in rows]
            arrays[field.name + OFFSETS] = np.cumsum([0, *lengths], dtype=np.int64)
        elif rows:
            arrays[field.name] = torch.stack(list(rows)).numpy()
    return arrays
