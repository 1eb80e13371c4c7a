"""A trained model: its weights, what it was trained with, and how it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import Tensor, nn

from gristmill.core.atomic import atomic_file
from gristmill.train.bundle import bundle_model
from gristmill.train.draws import seeded
from gristmill.train.jobs.trial_spec import BuildModule

if TYPE_CHECKING:
    from gristmill.data.features import Featurizer
    from gristmill.store.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model.

    Attributes:
        build: makes the module.
        seed: of its first weights.
        state_dict: its weights, as plain PyTorch loads them.
        settings: what a search drew for it, by name.
        metrics: figures on the rows held out, at the end of training.
        losses: of each step, by number from 0.
    """

    build: BuildModule
    seed: int
    state_dict: Mapping[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[int, float] = field(default_factory=dict)

    def module(self) -> nn.Module:
        """Return the model with its weights, in evaluation mode; a new one at each call."""
        module = seeded(self.build, self.seed)
        module.load_state_dict(dict(self.state_dict))
        return module.eval()

    def save(self, file: Path | str) -> Path:
        """Write the state dict as safetensors; the file appears whole or not at all."""
        target = Path(file)
        with atomic_file(target) as draft:
            # Copies, for tied weights are one tensor with two names here, and the format has none.
            save_file({name: each.clone() for name, each in self.state_dict.items()}, draft)
        return target

    def bundle(
        self,
        folder: Path | str,
        *,
        name: str,
        classes: Sequence[str],
        featurizer: Featurizer,
        **more: Any,
    ) -> Bundle:
        """Write a classifier as a bundle that can be served; see `bundle_model`.

        Raises:
            TrainError: the module can't be captured, or fails the trial.
            BundleError: the folder holds something else.
        """
        return bundle_model(
            self.module(),
            folder,
            name=name,
            classes=classes,
            featurizer=featurizer,
            **{"metrics": dict(self.metrics), **more},
        )
