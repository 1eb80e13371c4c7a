"""Three bundles, a registry that knows two of them, and a serving file: for `serve_soak.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Bundle
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog

TEXTS = ["win a prize", "see you at lunch", "", "free " * 20, "meeting moved to 3 pm", "é"]
_PLAN = """
folder = "kept"
[models.first]
bundle = "first"
replicas = 1
[models.second]
registry = "spam"
project = "project"
every = "200ms"
replicas = 1
[routes.chosen]
kind = "selection"
models = ["first", "second"]
waiting = 1_000_000
log = "1GB"
"""


def prepare(folder: Path) -> dict[tuple[str, str], float]:
    """Write bundles, a registry and the serving file; return what each bundle says of each text.

    The keys are the beginning of the bundle's fingerprint, and the text.
    """
    bundles = [small_bundle(folder / name, seed) for seed, name in enumerate(("first", "a", "b"))]
    (folder / "project").mkdir()
    with Project(folder / "project") as project:
        registry = Registry(project)
        for bundle in bundles[1:]:
            registry.register("spam", RunLog(project).keep(bundle).digest)
        registry.decide("spam", 1, "promote", ["the first"], author="soak")
    (folder / "serving.toml").write_text(_PLAN)
    expected = {}
    for bundle in bundles:
        answers = open_runner(bundle)(Rows({"text": TEXTS}))
        for text, prob in zip(TEXTS, np.asarray(answers["prob"]).tolist(), strict=True):
            expected[bundle.fingerprint[:8], text] = prob
    return expected


def small_bundle(folder: Path, seed: int) -> Bundle:
    """Write a linear model of hashed n-grams with random weights."""
    import torch

    from gristmill.data.features import HashedNgrams
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    module = BagOfNgrams(2**12, 2)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        module.weights.weight[1:] = torch.randn(2**12, 2, generator=generator)
    featurizer = HashedNgrams(buckets=2**12)
    return bundle_model(module, folder, name="spam", classes=["ham", "spam"], featurizer=featurizer)
