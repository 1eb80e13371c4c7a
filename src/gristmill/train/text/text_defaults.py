"""Settings that suit short texts: where to start, and where to search from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gristmill.core.errors import TrainError
from gristmill.data.features import HashedNgrams
from gristmill.train.model_spec import KINDS
from gristmill.train.space import Space, log_uniform, uniform

_SETTINGS: Mapping[str, dict[str, Any]] = {
    "linear": {"lr": 3e-2, "weight_decay": 1e-2, "epochs": 30, "batch_size": 64},
    "mlp": {"lr": 3e-3, "weight_decay": 1e-2, "epochs": 20, "batch_size": 64},
    "cnn": {"lr": 2e-3, "weight_decay": 1e-2, "epochs": 15, "batch_size": 64},
    "transformer": {"lr": 1e-3, "weight_decay": 1e-2, "epochs": 15, "batch_size": 64},
}
_SPACES: Mapping[str, dict[str, object]] = {
    "linear": {"lr": log_uniform(3e-3, 1e-1), "weight_decay": log_uniform(1e-4, 3e-1)},
    "mlp": {
        "lr": log_uniform(5e-4, 1e-2),
        "weight_decay": log_uniform(1e-4, 1e-1),
        "dim": [16, 32, 64],
        "hidden": [32, 64, 128],
        "dropout": uniform(0.0, 0.5),
    },
    "cnn": {
        "lr": log_uniform(5e-4, 1e-2),
        "channels": [16, 32, 64],
        "widths": [(1, 2, 3), (2, 3, 4), (3, 4, 5)],
        "dropout": uniform(0.0, 0.5),
    },
    "transformer": {
        "lr": log_uniform(3e-4, 5e-3),
        "dim": [32, 64],
        "layers": [1, 2, 3],
        "dropout": uniform(0.0, 0.3),
    },
}


def text_settings(kind: str) -> dict[str, Any]:
    """Return keyword arguments for `fit` that suit a kind of text model."""
    return dict(_SETTINGS[_known(kind)])


def text_space(kind: str) -> Space:
    """Return a search space around `text_settings` for a kind of text model."""
    return Space(**_SPACES[_known(kind)])


def text_featurizer(kind: str, column: str = "text") -> HashedNgrams:
    """Return a featurizer that suits a kind of text model.

    Models that forget the order of tokens get n-grams of words and of characters; those that read
    it get the words in reading order. Numbers count by their shape: short texts seldom repeat one.
    """
    if _known(kind) in ("cnn", "transformer"):
        words, chars, buckets, length = (1, 1), None, 2**14, 128
    else:
        words, chars, buckets, length = (1, 2), (3, 4), 2**16, 512
    return HashedNgrams(
        column=column,
        words=words,
        chars=chars,
        buckets=buckets,
        max_tokens=length,
        fold_digits=True,
    )


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise TrainError(f"unknown model {kind!r}, expected one of {', '.join(KINDS)}")
    return kind
