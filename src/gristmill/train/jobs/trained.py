"""A trained model: its weights, what it was trained with, and how it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import Tensor, nn

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import UsageError
from gristmill.train.bundle import bundle_model
from gristmill.train.draws import seeded
from gristmill.train.jobs.trial_spec import BuildModule, Source
from gristmill.train.tensor_bundle import bundle_tensors

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
        feed: its batches, which show what its inputs are like.
    """

    build: BuildModule
    seed: int
    state_dict: Mapping[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[int, float] = field(default_factory=dict)
    feed: Source | None = None

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
        name: str | None = None,
        classes: Sequence[str] | None = None,
        featurizer: Featurizer | None = None,
        **more: Any,
    ) -> Bundle:
        """Write the model as a bundle that can be served.

        By itself, it is asked tensors such as it was trained on and answers what the module
        returns; see `bundle_tensors`. With a featurizer and class names it is a classifier that is
        asked rows of a table and answers the class and its probability; see `bundle_model`.

        Args:
            folder: where to; new, empty or a bundle, which is then replaced as a whole.
            name: the model's name; the folder's if None.
            classes: class names, in the order of the module's logits.
            featurizer: how rows become the module's input.
            more: further arguments of `bundle_tensors` or `bundle_model`: `metrics`, `lineage`...

        Raises:
            UsageError: class names without a featurizer, or a featurizer without class names.
            TrainError: the module can't be captured, or fails the trial.
            BundleError: the folder holds something else.
        """
        wanted = {"name": name or Path(folder).name, "metrics": dict(self.metrics)} | more
        if featurizer is not None and classes is not None:
            module = self.module()
            return bundle_model(module, folder, classes=classes, featurizer=featurizer, **wanted)
        if featurizer is not None or classes is not None:
            raise UsageError(
                "a classifier of table rows needs both classes= and featurizer=",
                where=str(folder),
                fix="give both; or neither, for a bundle that is asked tensors and answers logits",
            )
        if self.feed is None:
            raise UsageError(
                "what the model's inputs are like is not known",
                fix="bundle_tensors(trained.module(), folder, inputs)",
            )
        return bundle_tensors(self.module(), folder, self.feed.batch(0).inputs, **wanted)
