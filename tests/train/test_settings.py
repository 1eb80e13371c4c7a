from __future__ import annotations

import re

import pytest

from gristmill.core.errors import UsageError
from gristmill.train.settings import FitSettings


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, found -1"),
        ({"lr": 0.0}, "lr must be above 0, found 0.0"),
        ({"lr": float("nan")}, "lr must be above 0, found nan"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more, found -0.1"),
        ({"patience": 0}, "patience must be at least 1, or None, found 0"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0, or None, found 0.0"),
        (
            {"metric": "auc"},
            "metric must be one of f1, precision, recall, accuracy, loss, found 'auc'",
        ),
    ],
)
def test_nonsense_is_refused(setting, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        FitSettings(**setting).check()


def test_defaults_are_fine():
    assert FitSettings().check().maximise
    assert not FitSettings(metric="loss").check().maximise
