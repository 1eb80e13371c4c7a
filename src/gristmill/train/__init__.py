"""Train: models from tables and (soft, weighted) labels; search; bundles to serve.

examples = Examples.from_table(frame, labels, featurizer, classes)
fitted = fit(ModelSpec.for_text("cnn", featurizer, classes), examples, validation=0.2)
fitted.bundle("out/model", name="spam", featurizer=featurizer)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.train.bundle import bundle_model as bundle_model
    from gristmill.train.draws import seeded as seeded
    from gristmill.train.examples import Examples as Examples
    from gristmill.train.export import export_graph as export_graph
    from gristmill.train.feeds.arrays import Arrays as Arrays
    from gristmill.train.feeds.batch import Batch as Batch
    from gristmill.train.feeds.hopping import PartitionedFeed as PartitionedFeed
    from gristmill.train.feeds.images import Images as Images
    from gristmill.train.feeds.token_windows import TokenWindows as TokenWindows
    from gristmill.train.fitted import Fitted as Fitted
    from gristmill.train.front import fit as fit
    from gristmill.train.front import search as search
    from gristmill.train.history import EpochRecord as EpochRecord
    from gristmill.train.hunt.search import Search as Search
    from gristmill.train.hunt.searching import search_on_devices as search_on_devices
    from gristmill.train.jobs.inference import Inference as Inference
    from gristmill.train.jobs.job import TrainingJob as TrainingJob
    from gristmill.train.jobs.job import job as job
    from gristmill.train.jobs.recipe import Recipe as Recipe
    from gristmill.train.jobs.reference import plain_loop as plain_loop
    from gristmill.train.jobs.resources import Resources as Resources
    from gristmill.train.jobs.trained import Trained as Trained
    from gristmill.train.jobs.trial_spec import TrialSpec as TrialSpec
    from gristmill.train.losses import ClassWeightedCrossEntropy as ClassWeightedCrossEntropy
    from gristmill.train.losses import GeneralizedCrossEntropy as GeneralizedCrossEntropy
    from gristmill.train.losses import SmoothedCrossEntropy as SmoothedCrossEntropy
    from gristmill.train.losses import SymmetricCrossEntropy as SymmetricCrossEntropy
    from gristmill.train.losses import noise_aware_loss as noise_aware_loss
    from gristmill.train.model_spec import ModelSpec as ModelSpec
    from gristmill.train.model_spec import build_model as build_model
    from gristmill.train.module_bundle import bundle_module as bundle_module
    from gristmill.train.settings import FitSettings as FitSettings
    from gristmill.train.space import Space as Space
    from gristmill.train.space import integers as integers
    from gristmill.train.space import log_uniform as log_uniform
    from gristmill.train.space import uniform as uniform
    from gristmill.train.study import Study as Study
    from gristmill.train.tensor_bundle import bundle_tensors as bundle_tensors
    from gristmill.train.text.text_defaults import text_featurizer as text_featurizer
    from gristmill.train.text.text_defaults import text_settings as text_settings
    from gristmill.train.text.text_defaults import text_space as text_space
    from gristmill.train.text.text_models import BagOfNgrams as BagOfNgrams
    from gristmill.train.text.text_models import EmbeddingMLP as EmbeddingMLP
    from gristmill.train.text.text_models import TextCNN as TextCNN
    from gristmill.train.text.text_models import TextTransformer as TextTransformer
    from gristmill.train.weak.weak_weight import Weighing as Weighing
    from gristmill.train.weak.weak_weight import weigh as weigh

_EXPORTS = {
    "Arrays": "feeds.arrays",
    "BagOfNgrams": "text.text_models",
    "Batch": "feeds.batch",
    "ClassWeightedCrossEntropy": "losses",
    "EmbeddingMLP": "text.text_models",
    "EpochRecord": "history",
    "Examples": "examples",
    "FitSettings": "settings",
    "Fitted": "fitted",
    "GeneralizedCrossEntropy": "losses",
    "Images": "feeds.images",
    "Inference": "jobs.inference",
    "ModelSpec": "model_spec",
    "PartitionedFeed": "feeds.hopping",
    "Recipe": "jobs.recipe",
    "Resources": "jobs.resources",
    "Search": "hunt.search",
    "SmoothedCrossEntropy": "losses",
    "Space": "space",
    "Study": "study",
    "SymmetricCrossEntropy": "losses",
    "TextCNN": "text.text_models",
    "TextTransformer": "text.text_models",
    "TokenWindows": "feeds.token_windows",
    "Trained": "jobs.trained",
    "TrainingJob": "jobs.job",
    "TrialSpec": "jobs.trial_spec",
    "Weighing": "weak.weak_weight",
    "build_model": "model_spec",
    "bundle_model": "bundle",
    "bundle_module": "module_bundle",
    "bundle_tensors": "tensor_bundle",
    "export_graph": "export",
    "fit": "front",
    "integers": "space",
    "job": "jobs.job",
    "log_uniform": "space",
    "noise_aware_loss": "losses",
    "plain_loop": "jobs.reference",
    "search": "front",
    "search_on_devices": "hunt.searching",
    "seeded": "draws",
    "text_featurizer": "text.text_defaults",
    "text_settings": "text.text_defaults",
    "text_space": "text.text_defaults",
    "uniform": "space",
    "weigh": "weak.weak_weight",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
