"""Label: labelling functions -> votes -> labels.

votes = apply(functions, table, classes=["ham", "spam"])
labels = LabelModel(votes.classes).fit(votes, gold=gold).predict(votes)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.label.analysis.summary import Analysis as Analysis
    from gristmill.label.analysis.summary import analyze as analyze
    from gristmill.label.explain import Explanation as Explanation
    from gristmill.label.functions.application import apply as apply
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
    from gristmill.label.models.label_model import LabelModel as LabelModel
    from gristmill.label.models.majority import MajorityVote as MajorityVote
    from gristmill.label.vote import ABSTAIN as ABSTAIN
    from gristmill.label.votes import Votes as Votes
    from gristmill.label.votes import stack as stack

_EXPORTS = {
    "ABSTAIN": "vote",
    "Analysis": "analysis.summary",
    "Explanation": "explain",
    "LabelModel": "models.label_model",
    "LabelingFunction": "functions.function",
    "Labels": "labels",
    "MajorityVote": "models.majority",
    "Preprocessor": "functions.preprocess",
    "Row": "functions.rows",
    "VoteCache": "functions.vote_cache",
    "Votes": "votes",
    "analyze": "analysis.summary",
    "apply": "functions.application",
    "keywords": "functions.expressions",
    "labeling_function": "functions.function",
    "lookup": "functions.expressions",
    "pattern": "functions.expressions",
    "preprocessor": "functions.preprocess",
    "stack": "votes",
    "where": "functions.expressions",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
