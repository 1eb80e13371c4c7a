"""A trained model with the record of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.checkpoint import state_copy, state_fingerprint
from gristmill.train.draws import steady
from gristmill.train.examples import Examples, Inputs, batch_inputs, row_lengths
from gristmill.train.history import EpochRecord, without_seconds
from gristmill.train.loop import scoring_batches
from gristmill.train.model_spec import ModelSpec, build_model, spec_of
from gristmill.train.settings import FitSettings

if TYPE_CHECKING:
    from gristmill.data.features import Featurizer
    from gristmill.store.bundle import Bundle, Signature

_WEIGHTS, _FACTS = "weights.safetensors", "fitted.json"


class _Facts(msgspec.Struct, frozen=True):
    """All of a Fitted that is not weights."""

    spec: ModelSpec | None
    classes: tuple[str, ...]
    history: list[EpochRecord]
    best_epoch: int
    metrics: dict[str, float]
    settings: FitSettings
    rows: int
    validation_rows: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """What `fit` returns.

    Attributes:
        module: with the weights of the best epoch, in eval mode, on the CPU.
        classes: class names, in the order of the logits.
        history: one record an epoch.
        best_epoch: 1 for the first; the last epoch where nothing was held out.
        metrics: `train_loss` (as seen in the best epoch), and on validation rows
            `validation_loss`, `precision`, `recall`, `f1`, `accuracy`.
        settings: what it was trained with.
        rows: how many rows it learned from.
        validation_rows: how many rows were watched.
    """

    module: nn.Module
    classes: tuple[str, ...]
    history: tuple[EpochRecord, ...]
    best_epoch: int
    metrics: dict[str, float]
    settings: FitSettings
    rows: int
    validation_rows: int

    def predict_probs(self, data: Examples | Inputs) -> NDArray[np.float32]:
        """Return class probabilities float32[n, k], in the order given.

        Args:
            data: examples, or inputs as the model takes them: ids int64[n, length] or features
                float32[n, width]; n may be 0.
        """
        inputs = data.inputs if isinstance(data, Examples) else data
        probs = np.zeros((len(inputs), len(self.classes)), dtype=np.float32)
        with steady(self.settings.threads), torch.inference_mode():
            for rows in scoring_batches(row_lengths(inputs)):
                batch = np.ascontiguousarray(batch_inputs(inputs, rows))
                logits = self.module(torch.from_numpy(batch))
                probs[rows] = torch.softmax(logits, dim=1).numpy()
        return probs

    def predict(self, data: Examples | Inputs) -> NDArray[np.int64]:
        """Return the likeliest class of each row: int64[n]."""
        return np.asarray(self.predict_probs(data).argmax(axis=1), dtype=np.int64)

    @property
    def spec(self) -> ModelSpec | None:
        """The architecture as data, or None for a module that is not one of Gristmill's."""
        return spec_of(self.module)

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `fitted.json` into an existing empty folder.

        Wall times are left out: two equal trainings are equal files.
        """
        facts = _Facts(
            self.spec,
            self.classes,
            without_seconds(self.history),
            self.best_epoch,
            dict(sorted(self.metrics.items())),
            self.settings,
            self.rows,
            self.validation_rows,
        )
        (folder / _WEIGHTS).write_bytes(save_tensors(state_copy(self.module.state_dict())))
        text = msgspec.json.format(msgspec.json.encode(facts, order="deterministic"), indent=2)
        (folder / _FACTS).write_bytes(text + b"\n")

    @classmethod
    def load(cls, folder: Path, module: nn.Module | None = None) -> Fitted:
        """Read what `save` wrote.

        Args:
            folder: where it lies.
            module: takes the weights; needed where the architecture is the user's own.

        Raises:
            TrainError: a file is missing or damaged, or the weights do not fit the module.
        """
        try:
            facts = msgspec.json.decode((folder / _FACTS).read_bytes(), type=_Facts)
            state = load_tensors((folder / _WEIGHTS).read_bytes())
        except (OSError, msgspec.MsgspecError, SafetensorError) as error:
            raise TrainError(f"no readable trained model: {error}", where=str(folder)) from error
        if module is None:
            module = _rebuild(facts.spec, folder)
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            raise TrainError(f"weights do not fit the model: {error}", where=str(folder)) from error
        names = [name for name in _Facts.__struct_fields__ if name not in ("spec", "history")]
        rest: dict[str, Any] = {name: getattr(facts, name) for name in names}
        return cls(module=module.eval(), history=tuple(facts.history), **rest)

    def describe(self) -> dict[str, object]:
        """Return a summary for lineage and display, ready for JSON."""
        seconds = [record.seconds for record in self.history if record.seconds is not None]
        return {
            "model": self.spec.kind if self.spec else type(self.module).__qualname__,
            "params": dict(self.spec.params) if self.spec else {},
            "parameters": sum(each.numel() for each in self.module.parameters()),
            "classes": list(self.classes),
            "rows": self.rows,
            "validation_rows": self.validation_rows,
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "metrics": dict(self.metrics),
            "settings": msgspec.to_builtins(self.settings),
            "seconds": sum(seconds) if seconds else None,
            "weights": state_fingerprint(self.module.state_dict()),
        }

    def bundle(
        self,
        folder: Path,
        *,
        name: str,
        featurizer: Featurizer,
        lineage: Mapping[str, str] | None = None,
        schema_text: str | None = None,
        signature: Signature | None = None,
        extra_files: Mapping[str, str | bytes] | None = None,
    ) -> Bundle:
        """Write a bundle that can be served, its metrics those of this training.

        Args:
            folder: becomes the bundle, whole or not at all.
            name: of the model.
            featurizer: what turned rows into this model's inputs.
            lineage: what it came from, as names and fingerprints.
            schema_text: the schema of the data that it was taught by, as TOML.
            signature: what a request may hold, where the featurizer does not say enough.
            extra_files: as `bundle_model` takes them.
        """
        from gristmill.train.bundle import bundle_model

        return bundle_model(
            self.module,
            folder,
            name=name,
            classes=list(self.classes),
            featurizer=featurizer,
            metrics=dict(self.metrics),
            lineage=dict(lineage or {}),
            schema_text=schema_text,
            signature=signature,
            extra_files=extra_files,
        )


def _rebuild(spec: ModelSpec | None, folder: Path) -> nn.Module:
    if spec is None:
        raise TrainError(
            "the architecture of a module of your own is not stored with its weights",
            where=str(folder),
            fix="pass module=, built as it was for training",
        )
    return build_model(spec)
