"""Data that stays with its device while trials visit it: model hopper parallelism.

After Cerebro (Nakandala, Zhang, Kumar; VLDB 2020, section 4). Here a visit is as many steps of a
trial as its feed makes of one partition, and all of them run on the partition's device, whose
worker alone opens it. What hops is nothing: all workers map the same weights.
"""

from __future__ import annotations

from gristmill.train.feeds.hopping import PartitionedFeed
from gristmill.train.jobs.trial_spec import Source
from gristmill.train.tasks.trial_graph import Homes
from gristmill.train.tasks.trial_shape import TrialShape


def homes_of(feed: Source, shape: TrialShape, devices: int) -> Homes | None:
    """Return on which device each step has its data; None where any has all of it.

    Partition p is with device p modulo their number. A model that is cut reads its batches on
    several devices at once, so only one that runs whole steps hops.

    Args:
        feed: of the trial.
        shape: of the trial.
        devices: how many there are.
    """
    if not isinstance(feed, PartitionedFeed) or shape.grain != "step" or shape.replicas > 1:
        return None

    def home(step: int) -> tuple[int, int]:
        visit = feed.visit_of(step)
        return visit.partition % devices, visit.last

    return home
