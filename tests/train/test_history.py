from __future__ import annotations

from gristmill.train.history import EpochRecord, best_record, stalled, without_seconds


def curve(*pairs):
    return [
        EpochRecord(epoch, 1.0, loss, metric, 0.1)
        for epoch, (metric, loss) in enumerate(pairs, start=1)
    ]


def test_best_is_the_metric_then_the_loss_then_the_first():
    assert best_record(curve((0.5, 0.9), (0.8, 0.9), (0.7, 0.1)), "f1").epoch == 2
    assert best_record(curve((0.8, 0.9), (0.8, 0.7), (0.8, 0.8)), "f1").epoch == 2
    assert best_record(curve((0.8, 0.7), (0.8, 0.7)), "f1").epoch == 1
    assert best_record(curve((0.9, 0.9), (0.1, 0.3)), "loss").epoch == 2


def test_without_validation_the_last_is_best():
    records = [EpochRecord(1, 0.1), EpochRecord(2, 0.9)]
    assert best_record(records, "f1").epoch == 2
    assert not stalled(records, "f1", 1)


def test_stalled_needs_both_metric_and_loss_to_stand_still():
    guessing = curve((0.5, 0.7), (0.0, 0.6), (0.0, 0.5))
    assert not stalled(guessing, "f1", 2)
    assert stalled([*guessing, *curve((0.0, 0.6), (0.0, 0.6))], "f1", 2)
    assert not stalled(guessing, "f1", None)
    assert not stalled([], "f1", 1)


def test_without_seconds_keeps_the_rest():
    assert without_seconds(curve((0.5, 0.7))) == [EpochRecord(1, 1.0, 0.7, 0.5)]
