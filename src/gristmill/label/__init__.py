"""Label: labelling functions -> votes -> labels.

votes = apply(functions, table, classes=["ham", "spam"])
labels = LabelModel(votes.classes).fit(votes, gold=gold).predict(votes)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.label.analysis.clashes import clashes as clashes
    from gristmill.label.analysis.error_buckets import Buckets as Buckets
    from gristmill.label.analysis.error_buckets import buckets as buckets
    from gristmill.label.analysis.gap_search import RowGroups as RowGroups
    from gristmill.label.analysis.gap_search import conflict_groups as conflict_groups
    from gristmill.label.analysis.gap_search import gaps as gaps
    from gristmill.label.analysis.summary import Analysis as Analysis
    from gristmill.label.analysis.summary import analyze as analyze
    from gristmill.label.analysis.summary import analyze_in_parts as analyze_in_parts
    from gristmill.label.augmenting.augmentation import augment as augment
    from gristmill.label.augmenting.augmentation import carry_labels as carry_labels
    from gristmill.label.augmenting.policies import ApplyAll as ApplyAll
    from gristmill.label.augmenting.policies import ApplyEach as ApplyEach
    from gristmill.label.augmenting.policies import ApplyOne as ApplyOne
    from gristmill.label.augmenting.policies import MeanField as MeanField
    from gristmill.label.augmenting.transformation import (
        TransformationFunction as TransformationFunction,
    )
    from gristmill.label.augmenting.transformation import (
        transformation_function as transformation_function,
    )
    from gristmill.label.exchange.arrays import read_npz as read_npz
    from gristmill.label.exchange.arrays import write_npz as write_npz
    from gristmill.label.exchange.wrench import read_wrench as read_wrench
    from gristmill.label.exchange.wrench import write_wrench as write_wrench
    from gristmill.label.explain import Explanation as Explanation
    from gristmill.label.functions.application import apply as apply
    from gristmill.label.functions.application import apply_in_parts as apply_in_parts
    from gristmill.label.functions.expressions import keywords as keywords
    from gristmill.label.functions.expressions import lookup as lookup
    from gristmill.label.functions.expressions import pattern as pattern
    from gristmill.label.functions.expressions import where as where
    from gristmill.label.functions.function import LabelingFunction as LabelingFunction
    from gristmill.label.functions.function import labeling_function as labeling_function
    from gristmill.label.functions.preprocess import Preprocessor as Preprocessor
    from gristmill.label.functions.preprocess import preprocessor as preprocessor
    from gristmill.label.functions.rows import Row as Row
    from gristmill.label.functions.vote_cache import VoteCache as VoteCache
    from gristmill.label.labels import Labels as Labels
    from gristmill.label.models.dawid_skene import DawidSkene as DawidSkene
    from gristmill.label.models.label_model import LabelModel as LabelModel
    from gristmill.label.models.label_parts import predict_in_parts as predict_in_parts
    from gristmill.label.models.majority import MajorityVote as MajorityVote
    from gristmill.label.models.matrix_completion import MatrixCompletion as MatrixCompletion
    from gristmill.label.models.triplets import Triplets as Triplets
    from gristmill.label.models.weighted import WeightedVote as WeightedVote
    from gristmill.label.multilabel.functions import apply_multilabel as apply_multilabel
    from gristmill.label.multilabel.functions import multilabel_function as multilabel_function
    from gristmill.label.multilabel.multilabel_model import MultiLabelModel as MultiLabelModel
    from gristmill.label.multilabel.multilabel_model import MultiLabels as MultiLabels
    from gristmill.label.multilabel.multilabel_votes import MultiLabelVotes as MultiLabelVotes
    from gristmill.label.ordinal.ordinal_model import OrdinalMajority as OrdinalMajority
    from gristmill.label.ordinal.ordinal_model import OrdinalModel as OrdinalModel
    from gristmill.label.review.answers import Answers as Answers
    from gristmill.label.review.queue import review_queue as review_queue
    from gristmill.label.selection.cut_statistic import cut_statistic as cut_statistic
    from gristmill.label.selection.cut_statistic import keep_best as keep_best
    from gristmill.label.slices.slice_scores import SliceScores as SliceScores
    from gristmill.label.slices.slice_scores import score_slices as score_slices
    from gristmill.label.slices.slice_scores import source_slices as source_slices
    from gristmill.label.slices.slicing_function import SlicingFunction as SlicingFunction
    from gristmill.label.slices.slicing_function import slice_members as slice_members
    from gristmill.label.slices.slicing_function import slicing_function as slicing_function
    from gristmill.label.spans.documents import Documents as Documents
    from gristmill.label.spans.functions import apply_spans as apply_spans
    from gristmill.label.spans.functions import gazetteer as gazetteer
    from gristmill.label.spans.functions import span_function as span_function
    from gristmill.label.spans.functions import span_pattern as span_pattern
    from gristmill.label.spans.majority import SpanMajority as SpanMajority
    from gristmill.label.spans.scoring import score_spans as score_spans
    from gristmill.label.spans.span_model import SpanModel as SpanModel
    from gristmill.label.spans.span_votes import SpanVotes as SpanVotes
    from gristmill.label.versions.comparison import compare as compare
    from gristmill.label.versions.version import LabelVersion as LabelVersion
    from gristmill.label.vote import ABSTAIN as ABSTAIN
    from gristmill.label.vote_parts import VoteParts as VoteParts
    from gristmill.label.votes import Votes as Votes
    from gristmill.label.votes import stack as stack

_EXPORTS = {
    "ABSTAIN": "vote",
    "Analysis": "analysis.summary",
    "Answers": "review.answers",
    "ApplyAll": "augmenting.policies",
    "ApplyEach": "augmenting.policies",
    "ApplyOne": "augmenting.policies",
    "Buckets": "analysis.error_buckets",
    "DawidSkene": "models.dawid_skene",
    "Documents": "spans.documents",
    "Explanation": "explain",
    "LabelModel": "models.label_model",
    "LabelVersion": "versions.version",
    "LabelingFunction": "functions.function",
    "Labels": "labels",
    "MajorityVote": "models.majority",
    "MatrixCompletion": "models.matrix_completion",
    "MeanField": "augmenting.policies",
    "MultiLabelModel": "multilabel.multilabel_model",
    "MultiLabelVotes": "multilabel.multilabel_votes",
    "MultiLabels": "multilabel.multilabel_model",
    "OrdinalMajority": "ordinal.ordinal_model",
    "OrdinalModel": "ordinal.ordinal_model",
    "Preprocessor": "functions.preprocess",
    "Row": "functions.rows",
    "RowGroups": "analysis.gap_search",
    "SliceScores": "slices.slice_scores",
    "SlicingFunction": "slices.slicing_function",
    "SpanMajority": "spans.majority",
    "SpanModel": "spans.span_model",
    "SpanVotes": "spans.span_votes",
    "TransformationFunction": "augmenting.transformation",
    "Triplets": "models.triplets",
    "VoteCache": "functions.vote_cache",
    "VoteParts": "vote_parts",
    "Votes": "votes",
    "WeightedVote": "models.weighted",
    "analyze": "analysis.summary",
    "analyze_in_parts": "analysis.summary",
    "apply": "functions.application",
    "apply_in_parts": "functions.application",
    "apply_multilabel": "multilabel.functions",
    "apply_spans": "spans.functions",
    "augment": "augmenting.augmentation",
    "buckets": "analysis.error_buckets",
    "carry_labels": "augmenting.augmentation",
    "clashes": "analysis.clashes",
    "compare": "versions.comparison",
    "conflict_groups": "analysis.gap_search",
    "cut_statistic": "selection.cut_statistic",
    "gaps": "analysis.gap_search",
    "gazetteer": "spans.functions",
    "keep_best": "selection.cut_statistic",
    "keywords": "functions.expressions",
    "labeling_function": "functions.function",
    "lookup": "functions.expressions",
    "multilabel_function": "multilabel.functions",
    "pattern": "functions.expressions",
    "predict_in_parts": "models.label_parts",
    "preprocessor": "functions.preprocess",
    "read_npz": "exchange.arrays",
    "read_wrench": "exchange.wrench",
    "review_queue": "review.queue",
    "score_slices": "slices.slice_scores",
    "score_spans": "spans.scoring",
    "slice_members": "slices.slicing_function",
    "slicing_function": "slices.slicing_function",
    "source_slices": "slices.slice_scores",
    "span_function": "spans.functions",
    "span_pattern": "spans.functions",
    "stack": "votes",
    "transformation_function": "augmenting.transformation",
    "where": "functions.expressions",
    "write_npz": "exchange.arrays",
    "write_wrench": "exchange.wrench",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
