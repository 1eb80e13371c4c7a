"""The architecture of a model as data: what is written beside its weights."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gristmill.core.errors import TrainError

if TYPE_CHECKING:
    from torch import nn

    from gristmill.data.features import HashedNgrams

Parameter: TypeAlias = int | float | str | bool | tuple[int, ...]
KINDS = ("linear", "mlp", "cnn", "transformer")


class ModelSpec(msgspec.Struct, frozen=True):
    """A model of a known kind.

    Attributes:
        kind: `linear`, `mlp`, `cnn` or `transformer` (see `gristmill.train.text.text_models`).
        params: the constructor's arguments by name.
    """

    kind: str
    params: dict[str, Parameter]

    @classmethod
    def for_text(
        cls, kind: str, featurizer: HashedNgrams, classes: Sequence[str], **params: Parameter
    ) -> ModelSpec:
        """Return a spec whose ids and classes fit `featurizer` and `classes`.

        Args:
            kind: one of `linear`, `mlp`, `cnn`, `transformer`.
            featurizer: gives the number of ids (and of positions).
            classes: class names.
            params: further arguments of the model's constructor.
        """
        sizes: dict[str, Parameter] = {"buckets": featurizer.buckets, "classes": len(classes)}
        if kind == "transformer":
            sizes["max_length"] = featurizer.max_tokens
        return cls(kind, sizes | params)


def build_model(spec: ModelSpec, seed: int = 0) -> nn.Module:
    """Build the model that `spec` describes, its random weights drawn from `seed` alone.

    Raises:
        TrainError: the kind is unknown, or the parameters do not fit it.
    """
    from gristmill.train.block_draws import built

    factory = _constructor(spec.kind)
    known = list(inspect.signature(factory).parameters)
    stray = sorted(set(spec.params) - set(known))
    if stray:
        raise TrainError(
            f"model {spec.kind!r} has no parameter {stray[0]!r}, expected some of {known}"
        )
    try:
        module = built(lambda: factory(**spec.params), seed)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TrainError(
            f"model {spec.kind!r} cannot be built with {spec.params}: {error}"
        ) from error
    module.spec = spec  # type: ignore[assignment]  # a plain attribute: lets Fitted be loaded again
    return module


def spec_of(module: nn.Module) -> ModelSpec | None:
    """Return the spec that `build_model` made the module from, or None for a user's own module."""
    spec = getattr(module, "spec", None)
    return spec if isinstance(spec, ModelSpec) else None


def _constructor(kind: str) -> type[nn.Module]:
    from gristmill.train.text import text_models

    constructors: dict[str, type[nn.Module]] = {
        "linear": text_models.BagOfNgrams,
        "mlp": text_models.EmbeddingMLP,
        "cnn": text_models.TextCNN,
        "transformer": text_models.TextTransformer,
    }
    if kind not in constructors:
        raise TrainError(f"unknown model {kind!r}, expected one of {', '.join(KINDS)}")
    return constructors[kind]
