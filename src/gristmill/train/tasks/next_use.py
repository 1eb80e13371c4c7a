"""How far away the next use of a stage's records is: what a pager evicts by."""

from __future__ import annotations

from gristmill.train.tasks.trial_graph import TrialGraph

NEVER = float("inf")


def next_use(graph: TrialGraph, stage: int, section: str = "weights") -> float:
    """Return about how many seconds of a trial's own work lie before a stage is used again.

    Optimiser state (section `state`) is used by updates only, weights by forward and backward too.
    A trial that has ended or is held at a step boundary never uses anything again.

    Args:
        graph: the trial's tasks.
        stage: number of the stage in its present shape.
        section: `weights`, or any other, which only updates use.
    """
    if graph.done or (graph.at_boundary and graph.until <= graph.completed):
        return NEVER
    depth, visits = graph.shape.depth, graph.visits
    back = 2 * depth - 1 - stage
    places = [stage, back, 2 * depth + stage] if section == "weights" else [back, 2 * depth + back]
    away = next(place for place in places if place + 1 > visits) - visits
    return max(away, 0.0) * graph.shape.step_seconds / (2 * depth)
