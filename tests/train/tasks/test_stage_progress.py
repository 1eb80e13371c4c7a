"""Counters of stages: what each finished task makes ready."""

from __future__ import annotations

from gristmill.train.tasks.stage_progress import StageProgress
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

COST = StageCost(1.0, 2.0, 0.5, 8, 16, 4, 32)


def progress(stages=2, micro_batches=2, **more):
    shape = TrialShape((COST,) * stages, micro_batches, "micro", **more)
    return StageProgress(7, shape, None, 3)


def told(tasks):
    return [(each.kind, each.step, each.stage, each.micro) for each in tasks]


def done(stages, task):
    """Finish a task; return what is ready then."""
    return {"forward": stages.forward_done, "backward": stages.backward_done}[task.kind](task)


def test_a_step_goes_forward_and_back():
    stages = progress()
    (first,) = stages.begin(3)
    assert told([first]) == [("forward", 3, 0, 0)]
    one, two = done(stages, first)
    assert told([one, two]) == [("forward", 3, 0, 1), ("forward", 3, 1, 0)]
    assert done(stages, one) == []  # the stage after has not seen micro-batch 0
    later, back = done(stages, two)
    assert told([later, back]) == [("forward", 3, 1, 1), ("backward", 3, 1, 0)]
    assert stages.visits(3) == 1.5
    assert told(done(stages, back)) == [("backward", 3, 0, 0)]  # micro 1 is not through yet
    assert told(done(stages, later)) == [("backward", 3, 1, 1)]
    assert not stages.untouched


def test_foreseeing_changes_nothing():
    stages = progress()
    (first,) = stages.begin(3)
    assert stages.after(first) == stages.after(first)
    assert stages.untouched
    assert stages.after(first) == done(stages, first)


def test_an_update_of_all_replicas_ends_a_stage_s_step():
    stages = progress(stages=1, micro_batches=2, replicas=2)
    assert [each.micro for each in stages.begin(3)] == [0, 1]
    for task in stages.begin(3):
        (back,) = done(stages, task)
        updates = done(stages, back)
    assert [(each.kind, each.replica) for each in updates] == [("update", 0), ("update", 1)]
    assert stages.part_updated(updates[0]) is None
    assert stages.at == [3]
    assert stages.part_updated(updates[1]) == 0
    assert stages.all_updated()
    assert not stages.all_updated()
    assert (stages.at, stages.untouched) == ([4], True)


def test_updates_follow_the_norms_of_all_stages_where_gradients_are_clipped():
    stages = progress(micro_batches=1, clipped=True)
    (task,) = stages.begin(3)
    (second,) = done(stages, task)
    (back,) = done(stages, second)
    norm, first_back = done(stages, back)
    assert told([norm, first_back]) == [("norm", 3, 1, -1), ("backward", 3, 0, 0)]
    (other,) = done(stages, first_back)
    assert stages.norm_done(norm) == []
    assert told(stages.norm_done(other)) == [("update", 3, 0, -1), ("update", 3, 1, -1)]
