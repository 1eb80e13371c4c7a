"""Label: labelling functions -> votes -> labels.

votes = apply(functions, table, classes=["ham", "spam"])
labels = LabelModel(votes.classes).fit(votes, gold=gold).predict(votes)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.label.analysis import Analysis as Analysis
    from gristmill.label.analysis import analyze as analyze
    from gristmill.label.application import apply as apply
    from gristmill.label.explain import Explanation as Explanation
    from gristmill.label.expressions import keywords as keywords
    from gristmill.label.expressions import lookup as lookup
    from gristmill.label.expressions import pattern as pattern
    from gristmill.label.expressions import where as where
    from gristmill.label.functions import ABSTAIN as ABSTAIN
    from gristmill.label.functions import LabelingFunction as LabelingFunction
    from gristmill.label.functions import labeling_function as labeling_function
    from gristmill.label.labels import Labels as Labels
    from gristmill.label.majority import MajorityVote as MajorityVote
    from gristmill.label.model import LabelModel as LabelModel
    from gristmill.label.preprocess import Preprocessor as Preprocessor
    from gristmill.label.preprocess import preprocessor as preprocessor
    from gristmill.label.rows import Row as Row
    from gristmill.label.vote_cache import VoteCache as VoteCache
    from gristmill.label.votes import Votes as Votes
    from gristmill.label.votes import stack as stack

_EXPORTS = {
    "ABSTAIN": "functions",
    "Analysis": "analysis",
    "Explanation": "explain",
    "LabelModel": "model",
    "LabelingFunction": "functions",
    "Labels": "labels",
    "MajorityVote": "majority",
    "Preprocessor": "preprocess",
    "Row": "rows",
    "VoteCache": "vote_cache",
    "Votes": "votes",
    "analyze": "analysis",
    "apply": "application",
    "keywords": "expressions",
    "labeling_function": "functions",
    "lookup": "expressions",
    "pattern": "expressions",
    "preprocessor": "preprocess",
    "stack": "votes",
    "where": "expressions",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
