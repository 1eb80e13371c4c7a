"""From a trained module to a bundle: checked, captured and written."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gristmill.core.errors import TrainError
from gristmill.core.seeds import derive_seed
from gristmill.data.features import Columns, Featurizer, HashedNgrams, Tokens
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.train.export import as_written, export_graph

SCHEMA = "schema.toml"
"""Name of the data schema's file inside a bundle."""

_TOLERANCE = 1e-4
_LONGEST_CHECKED = 4096
_LARGEST = torch.finfo(torch.float32).max


def bundle_model(
    module: nn.Module,
    folder: Path | str,
    *,
    name: str,
    classes: Sequence[str],
    featurizer: Featurizer,
    metrics: Mapping[str, float] | None = None,
    lineage: Mapping[str, str] | None = None,
    schema_text: str | None = None,
    signature: Signature | None = None,
    extra_files: Mapping[str, str | bytes] | None = None,
) -> Bundle:
    """Write a trained classifier as a bundle, after checking that it can be served.

    A served row must get one answer, whoever it shares a batch with. So the module is tried first:
    it must give `len(classes)` finite logits a row, for any row that the featurizer can make, and
    the same ones (to 1e-4) alone, in a batch and with padding behind it.

    Args:
        module: maps the featurizer's array to logits float[n, len(classes)]; not changed.
        folder: where to; new, empty or a bundle, which is then replaced as a whole.
        name: the model's name.
        classes: class names, in the order of the logits.
        featurizer: how rows become the module's input.
        metrics: figures of its evaluation.
        lineage: pairs of words that say what it came from.
        schema_text: the schema of the data that it was taught by, kept as `schema.toml`.
        signature: what a request may hold, where it says more than `signature_of`.
        extra_files: text or bytes by relative path, which the bundle keeps as they are: those of
            `gristmill.pipeline.training_profile`, by which a server sees whether requests drift.

    Raises:
        TrainError: the module can't be captured, or fails the trial; says how.
        BundleError: the folder holds something else, or an argument could not be stored.
    """
    twin = copy.deepcopy(module).cpu().eval()
    example = example_input(featurizer)
    with torch.inference_mode(), as_written():
        _check_logits(twin, example, len(classes))
        if not isinstance(featurizer, Columns):
            _check_longest(twin, featurizer, example)
            _check_padding(twin, example)
    graph, weights = export_graph(twin, example)
    return write_bundle(
        folder,
        name=name,
        classes=classes,
        signature=signature or signature_of(featurizer, classes),
        featurizer=featurizer,
        graph=graph,
        weights=weights,
        metrics=metrics,
        lineage=lineage,
        extra_files={
            **(extra_files or {}),
            **({} if schema_text is None else {SCHEMA: schema_text}),
        },
    )


def signature_of(featurizer: Featurizer, classes: Sequence[str]) -> Signature:
    """Return the plain signature: every column required; answers `label` and `prob`.

    Numbers must fit in a float32, which is what the model reads.
    """
    if isinstance(featurizer, Columns):
        inputs = [Field(name, "float", min=-_LARGEST, max=_LARGEST) for name in featurizer.names]
    else:
        inputs = [Field(featurizer.column, "string")]
    return Signature(
        inputs=inputs,
        outputs=[
            Field("label", "string", domain=list(classes)),
            Field("prob", "float", min=0.0, max=1.0),
        ],
    )


def example_input(featurizer: Featurizer, rows: int = 3) -> Tensor:
    """Return an input such as the featurizer makes: int64[rows, length] or float32[rows, d].

    Rows of ids have different lengths, the last of them 0, or 1 where a tokenizer marks the ends of
    a text. The draw is fixed.
    """
    draw = torch.Generator().manual_seed(derive_seed(0, "example input"))
    if isinstance(featurizer, Columns):
        return torch.randn(rows, len(featurizer.names), generator=draw)
    length = max(2, min(featurizer.max_tokens, 8))
    greatest = featurizer.buckets if isinstance(featurizer, HashedNgrams) else featurizer.size - 1
    ids = torch.randint(1, greatest + 1, (rows, length), generator=draw)
    ids[0, 0] = greatest
    shortest = 1 if isinstance(featurizer, Tokens) else 0
    lengths = torch.linspace(length, shortest, rows).long().unsqueeze(1)
    return ids * (torch.arange(length) < lengths)


def _check_logits(module: nn.Module, example: Tensor, classes: int) -> None:
    logits = _try(module, example)
    expected = [len(example), classes]
    if list(logits.shape) != expected or not logits.dtype.is_floating_point:
        raise TrainError(
            f"expected floating-point logits of shape {expected}, "
            f"found {logits.dtype} of shape {list(logits.shape)}",
            where=type(module).__name__,
        )
    _check_finite(module, logits, "a small batch, an empty row included")


def _check_longest(module: nn.Module, featurizer: HashedNgrams | Tokens, example: Tensor) -> None:
    """Try a row as long as they come: a table of positions may be too short for it."""
    length = min(featurizer.max_tokens, _LONGEST_CHECKED)
    _check_finite(module, _try(module, example[:2, :1].expand(2, length)), f"{length} tokens")


def _check_padding(module: nn.Module, example: Tensor) -> None:
    """Compare a row's logits in a padded batch with those that it gets alone and unpadded."""
    together = _try(module, example)
    for row in range(len(example)):
        length = max(int((example[row] != 0).sum()), 1)
        alone = _try(module, example[row : row + 1, :length])
        gap = float((together[row] - alone[0]).abs().max())
        if gap > _TOLERANCE * max(1.0, float(alone.abs().max())):
            raise TrainError(
                f"expected the same logits for a row alone and in a batch, found them {gap:.3g} "
                f"apart for a row of {length} ids padded to {example.shape[1]}",
                where=type(module).__name__,
                fix="leave ids of 0 out of sums, means, maxima and attention",
            )


def _check_finite(module: nn.Module, logits: Tensor, what: str) -> None:
    if not bool(logits.isfinite().all()):
        raise TrainError(
            f"expected finite logits for {what}, found nan or inf", where=type(module).__name__
        )


def _try(module: nn.Module, example: Tensor) -> Tensor:
    try:
        logits: object = module(example)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        raise TrainError(
            f"the model fails on an input {list(example.shape)} that the featurizer can make: "
            f"{error}",
            where=type(module).__name__,
            fix="check its embedding has buckets + 1 rows, and positions for max_tokens",
        ) from error
    if not isinstance(logits, Tensor):
        raise TrainError(
            f"expected one tensor of logits, found {type(logits).__name__}",
            where=type(module).__name__,
        )
    return logits
