"""When a stage comes round again."""

from __future__ import annotations

from gristmill.train.tasks.next_use import NEVER, next_use
from gristmill.train.tasks.trial_graph import TrialGraph


def until(graph, section="weights"):
    """Return how many passes through a stage lie before the next use of each stage."""
    depth = graph.shape.depth
    per_visit = graph.shape.step_seconds / (2 * depth)
    return [round(next_use(graph, stage, section) / per_visit) for stage in range(depth)]


def go(graph, count):
    for _ in range(count):
        ready = graph.ready()
        graph.finish(next((each for each in ready if each.kind == "update"), ready[0]))


def test_stages_are_used_forth_and_back(equal):
    graph = TrialGraph(0, equal(3), 0, 2)
    assert until(graph) == [0, 1, 2]
    assert until(graph, "state") == [5, 4, 3]
    go(graph, 2)
    assert until(graph) == [3, 2, 0]
    go(graph, 1)
    assert until(graph) == [2, 1, 0]
    go(graph, 2)
    assert until(graph) == [1, 0, 4]


def test_a_trial_that_rests_uses_nothing(equal):
    graph = TrialGraph(0, equal(2), 0, 1)
    graph.hold(0)
    assert next_use(graph, 0) == NEVER
    graph.release()
    assert next_use(graph, 0) == 0
    go(graph, 6)
    assert graph.done
    assert next_use(graph, 1) == NEVER
